"""How far one model answers as another: raw tensors, and the faces that come of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..model_templates.contract import Contract
from ..results import Detections
from ..runtimes.model import Model
from ..runtimes.preprocess import prepare
from ..runtimes.session import Outputs
from .matching import (
    RIVALS,
    Limits,
    allowed_px,
    faces_in,
    faces_of,
    match_faces,
    nms_problem,
    rivals_of,
)

BEST_BOXES = 100
"""Corners are compared for so many boxes of each image, the best by the reference's score,
whatever the score is (but for int8): a box that nobody will ever see may be far off, and some
network without training finds no face at all."""


LIMITS = {
    "fp32": Limits(pixels=0.5, of_side=0.0, score=1e-4),
    # FP16 rounds weights to 11 bits, so the error of a box grows with the box.
    "fp16": Limits(pixels=1.0, of_side=0.01, score=5e-3),
    # A value in the middle of two levels is rounded up here and down there, and others follow: a
    # box that is no face was seen to move by half a cell, of 32 pixels, and a little more, and the
    # landmarks of one that nearly nothing speaks for by 64. The faces found must be the same all
    # the same.
    "int8": Limits(pixels=24.0, of_side=0.05, score=0.1, compared_from=0.5),
}


def limits_of(contract: Contract) -> Limits:
    """Of a file, by its precision."""
    return LIMITS[contract.precision if contract.precision in LIMITS else "int8"]


class TensorDifference(NamedTuple):
    """Of one output tensor over all images; `boxes` and `landmarks` in network-input pixels."""

    max_abs: float
    mean_abs: float
    cosine: float


@dataclass(frozen=True)
class Comparison:
    """What was found, over all images.

    Attributes:
        tensors: By output; empty where the graph has its NMS inside.
        corners_px: Largest difference of box corners and landmarks, network-input pixels: of
            matched faces, and where there are tensors of each image's `BEST_BOXES`. None of a
            classifier.
        score: Largest difference of scores: of matched faces, and where there are tensors of all.
        faces: That the reference finds; of a classifier, those that it was shown.
        matched: Of these, found by the other too, at an IoU of at least `MATCH_IOU`. One that is
            at the threshold, or that NMS may as well have dropped, counts only if it is found.
            Of a classifier: given the same label, but where the probability is at the threshold.
        extra: Faces that only the other finds, likewise.
        problem: Why it is not the same model; None if it is.
    """

    tensors: dict[str, TensorDifference]
    corners_px: float | None
    score: float
    faces: int
    matched: int
    extra: int
    problem: str | None


class _Worst(NamedTuple):
    """Largest differences so far, the allowed one subtracted in `beyond` (above 0: too far)."""

    pixels: float
    score: float
    beyond: float

    def with_boxes(self, pixels: NDArray[np.float64], allowed: NDArray[np.float64]) -> _Worst:
        if not pixels.size:
            return self
        # np.max hands NaN on, Python's max may not.
        return _Worst(
            float(np.max([self.pixels, pixels.max()])),
            self.score,
            float(np.max([self.beyond, (pixels - allowed).max()])),
        )

    def with_scores(self, apart: NDArray[np.float64]) -> _Worst:
        return self._replace(score=float(np.max([self.score, apart.max(initial=0)])))


def raw_outputs(model: Model, images: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
    """For each image, batch 1; one input at a time, as they may be large."""
    return [model.raw(prepare(image, model.contract.input)[0]) for image in images]


def compare(
    contract: Contract,
    expected: Sequence[Outputs],
    model: Model,
    images: Sequence[NDArray[np.uint8]],
    *,
    faces_only: bool = False,
) -> Comparison:
    """Run a model file on images of which the trained network's answers are known.

    Args:
        contract: Of the trained network.
        expected: Its `raw_outputs`.
        model: The file; its contract says the precision, and so the `LIMITS`.
        images: uint8 (H, W, 3), BGR.
        faces_only: `expected` holds no more than `answers_of` gives.
    """
    if contract.task != "face-detection":
        return _compare_labels(contract, expected, model, images)
    limits = limits_of(model.contract)
    found = raw_outputs(model, images)
    worst = _Worst(0.0, 0.0, -np.inf)
    tensors: dict[str, TensorDifference] = {}
    if model.contract.nms == "runtime" and not faces_only:
        tensors = {
            name: _difference([one[name] for one in expected], [one[name] for one in found])
            for name in expected[0]
        }
        again = [_as_batch(model, images)] if model.contract.input.batch == -1 else []
        for answers in (found, *again):
            for one, other in zip(expected, answers, strict=False):
                least = limits.compared_from * contract.score_threshold
                worst = _compare_tensors(worst, one, other, limits, least)
    faces, matched, extra = 0, 0, 0
    inside: str | None = None
    for one, other in zip(expected, found, strict=True):
        wanted = faces_in(one) if faces_only else faces_of(contract, one)
        seen = faces_of(model.contract, other)
        rivals = one[RIVALS][0] if faces_only else rivals_of(contract, one, wanted, limits.score)
        match = match_faces(wanted, seen, rivals, contract, limits)
        faces += len(match.pairs) + match.lost
        matched += len(match.pairs)
        extra += match.extra
        if model.contract.nms == "graph":
            inside = inside or nms_problem(model.contract, other, limits)
        worst = _compare_faces(worst, wanted, seen, rivals, match.pairs, limits)
    return Comparison(
        tensors=tensors,
        corners_px=worst.pixels,
        score=worst.score,
        faces=faces,
        matched=matched,
        extra=extra,
        problem=_problem(worst, limits, faces=faces, matched=matched, extra=extra) or inside,
    )


def answers_of(contract: Contract, outputs: Outputs) -> Outputs:
    """What a user would see of one image's raw outputs, in their form: a detector's faces only.

    With them `RIVALS` (1, K, 4), boxes that a network of rounded numbers might find in their stead.
    """
    if contract.task != "face-detection":
        return outputs
    found = faces_of(contract, outputs)
    slack = LIMITS["fp16"].score  # files of that precision may be compared with them, too
    answers = {
        "boxes": found.boxes[None],
        "scores": found.scores[None],
        RIVALS: rivals_of(contract, outputs, found, slack)[None],
    }
    if found.landmarks is not None:
        answers["landmarks"] = found.landmarks[None]
    return answers


def _compare_labels(
    contract: Contract,
    expected: Sequence[Outputs],
    model: Model,
    images: Sequence[NDArray[np.uint8]],
) -> Comparison:
    limits = limits_of(model.contract)
    found = raw_outputs(model, images)
    again = _as_batch(model, images) if model.contract.input.batch == -1 else []
    name = "probabilities"
    score, same = 0.0, 0
    for answers in (found, again):
        for one, other in zip(expected, answers, strict=False):
            apart = np.abs(one[name].astype(np.float64) - other[name])
            # np.max hands NaN on, Python's max may not.
            score = float(np.max([score, apart.max()]))
    threshold = contract.score_threshold
    for one, other in zip(expected, found, strict=True):
        wanted, seen = one[name][0, -1], other[name][0, -1]
        same += bool(
            (wanted >= threshold) == (seen >= threshold) or abs(wanted - threshold) <= limits.score
        )
    return Comparison(
        tensors={name: _difference([one[name] for one in expected], [one[name] for one in found])},
        corners_px=None,
        score=score,
        faces=len(images),
        matched=same,
        extra=0,
        problem=_problem(
            _Worst(0.0, score, -np.inf), limits, faces=len(images), matched=same, extra=0
        ),
    )


def _as_batch(model: Model, images: Sequence[NDArray[np.uint8]]) -> list[Outputs]:
    """The first two as one batch, taken apart again."""
    batch = np.concatenate([prepare(image, model.contract.input)[0] for image in images[:2]])
    together = model.raw(batch)
    return [
        {name: array[index : index + 1] for name, array in together.items()}
        for index in range(len(batch))
    ]


def _difference(
    expected: Sequence[NDArray[np.float32]], found: Sequence[NDArray[np.float32]]
) -> TensorDifference:
    one = np.concatenate([array.ravel() for array in expected]).astype(np.float64)
    other = np.concatenate([array.ravel() for array in found]).astype(np.float64)
    apart = np.abs(one - other)
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    cosine = float(one @ other / norms) if norms else 1.0
    return TensorDifference(float(apart.max()), float(apart.mean()), cosine)


def _compare_tensors(
    worst: _Worst, one: Outputs, other: Outputs, limits: Limits, least: float
) -> _Worst:
    scores = one["scores"][0]
    apart = np.abs(scores.astype(np.float64) - other["scores"][0])
    best = np.argsort(-scores, kind="stable")[:BEST_BOXES]
    best = best[scores[best] >= least]
    if not len(best):
        return worst.with_scores(apart)
    # Corners and landmarks of a box in one row.
    rows = [
        np.abs(array[0][best].astype(np.float64) - other[name][0][best]).reshape(len(best), -1)
        for name, array in one.items()
        if name != "scores"
    ]
    allowed = allowed_px(one["boxes"][0][best], limits.pixels, limits.of_side)
    return worst.with_scores(apart).with_boxes(np.concatenate(rows, 1).max(1), allowed)


def _compare_faces(
    worst: _Worst,
    wanted: Detections,
    seen: Detections,
    rivals: NDArray[np.float32],
    pairs: NDArray[np.intp],
    limits: Limits,
) -> _Worst:
    if not len(pairs):
        return worst
    first, second = pairs.T
    boxes = seen.boxes[second].astype(np.float64)
    corners = np.abs(wanted.boxes[first] - boxes).max(1)
    apart = corners
    if wanted.landmarks is not None and seen.landmarks is not None:
        points = np.abs(wanted.landmarks[first].astype(np.float64) - seen.landmarks[second])
        apart = np.maximum(corners, points.max((1, 2)))
    if len(rivals):
        # Of two boxes with next to equal scores NMS may keep the other: that is the one to compare.
        nearest = np.abs(boxes[:, None] - rivals).max(2).min(1)
        apart = np.where(nearest < corners, nearest, apart)
    scores = np.abs(wanted.scores[first].astype(np.float64) - seen.scores[second])
    allowed = allowed_px(wanted.boxes[first], limits.pixels, limits.of_side)
    return worst.with_scores(scores).with_boxes(apart, allowed)


def _problem(worst: _Worst, limits: Limits, *, faces: int, matched: int, extra: int) -> str | None:
    # Said so that NaN fails too.
    if not (worst.beyond <= 0 or worst.beyond == -np.inf):
        share = ""
        if limits.of_side:
            share = f" (or {limits.of_side:.0%} of a box)"
        return f"corners differ by {worst.pixels:.3g} px; allowed {limits.pixels:g} px{share}"
    if not worst.score <= limits.score:
        return f"scores differ by {worst.score:.3g}; allowed {limits.score:g}"
    if matched < faces or extra:
        return f"{faces - matched} of {faces} faces are not found, {extra} are found in addition"
    return None
