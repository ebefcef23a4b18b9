"""Core ML: NeuralNetwork (`.mlmodel`) and ML Program (`.mlpackage`), also for Apple's Vision."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..files import atomic_write
from ..model_templates.contract import Contract, OutputSpec
from ..quiet import quiet
from ..runtimes.coreml import import_coremltools, read_spec
from ..runtimes.seal import model_files, seal
from ..tasks import task_of
from ..tasks.parts import Choice, Grey, Suppression
from .coreml_spec import (
    RAW,
    describe,
    make_grey,
    rename_outputs,
    rename_probabilities,
    store_as_fp16,
    vision_pipeline,
    with_outputs,
    write_coreml,
)
from .formats import Order

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
"""Outputs that Vision turns into `VNRecognizedObjectObservation`s."""


class _Forms(NamedTuple):
    """What a task's outputs may become in Apple's own forms."""

    suppression: Suppression | None
    choice: Choice | None
    grey: Grey | None


def convert(order: Order) -> list[Path]:
    """Write `<stem>.mlmodel` and `<stem>.mlpackage`, and for a detector both as `<stem>_nms` too.

    The `_nms` files are pipelines with NMS for Apple's Vision framework, and are always written.
    A classifier is one in Core ML's own sense, whose answers Vision turns into
    `VNClassificationObservation`s; a segmenter has a grey picture beside its probabilities, which
    becomes a `VNPixelBufferObservation`. The image input takes CVPixelBuffers of BGR planes, 0-255;
    mean, scale and channel order are in the network. The precision applies to the stored weights,
    and in an ML Program to the arithmetic too.

    Raises:
        MissingPackageError: coremltools is not installed.
    """
    import_coremltools()
    from ..models.network import with_scale_folded

    contract = order.contract
    rules = task_of(contract.task).rules
    forms = _Forms(rules.suppression(contract), rules.choice(contract), rules.grey(contract))
    suppression = forms.suppression
    traced = _trace(with_scale_folded(order.network), contract, forms)
    written = []
    for kind in ("mlmodel", "mlpackage"):
        with tempfile.TemporaryDirectory() as scratch:
            spec, weights = _converted(traced, contract, kind, forms, Path(scratch))
            plain = _contract_of(contract, forms.grey)
            path = order.folder / f"{order.stem}.{kind}"
            if suppression is None:
                written.append(write_coreml(spec, plain, path, weights))
                continue
            names = [output.name for output in plain.outputs]
            written.append(write_coreml(with_outputs(spec, names), plain, path, weights))
            vision = plain.model_copy(update={"outputs": _VISION, "rules": suppression.rules})
            path = order.folder / f"{order.stem}_nms.{kind}"
            raw = with_outputs(spec, [RAW + output.name for output in vision.outputs])
            pipeline = vision_pipeline(raw, vision, suppression)
            written.append(write_coreml(pipeline, vision, path, weights))
    return written


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of a file that `convert` wrote."""
    spec = read_spec(path)
    describe(spec, contract)
    with atomic_write(model_files(path)[0]) as handle:
        handle.write(spec.SerializeToString(deterministic=True))
    seal(path)


def _contract_of(contract: Contract, grey: Grey | None) -> Contract:
    """The contract of a file for one image."""
    spec = contract.input
    fixed = spec.model_copy(update={"shape": (1, *spec.shape[1:]), "dtype": "image"})
    outputs = tuple(
        output.model_copy(update={"shape": (1, *output.shape[1:])}) for output in contract.outputs
    )
    if grey is not None:
        shape = (1, 1, spec.height, spec.width)
        picture = OutputSpec(name=grey.picture, shape=shape, meaning=grey.meaning, unit=grey.unit)
        outputs = (*outputs, picture)
    return contract.model_copy(update={"input": fixed, "outputs": outputs})


def _trace(network: Network, contract: Contract, forms: _Forms) -> Any:
    """TorchScript of the network, which also gives boxes or a picture in Vision's form."""
    import torch
    from torch import Tensor, nn
    from torch.jit._trace import TracerWarning

    height, width = contract.input.height, contract.input.width
    names = [output.name for output in contract.outputs]
    suppression, grey = forms.suppression, forms.grey

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.eval()

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            outputs: tuple[Tensor, ...] = self.network(images)
            if grey is not None:
                shares = outputs[names.index(grey.output)]
                several = shares.shape[1] > 1
                index = shares.argmax(1, keepdim=True)
                return *outputs, index.float() if several else (shares * 255).round()
            if suppression is None:
                return outputs
            boxes = outputs[names.index(suppression.boxes)]
            scores = outputs[names.index(suppression.scores)]
            low, high = boxes[..., :2], boxes[..., 2:]
            size = torch.tensor([float(width), float(height)])
            coordinates = torch.cat(((low + high) / 2 / size, (high - low) / size), dim=-1)
            # One image only, as Vision's outputs have no batch axis.
            return *outputs, coordinates.squeeze(0), scores.transpose(0, 1)

    with warnings.catch_warnings(), torch.inference_mode():
        # The input size is fixed, so sizes and lengths may become constants of the graph.
        warnings.simplefilter("ignore", TracerWarning)
        for deprecated in (DeprecationWarning, FutureWarning):  # TorchScript, up to 2.13 and later
            warnings.simplefilter("ignore", deprecated)
        images = torch.zeros(1, 3, height, width)
        return torch.jit.trace(Both(), images, check_trace=False)  # type: ignore[no-untyped-call]


def _converted(
    traced: Any,
    contract: Contract,
    kind: str,
    forms: _Forms,
    folder: Path,
) -> tuple[Any, Path | None]:
    """The specification with outputs under our names, and the folder of its weights."""
    coremltools = import_coremltools()
    suppression, choice, grey = forms
    size = (contract.input.height, contract.input.width)
    shapes: dict[str, tuple[int, ...]] = {
        output.name: (1, *output.shape[1:]) for output in contract.outputs
    }
    precision = contract.precision
    if suppression is not None:
        count = shapes[suppression.scores][1]
        shapes |= {f"{RAW}coordinates": (count, 4), f"{RAW}confidence": (count, 1)}
    if grey is not None:
        shapes[grey.picture] = (1, 1, *size)
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
        if choice is None:
            settings["outputs"] = [
                coremltools.ImageType(name=name, color_layout=coremltools.colorlayout.GRAYSCALE)
                if grey is not None and name == grey.picture
                # Else an FP16 program would give FP16, and its description say FP32.
                else coremltools.TensorType(name=name, dtype=np.float32)
                for name in shapes
            ]
    if choice is not None:
        settings["classifier_config"] = coremltools.ClassifierConfig(
            list(choice.labels), predicted_feature_name="label"
        )
    with quiet():
        model = coremltools.convert(traced, inputs=[image], skip_model_load=True, **settings)
        spec = model.get_spec()
        if kind == "mlpackage":
            model.save(str(folder / "model.mlpackage"))
    if choice is not None:
        rename_probabilities(spec, choice.output)
    elif kind == "mlmodel":
        # The converter fails on some networks if it is given the names.
        rename_outputs(spec, list(shapes))
        if grey is not None:
            make_grey(spec, grey.picture, size)
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
