"""Run a whole Core ML model: image input, network or pipeline, non-maximum suppression."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ModelFileError
from ..sizes import check_values
from .ml_program import build_program
from .neural_network import build_layers, preprocess

_GREY = 10
_COLOURS = {20: "RGB", 30: "BGR"}
"""Colour orders by `ImageFeatureType.ColorSpace`."""


@dataclass(frozen=True, eq=False)
class Function:
    """A model as a function.

    Attributes:
        image: Name of the image input.
        size: Height and width of the image, in pixels.
        outputs: Names of the outputs.
        run: Function of the image, float32 (1, 3, H, W), 0-255, BGR, and of optional inputs by
            name; gives the outputs by name.
    """

    image: str
    size: tuple[int, int]
    outputs: tuple[str, ...]
    run: Callable[[NDArray[np.float32], Mapping[str, float]], dict[str, NDArray[np.float32]]]


Blobs = dict[str, Tensor]


def function_of(spec: Any, folder: Path | None, *, where: str) -> Function:
    """Make a model executable.

    Args:
        spec: The `Model` protobuf.
        folder: Folder with the weights of an ML Program; None if there is none.
        where: Name of the file in error messages.

    Raises:
        ModelFileError: A part of the model is unknown to this interpreter, or cannot be run; the
            message names it.
    """
    images = [one for one in spec.description.input if _is_image(one)]
    if len(images) != 1:
        raise ModelFileError(f"{where}: has {len(images)} image inputs: expected one")
    (image,) = images
    run = _build(spec, folder, where=where)
    # A classifier's label is left out: it is text, and follows from the probabilities.
    outputs = [
        output
        for output in spec.description.output
        if output.type.WhichOneof("Type") != "stringType"
    ]
    names = tuple(output.name for output in outputs)
    grey = {one.name: _grey_size(one, where=where) for one in outputs if _is_image(one)}

    def call(
        picture: NDArray[np.float32], options: Mapping[str, float]
    ) -> dict[str, NDArray[np.float32]]:
        blobs: Blobs = {name: torch.tensor(float(value)) for name, value in options.items()}
        blobs[image.name] = torch.from_numpy(picture)
        with torch.inference_mode():
            found = run(blobs)
            found |= {name: _as_grey(found[name], *size) for name, size in grey.items()}
        return {name: found[name].float().numpy() for name in names}

    kind = image.type.imageType
    size = int(kind.height), int(kind.width)
    check_values(_values_for(run, image.name, size), (1, 3, *size), where=where)
    return Function(image.name, size, names, call)


def _values_for(run: Callable[[Blobs], Blobs], name: str, size: tuple[int, int]) -> int:
    """Number of values that a model computes for an image, up to its NMS, by shapes alone."""
    from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
        values = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            found = func(*args, **(kwargs or {}))
            self.values += sum(one.numel() for one in tree_leaves(found) if torch.is_tensor(one))
            return found

    counting = Counting()  # type: ignore[no-untyped-call]
    # The modes compute shapes, and allocate nothing. How many boxes NMS keeps is not known.
    with (
        _silent("torch._subclasses.fake_tensor"),  # it logs tracebacks of what it raises
        suppress(DynamicOutputShapeException),
        FakeTensorMode(allow_non_fake_inputs=True),
        counting,
    ):
        run({name: torch.empty(1, 3, *size)})
    return counting.values


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Disable a logger in a block."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _build(spec: Any, folder: Path | None, *, where: str) -> Callable[[Blobs], Blobs]:
    kind = spec.WhichOneof("Type")
    if kind == "pipeline":
        stages = [_build(model, folder, where=where) for model in spec.pipeline.models]

        def run_stages(blobs: Blobs) -> Blobs:
            for stage in stages:
                blobs = {**blobs, **stage(blobs)}
            return blobs

        return run_stages
    if kind == "nonMaximumSuppression":
        return _suppression(spec.nonMaximumSuppression, where=where)
    if kind not in ("neuralNetwork", "neuralNetworkClassifier", "mlProgram"):
        raise ModelFileError(f"{where}: a model of type {kind} is not known")
    network = None if kind == "mlProgram" else getattr(spec, kind)
    if network is None:
        run = build_program(spec.mlProgram, folder, where=where)
    else:
        run = build_layers(network, where=where)
    pictures = {
        one.name: _colour(one, where=where) for one in spec.description.input if _is_image(one)
    }

    def run_network(blobs: Blobs) -> Blobs:
        blobs = dict(blobs)
        for name, colour in pictures.items():
            picture = blobs[name] if colour == "BGR" else blobs[name].flip(1)
            if network is not None:
                picture = preprocess(network, picture, name=name, colour=colour, where=where)
            blobs[name] = picture
        found = run(blobs)
        if network is not None and kind == "neuralNetworkClassifier":
            shares = network.labelProbabilityLayerName
            found[spec.description.predictedProbabilitiesName] = found[shares]
        return found

    return run_network


def _is_image(feature: Any) -> bool:
    return bool(feature.type.WhichOneof("Type") == "imageType")


def _grey_size(feature: Any, *, where: str) -> tuple[int, int]:
    """Height and width of a grey picture with 8 bits per pixel."""
    kind = feature.type.imageType
    if kind.colorSpace != _GREY:
        raise ModelFileError(
            f"{where}: image {feature.name!r}: colour space {kind.colorSpace} is not known"
        )
    return int(kind.height), int(kind.width)


def _as_grey(tensor: Tensor, height: int, width: int) -> Tensor:
    """The pixels (1, 1, H, W), which hold whole numbers from 0 to 255."""
    pixels = tensor.clamp(0, 255).to(torch.uint8)
    return pixels.reshape(1, 1, height, width)


def _colour(feature: Any, *, where: str) -> str:
    colour = feature.type.imageType.colorSpace
    if colour not in _COLOURS:
        raise ModelFileError(f"{where}: image {feature.name!r}: colour space {colour} is not known")
    return _COLOURS[colour]


def _suppression(settings: Any, *, where: str) -> Callable[[Blobs], Blobs]:
    """Greedy NMS by falling confidence, all classes together (NonMaximumSuppression.proto)."""
    known = {
        "pickTop", "stringClassLabels", "iouThreshold", "confidenceThreshold",
        "confidenceInputFeatureName", "coordinatesInputFeatureName",
        "iouThresholdInputFeatureName", "confidenceThresholdInputFeatureName",
        "confidenceOutputFeatureName", "coordinatesOutputFeatureName",
    }  # fmt: skip
    unknown = {field.name for field, _ in settings.ListFields()} - known
    if unknown or settings.pickTop.perClass:
        named = ", ".join(sorted(unknown)) or "pickTop.perClass"
        raise ModelFileError(f"{where}: non-maximum suppression: {named} is not known")

    def limit(blobs: Blobs, name: str, default: float) -> float:
        return float(blobs[name]) if name in blobs else default

    def run(blobs: Blobs) -> Blobs:
        confidence = blobs[settings.confidenceInputFeatureName]
        coordinates = blobs[settings.coordinatesInputFeatureName]
        overlap = limit(blobs, settings.iouThresholdInputFeatureName, settings.iouThreshold)
        least = limit(
            blobs, settings.confidenceThresholdInputFeatureName, settings.confidenceThreshold
        )
        best = confidence.max(dim=1).values
        order = torch.argsort(best, descending=True, stable=True)
        order = order[best[order] >= least]
        kept = _greedy(coordinates[order].double().numpy(), overlap)
        rows = order[kept]
        return {
            settings.confidenceOutputFeatureName: confidence[rows],
            settings.coordinatesOutputFeatureName: coordinates[rows],
        }

    return run


def _greedy(boxes: NDArray[np.float64], overlap: float) -> list[int]:
    """Indices of the boxes kept by NMS, from (N, 4) centres and sizes, best first."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    area = boxes[:, 2:].clip(min=0).prod(1)
    kept: list[int] = []
    for index in range(len(boxes)):
        common = (np.minimum(high[kept], high[index]) - np.maximum(low[kept], low[index])).clip(0)
        shared = common.prod(1)
        union = area[kept] + area[index] - shared
        if not (shared > overlap * union).any():
            kept.append(index)
    return kept
