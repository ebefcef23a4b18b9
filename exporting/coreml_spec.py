"""Edit Core ML's protobuf (`Model` of its format specification) after conversion."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic_write
from ..model_templates.contract import CONTRACT_KEY, Contract
from ..runtimes.seal import BLANK_SEAL, SEAL_KEY, model_files, seal
from ..tasks import task_of
from ..tasks.parts import Suppression
from .onnx import LARGE

RAW = "raw_"
"""Prefix to Vision's names for the network's outputs that the suppression reads."""


def rename_outputs(spec: Any, names: list[str]) -> None:
    """Give the outputs of a NeuralNetwork the contract's names, in its order."""
    found = [output.name for output in spec.description.output]
    new = dict(zip(found, names, strict=True))
    for output in spec.description.output:
        output.name = new[output.name]
    for layer in spec.neuralNetwork.layers:
        for blobs in (layer.input, layer.output):
            for index, blob in enumerate(blobs):
                blobs[index] = new.get(blob, blob)


def make_grey(spec: Any, name: str, size: tuple[int, int]) -> None:
    """Make an output (1, 1, H, W) a picture with 8 bits per pixel.

    Args:
        spec: The model.
        name: Name of the output, whose numbers are whole and 0 to 255.
        size: Height and width.
    """
    (output,) = (one for one in spec.description.output if one.name == name)
    image = output.type.imageType
    image.height, image.width = size
    image.colorSpace = image.GRAYSCALE


def rename_probabilities(spec: Any, new: str) -> None:
    """Give a classifier's dictionary the name of the contract's output."""
    old = spec.description.predictedProbabilitiesName
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


def store_as_fp16(spec: Any) -> None:
    """Store the weights of convolutions and large dense layers as FP16.

    Biases and coordinates stay exact.
    """
    least = {"convolution": 1, "innerProduct": LARGE}
    for layer in getattr(spec, spec.WhichOneof("Type")).layers:
        kind = layer.WhichOneof("layer")
        if kind not in least:
            continue
        weights = getattr(layer, kind).weights
        if len(weights.floatValue) >= least[kind]:
            limit = np.finfo(np.float16).max
            half = np.array(weights.floatValue, np.float32).clip(-limit, limit).astype("<f2")
            weights.Clear()
            weights.float16Value = half.tobytes()


def with_outputs(spec: Any, names: list[str]) -> Any:
    """A copy with only some outputs, and without layers that only the others need."""
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


def vision_pipeline(network: Any, contract: Contract, suppression: Suppression) -> Any:
    """Network and suppression as one pipeline for Vision."""
    spec = type(network)()
    spec.specificationVersion = network.specificationVersion
    stages = spec.pipeline.models
    stages.add().CopyFrom(network)
    names = {output.name: RAW + output.name for output in contract.outputs}
    stage = stages.add()
    stage.specificationVersion = network.specificationVersion
    settings = stage.nonMaximumSuppression
    settings.confidenceInputFeatureName = names["confidence"]
    settings.coordinatesInputFeatureName = names["coordinates"]
    settings.confidenceOutputFeatureName = "confidence"
    settings.coordinatesOutputFeatureName = "coordinates"
    settings.iouThresholdInputFeatureName = "iouThreshold"
    settings.confidenceThresholdInputFeatureName = "confidenceThreshold"
    settings.iouThreshold = suppression.iou
    settings.confidenceThreshold = suppression.score
    settings.pickTop.perClass = False
    settings.stringClassLabels.vector.extend(suppression.labels)
    spec.pipeline.names.extend(["network", "suppression"])

    stage.description.input.extend(network.description.output)
    for model in (stage, spec):
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
        contract: The contract that describes it.
        path: The `.mlmodel` or `.mlpackage` to write.
        weights: Folder of the weights of an ML Program; None for a NeuralNetwork.

    Returns:
        `path`.
    """
    describe(spec, contract)
    if path.suffix == ".mlmodel":
        with atomic_write(path) as handle:
            handle.write(spec.SerializeToString(deterministic=True))
    else:
        _write_package(spec, path, weights)
    seal(path)
    return path


def _write_package(spec: Any, path: Path, weights: Path | None) -> None:
    """Write a package as coremltools does.

    Its own have the permissions of temporary files, for their owner alone, and identifiers that
    make files of equal exports differ.
    """
    if path.exists():
        shutil.rmtree(path)
    target = model_files(path)[0]
    target.parent.mkdir(parents=True)
    target.write_bytes(spec.SerializeToString(deterministic=True))
    parts = {target: "CoreML Model Specification"}
    if weights is not None and weights.is_dir():
        folder = target.parent / "weights"
        folder.mkdir()
        for file in weights.iterdir():
            shutil.copyfile(file, folder / file.name)
        parts[folder] = "CoreML Model Weights"
    entries = {
        str(uuid.uuid5(uuid.NAMESPACE_URL, part.name)): {
            "author": part.parent.name,
            "description": what,
            "name": part.name,
            "path": f"{part.parent.name}/{part.name}",
        }
        for part, what in parts.items()
    }
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": entries,
        "rootModelIdentifier": next(iter(entries)),
    }
    (path / "Manifest.json").write_text(json.dumps(manifest, indent=4) + "\n", encoding="utf-8")


def describe(spec: Any, contract: Contract) -> None:
    """Set the metadata that Xcode shows and `load` reads."""
    how = {
        "stretch": "a photo scaled to it",
        "letterbox": "a photo scaled to fit, top left",
        "align": "a face, its landmarks at the contract's points",
    }
    texts = {
        contract.input.name: f"{contract.input.width} x {contract.input.height} pixels; "
        + how[contract.input.resize],
        **{output.name: f"{output.meaning}; {output.unit}" for output in contract.outputs},
    }
    rules = task_of(contract.task).rules
    if choice := rules.choice(contract):
        texts["label"] = "the likeliest of " + ", ".join(choice.labels)
    if suppression := rules.suppression(contract):
        texts |= {
            "iouThreshold": f"of two boxes that overlap more one is dropped ({suppression.iou:g})",
            "confidenceThreshold": f"lowest score of a face ({suppression.score:g})",
        }
    for feature in (*spec.description.input, *spec.description.output):
        feature.shortDescription = texts[feature.name]
    metadata = spec.description.metadata
    metadata.author = "pocketface"
    metadata.license = contract.provenance.licence or ""
    metadata.shortDescription = f"{contract.name}: {contract.task}, {contract.precision}"
    metadata.versionString = contract.version
    # Dates and versions of the converter would make files of equal exports differ.
    metadata.userDefined.clear()
    metadata.userDefined[CONTRACT_KEY] = contract.to_json()
    metadata.userDefined[SEAL_KEY] = BLANK_SEAL
