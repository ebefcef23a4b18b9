"""Compare two segmenters: their probabilities, and the resulting masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.pictures import Picture, pictures_for
from ...model_templates.contract import Contract
from ...runtimes.session import Outputs
from ..comparison import Comparison, as_batch, kind_of, largest, raw_outputs, tensor_differences
from ..model import Model
from .classes import classes_of, grey_of
from .rules import PICTURE, segmentation_rules

CLASSES, RUNS, CELLS = "classes", "runs", "cells"
"""Stored answers: class and length of each run of equal pixels, row by row, (1, N); and the mean
probabilities in each of `_CELLS` x `_CELLS` cells, (1, classes, _CELLS, _CELLS)."""

DIGITS = {CLASSES: 0, RUNS: 0}

_CELLS = 16
_NAME = "mask"


class Limits(NamedTuple):
    """How far masks may differ.

    Attributes:
        probability: Largest difference of a probability.
        mean: Largest mean difference of all probabilities.
        pixels: Largest share of a mask's pixels that are of another class.
    """

    probability: float
    mean: float
    pixels: float


LIMITS = {
    "fp32": Limits(1e-4, 1e-4, 0.001),
    "fp16": Limits(5e-3, 5e-3, 0.001),
    # A value halfway between two levels is rounded up in one model and down in the other, which
    # changes others: a pixel at a border may get any probability. A face of 160 x 190 pixels in a
    # head of 256 x 256 that is moved by one pixel has 0.006 of them wrong. Masks whose edges are
    # cut-outs need sure probabilities: face-segmentation-n and -n-4 differ by 0.001 on average
    # after quantization in OpenVINO, LiteRT and Core ML, and by 0.009 in ONNX.
    "int8": Limits(1.0, 0.02, 0.005),
}


def pictures(contract: Contract, folder: Path | None = None) -> list[Picture]:
    """See `tasks.parts.Parity`."""
    return pictures_for(contract.input, folder)


def is_for(_: Contract, __: Picture) -> bool:
    """See `tasks.parts.Parity`."""
    return True


def answers_of(contract: Contract, outputs: Outputs) -> Outputs:
    """See `tasks.parts.Parity`; the class of each pixel, packed, and coarse probabilities."""
    classes = _classes(contract, outputs)
    starts = np.flatnonzero(np.diff(classes, prepend=classes[0] + 1))
    return {
        CLASSES: classes[starts][None].astype(np.float32),
        RUNS: np.diff(starts, append=len(classes))[None].astype(np.float32),
        CELLS: _cells(outputs),
    }


def compare(
    contract: Contract,
    expected: Sequence[Outputs],
    model: Model[Any],
    images: Sequence[NDArray[np.uint8]],
    *,
    answers_only: bool = False,
) -> Comparison:
    """See `tasks.parts.Parity`; what is counted are the pixels of all masks together."""
    limits = LIMITS[kind_of(model.contract)]
    found = raw_outputs(model, images)
    apart = mean = 0.0
    for answers in (found, as_batch(model, images)):
        means = []
        for one, other in zip(expected, answers, strict=False):
            pair = (one[CELLS], _cells(other)) if answers_only else (one[_NAME], other[_NAME])
            ways = np.abs(pair[0].astype(np.float64) - pair[1])
            apart = largest(apart, ways.max())
            means.append(ways.mean())
        if means:  # no batch where its size is fixed
            mean = largest(mean, np.mean(means))
    seen = np.stack([_classes(contract, one) for one in found])
    wanted = np.stack(
        [_unpacked(one) if answers_only else _classes(contract, one) for one in expected]
    )
    same = int((wanted == seen).sum())
    unlike = 1 - same / seen.size
    return Comparison(
        tensors={} if answers_only else tensor_differences(expected, found),
        differences={"probability": apart, "mean": mean, "pixels": unlike},
        tolerances=dict(limits._asdict()),
        asked=seen.size,
        agreed=same,
        extra=0,
        problem=_problem(apart, mean, unlike, limits) or _picture_problem(found, limits),
    )


def error(expected: Outputs, found: Outputs) -> float:
    """See `tasks.parts.Parity`; the error of probabilities."""
    return float(np.abs(expected[_NAME] - found[_NAME]).mean())


def _classes(contract: Contract, outputs: Outputs) -> NDArray[np.uint8]:
    """The class of each pixel, row by row, (H * W,)."""
    return classes_of(outputs[_NAME][0], segmentation_rules(contract).threshold).ravel()


def _unpacked(answers: Outputs) -> NDArray[np.float32]:
    """The inverse of what `answers_of` does to `_classes`."""
    return np.repeat(answers[CLASSES][0], answers[RUNS][0].astype(np.int64))


def _cells(outputs: Outputs) -> NDArray[np.float32]:
    """Mean probabilities in each cell, (1, classes, _CELLS, _CELLS)."""
    size = (_CELLS, _CELLS)
    shares = outputs[_NAME][0]
    return np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in shares])[None]


def _problem(apart: float, mean: float, unlike: float, limits: Limits) -> str | None:
    if not apart <= limits.probability:  # this form fails for NaN too
        return f"probabilities differ by {apart:.3g}; allowed {limits.probability:g}"
    if mean > limits.mean:
        return f"probabilities differ by {mean:.3g} on average; allowed {limits.mean:g}"
    if unlike > limits.pixels:
        return f"{unlike:.2%} of the masks' pixels differ; allowed {limits.pixels:.2%}"
    return None


def _picture_problem(found: Sequence[Outputs], limits: Limits) -> str | None:
    """Why the grey pictures, if a file gives them, are not those of its probabilities."""
    if PICTURE not in found[0]:
        return None
    unlike = [_unlike_picture(one[_NAME][0], one[PICTURE][0, 0]) for one in found]
    share = float(np.mean(unlike))
    if share <= limits.pixels:
        return None
    return f"{PICTURE} is not that of the probabilities in {share:.2%} of its pixels"


def _unlike_picture(shares: NDArray[np.float32], picture: NDArray[np.float32]) -> float:
    """Share of a grey picture's pixels that are wrong."""
    # FP16 may round a probability to the next grey, but there is no next class.
    slack = 1 if len(shares) == 1 else 0
    return float((np.abs(grey_of(shares) - picture) > slack).mean())
