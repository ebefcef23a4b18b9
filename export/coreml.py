"""Core ML: NeuralNetwork (`.mlmodel`) and ML Program (`.mlpackage`), also for Apple's Vision."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..files import atomic_write
from ..model_templates.contract import Contract, OutputSpec
from ..quiet import quiet
from ..runtimes.coreml import import_coremltools, read_spec
from ..runtimes.seal import model_files, seal
from .coreml_spec import (
    RAW,
    describe,
    rename_outputs,
    rename_probabilities,
    store_as_fp16,
    vision_pipeline,
    with_outputs,
    write_coreml,
)

if TYPE_CHECKING:
    from ..models.network import Network

_VISION = (
    OutputSpec(
        name="coordinates",
        shape=(-1, 4),
        meaning="centre x, centre y, width, height of a face",
        unit="shares of the input's width and height",
    ),
    OutputSpec(name="confidence", shape=(-1, 1), meaning="how surely it is a face", unit="0 to 1"),
)
"""What Vision turns into `VNRecognizedObjectObservation`s."""


def convert(
    network: Network,
    contract: Contract,
    *,
    folder: Path,
    stem: str,
    precision: Literal["fp32", "fp16"],
    with_nms: bool,  # noqa: ARG001
) -> list[Path]:
    """Write `<stem>.mlmodel`, `<stem>.mlpackage`, and of a detector both again as `<stem>_nms`.

    The latter are pipelines with NMS, for Apple's Vision framework. A classifier is one in Core
    ML's own sense: Vision makes `VNClassificationObservation`s of it. The image input takes
    CVPixelBuffers of BGR planes, 0-255; mean, scale and channel order are in the network.

    Args:
        network: On the CPU.
        contract: Its input size is the graph's.
        folder: Where to.
        stem: Of the files' names.
        precision: Of the stored weights; in an ML Program of the arithmetic too.
        with_nms: The pipelines are written in any case.

    Raises:
        MissingPackageError: coremltools is not installed.
    """
    import_coremltools()
    classifies = contract.task != "face-detection"
    from ..models.network import with_scale_folded

    traced = _trace(with_scale_folded(network), contract)
    written = []
    for kind in ("mlmodel", "mlpackage"):
        with tempfile.TemporaryDirectory() as scratch:
            spec, weights = _converted(traced, contract, kind, precision, Path(scratch))
            plain = _contract_of(contract, nms=False)
            path = folder / f"{stem}.{kind}"
            if classifies:
                written.append(write_coreml(spec, plain, path, weights))
                continue
            names = [output.name for output in plain.outputs]
            written.append(write_coreml(with_outputs(spec, names), plain, path, weights))
            vision = _contract_of(contract, nms=True)
            path = folder / f"{stem}_nms.{kind}"
            raw = with_outputs(spec, [RAW + output.name for output in vision.outputs])
            written.append(write_coreml(vision_pipeline(raw, vision), vision, path, weights))
    return written


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of a file that `convert` wrote."""
    spec = read_spec(path)
    describe(spec, contract)
    with atomic_write(model_files(path)[0]) as handle:
        handle.write(spec.SerializeToString(deterministic=True))
    seal(path)


def _contract_of(contract: Contract, *, nms: bool) -> Contract:
    spec = contract.input
    fixed = spec.model_copy(update={"shape": (1, *spec.shape[1:]), "dtype": "image"})
    outputs = tuple(
        output.model_copy(update={"shape": (1, *output.shape[1:])}) for output in contract.outputs
    )
    changes: dict[str, Any] = {"input": fixed, "outputs": outputs}
    if nms:
        changes |= {"outputs": _VISION, "nms": "graph"}
    return contract.model_copy(update=changes)


def _trace(network: Network, contract: Contract) -> Any:
    """TorchScript that gives the network's outputs, and a detector's as Vision wants them."""
    import torch
    from torch import Tensor, nn
    from torch.jit._trace import TracerWarning

    height, width = contract.input.height, contract.input.width

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.eval()

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            outputs: tuple[Tensor, ...] = self.network(images)
            if contract.task != "face-detection":
                return outputs
            boxes, scores = outputs[0], outputs[1]
            low, high = boxes[..., :2], boxes[..., 2:]
            size = torch.tensor([float(width), float(height)])
            coordinates = torch.cat(((low + high) / 2 / size, (high - low) / size), dim=-1)
            # For one image: Vision's have no axis for it.
            return *outputs, coordinates.squeeze(0), scores.transpose(0, 1)

    with warnings.catch_warnings(), torch.inference_mode():
        # The input size is fixed, so sizes and lengths may become constants of the graph.
        warnings.simplefilter("ignore", TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        images = torch.zeros(1, 3, height, width)
        return torch.jit.trace(Both(), images, check_trace=False)  # type: ignore[no-untyped-call]


def _converted(
    traced: Any, contract: Contract, kind: str, precision: str, folder: Path
) -> tuple[Any, Path | None]:
    """The specification with all outputs under our names, and the folder of its weights."""
    coremltools = import_coremltools()
    size = (contract.input.height, contract.input.width)
    shapes: dict[str, tuple[int, ...]] = {
        output.name: (1, *output.shape[1:]) for output in contract.outputs
    }
    detects = contract.task == "face-detection"
    if detects:
        count = shapes["scores"][1]
        shapes |= {f"{RAW}coordinates": (count, 4), f"{RAW}confidence": (count, 1)}
    image = coremltools.ImageType(
        name=contract.input.name, shape=(1, 3, *size), color_layout=coremltools.colorlayout.BGR
    )
    settings: dict[str, Any] = {"convert_to": "neuralnetwork"}
    if kind == "mlpackage":
        half = coremltools.precision.FLOAT16
        settings = {
            "convert_to": "mlprogram",
            "minimum_deployment_target": coremltools.target.iOS16,
            "compute_precision": half if precision == "fp16" else coremltools.precision.FLOAT32,
        }
        if detects:
            settings["outputs"] = [coremltools.TensorType(name=name) for name in shapes]
    if not detects:
        settings["classifier_config"] = coremltools.ClassifierConfig(
            list(contract.labels), predicted_feature_name="label"
        )
    with quiet():
        model = coremltools.convert(traced, inputs=[image], skip_model_load=True, **settings)
        spec = model.get_spec()
        if kind == "mlpackage":
            model.save(str(folder / "model.mlpackage"))
    if not detects:
        rename_probabilities(spec)
    elif kind == "mlmodel":
        # The converter fails at some networks if it is told the names.
        rename_outputs(spec, list(shapes))
    if kind == "mlmodel" and precision == "fp16":
        store_as_fp16(spec)
    for output in spec.description.output:
        if output.type.WhichOneof("Type") != "multiArrayType":
            continue
        array = output.type.multiArrayType
        array.ClearField("shape")
        array.shape.extend(shapes[output.name])
        array.dataType = array.FLOAT32
    weights = None
    if kind == "mlpackage":
        weights = model_files(folder / "model.mlpackage")[0].parent / "weights"
    return spec, weights
