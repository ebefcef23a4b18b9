"""Core ML: NeuralNetwork (`.mlmodel`) and ML Program (`.mlpackage`), also for Apple's Vision."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..files import atomic_write
from ..model_templates.contract import CONTRACT_KEY, Contract, OutputSpec
from ..quiet import quiet
from ..runtimes.coreml import import_coremltools, read_spec
from ..runtimes.seal import BLANK_SEAL, SEAL_KEY, model_files, seal

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

_RAW = "raw_"
"""In front of Vision's names, what the network gives to the suppression."""


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
    CVPixelBuffers of BGR planes, 0-255; scale, mean and channel order are layers of the network.

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
    traced = _trace(network, contract)
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
            written.append(write_coreml(_part(spec, names), plain, path, weights))
            vision = _contract_of(contract, nms=True)
            path = folder / f"{stem}_nms.{kind}"
            raw = _part(spec, [_RAW + output.name for output in vision.outputs])
            written.append(write_coreml(_pipeline(raw, vision), vision, path, weights))
    return written


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of a file that `convert` wrote."""
    spec = read_spec(path)
    _describe(spec, contract)
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
        shapes |= {f"{_RAW}coordinates": (count, 4), f"{_RAW}confidence": (count, 1)}
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
        _rename_probabilities(spec)
    elif kind == "mlmodel":
        # The converter fails at some networks if it is told the names.
        _rename_outputs(spec, list(shapes))
    if kind == "mlmodel" and precision == "fp16":
        _store_as_fp16(spec)
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


def _rename_outputs(spec: Any, names: list[str]) -> None:
    found = [output.name for output in spec.description.output]
    new = dict(zip(found, names, strict=True))
    for output in spec.description.output:
        output.name = new[output.name]
    for layer in spec.neuralNetwork.layers:
        for blobs in (layer.input, layer.output):
            for index, blob in enumerate(blobs):
                blobs[index] = new.get(blob, blob)


def _rename_probabilities(spec: Any) -> None:
    """Give a classifier's dictionary the contract's name."""
    old, new = spec.description.predictedProbabilitiesName, "probabilities"
    spec.description.predictedProbabilitiesName = new
    for output in spec.description.output:
        output.name = new if output.name == old else output.name
    if spec.WhichOneof("Type") == "neuralNetworkClassifier":
        network = spec.neuralNetworkClassifier
        network.labelProbabilityLayerName = new
        for layer in network.layers:
            layer.output[:] = [new if blob == old else blob for blob in layer.output]
        return
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    block.outputs[:] = [new if name == old else name for name in block.outputs]
    for step in block.operations:
        for one in step.outputs:
            one.name = new if one.name == old else one.name


def _store_as_fp16(spec: Any) -> None:
    """Store the kernels of convolutions as FP16; biases and coordinates stay exact."""
    for layer in getattr(spec, spec.WhichOneof("Type")).layers:
        if layer.WhichOneof("layer") == "convolution":
            weights = layer.convolution.weights
            half = np.array(weights.floatValue, np.float32).astype("<f2")
            weights.Clear()
            weights.float16Value = half.tobytes()


def _part(spec: Any, names: list[str]) -> Any:
    """A copy that gives only some outputs, without what only the others needed."""
    copy = type(spec)()
    copy.CopyFrom(spec)
    outputs = {output.name: output for output in spec.description.output}
    del copy.description.output[:]
    copy.description.output.extend(outputs[name] for name in names)
    needed = set(names)
    if copy.WhichOneof("Type") == "neuralNetwork":
        steps = copy.neuralNetwork.layers
        kept = [step for step in reversed(steps) if _is_needed(step.output, step.input, needed)]
    else:
        (block,) = copy.mlProgram.functions["main"].block_specializations.values()
        steps = block.operations
        del block.outputs[:]
        block.outputs.extend(names)
        kept = [
            step
            for step in reversed(steps)
            if _is_needed([one.name for one in step.outputs], _inputs(step), needed)
        ]
    kept = [type(step).FromString(step.SerializeToString()) for step in reversed(kept)]
    del steps[:]
    steps.extend(kept)
    return copy


def _is_needed(gives: Any, takes: Any, needed: set[str]) -> bool:
    if not needed & set(gives):
        return False
    needed |= set(takes)
    return True


def _inputs(operation: Any) -> list[str]:
    return [
        binding.name
        for argument in operation.inputs.values()
        for binding in argument.arguments
        if binding.WhichOneof("binding") == "name"
    ]


def _pipeline(network: Any, contract: Contract) -> Any:
    """Network and suppression as one model, as Vision wants it."""
    spec = type(network)()
    spec.specificationVersion = network.specificationVersion
    stages = spec.pipeline.models
    stages.add().CopyFrom(network)
    names = {output.name: _RAW + output.name for output in contract.outputs}
    suppression = stages.add()
    suppression.specificationVersion = network.specificationVersion
    settings = suppression.nonMaximumSuppression
    settings.confidenceInputFeatureName = names["confidence"]
    settings.coordinatesInputFeatureName = names["coordinates"]
    settings.confidenceOutputFeatureName = "confidence"
    settings.coordinatesOutputFeatureName = "coordinates"
    settings.iouThresholdInputFeatureName = "iouThreshold"
    settings.confidenceThresholdInputFeatureName = "confidenceThreshold"
    settings.iouThreshold = contract.nms_iou
    settings.confidenceThreshold = contract.score_threshold
    settings.pickTop.perClass = False
    settings.stringClassLabels.vector.extend(contract.labels)
    spec.pipeline.names.extend(["network", "suppression"])

    suppression.description.input.extend(network.description.output)
    for model in (suppression, spec):
        if model is spec:
            model.description.input.extend(network.description.input)
        for name in ("iouThreshold", "confidenceThreshold"):
            threshold = model.description.input.add(name=name)
            threshold.type.doubleType.SetInParent()
            threshold.type.isOptional = True
        for output in sorted(contract.outputs, key=lambda one: one.name):
            array = model.description.output.add(name=output.name).type.multiArrayType
            array.dataType = array.FLOAT32
            array.shapeRange.sizeRanges.add(lowerBound=0, upperBound=-1)
            array.shapeRange.sizeRanges.add(lowerBound=output.shape[1], upperBound=output.shape[1])
    return spec


def write_coreml(spec: Any, contract: Contract, path: Path, weights: Path | None) -> Path:
    """Write a `Model` protobuf with its contract and seal.

    Args:
        spec: The model, with the contract's names.
        contract: That describes it.
        path: `.mlmodel` or `.mlpackage`.
        weights: Folder of the weights of an ML Program.

    Returns:
        `path`.
    """
    _describe(spec, contract)
    if path.suffix == ".mlmodel":
        with atomic_write(path) as handle:
            handle.write(spec.SerializeToString(deterministic=True))
    else:
        with quiet():
            made = import_coremltools().models.MLModel(
                spec, weights_dir=str(weights), skip_model_load=True
            )
            made.save(str(path))
        target = model_files(path)[0]
        target.write_bytes(spec.SerializeToString(deterministic=True))
    seal(path)
    return path


def _describe(spec: Any, contract: Contract) -> None:
    """What Xcode shows, and what `load` reads."""
    how = {
        "stretch": "a photo scaled to it",
        "letterbox": "a photo scaled to fit, top left",
        "align": "a face, its landmarks at the contract's points",
    }
    texts: Mapping[str, str] = {
        contract.input.name: f"{contract.input.width} x {contract.input.height} pixels; "
        + how[contract.input.resize],
        "label": "the likeliest of " + ", ".join(contract.labels),
        "iouThreshold": f"of two boxes that overlap more one is dropped ({contract.nms_iou:g})",
        "confidenceThreshold": f"lowest score of a face ({contract.score_threshold:g})",
        **{output.name: f"{output.meaning}; {output.unit}" for output in contract.outputs},
    }
    for feature in (*spec.description.input, *spec.description.output):
        feature.shortDescription = texts[feature.name]
    metadata = spec.description.metadata
    metadata.author = "pocketface"
    metadata.license = contract.provenance.licence
    metadata.shortDescription = f"{contract.name}: {contract.task}, {contract.precision}"
    metadata.versionString = contract.version
    # Dates and versions of the converter would make equal exports different files.
    metadata.userDefined.clear()
    metadata.userDefined[CONTRACT_KEY] = contract.to_json()
    metadata.userDefined[SEAL_KEY] = BLANK_SEAL
