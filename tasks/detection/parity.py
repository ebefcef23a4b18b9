"""Compare two detectors: their raw outputs, and the resulting faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.pictures import Picture, pictures_for
from ...model_templates.contract import Contract
from ...results import Detections
from ...runtimes.session import Outputs
from ..comparison import (
    Comparison,
    TensorDifference,
    as_batch,
    kind_of,
    largest,
    raw_outputs,
    tensor_differences,
)
from ..model import Model
from .crowds import CROWD, crowd_pictures
from .matching import (
    MATCH_IOU,
    RIVAL_SCORES,
    RIVALS,
    Limits,
    Match,
    allowed_px,
    faces_in,
    faces_of,
    match_faces,
    nms_problem,
    rivals_in,
    rivals_of,
)
from .rules import detection_rules, is_final

DIGITS = {"boxes": 3, "landmarks": 3, RIVALS: 3}
"""Decimals of stored answers: a thousandth of a pixel is far below the smallest tolerance."""

BEST_BOXES = 100
"""Number of boxes in each image whose corners are compared: the best by the reference's score,
which may be low (except for int8), as an untrained network finds no face at all. Other boxes may
be far off, but nobody sees them."""


CHANCE = 0.05
"""Share of these boxes that may differ where they come from ranked proposals."""

LIMITS = {
    "fp32": Limits(pixels=0.5, of_side=0.0, score=1e-4),
    # FP16 rounds weights to 11 bits, so a box's error grows with its size.
    "fp16": Limits(pixels=1.0, of_side=0.01, score=5e-3),
    # A value halfway between two levels is rounded up in one model and down in the other, which
    # changes others: a box that is not a face moved by half a cell of 32 pixels and more, and
    # landmarks of a box with almost no score by 64. The faces found must still be the same, and so
    # must what is cut by their landmarks. After quantization those of face-detection-n and -s are
    # off by at most 0.05 of a face's side in OpenVINO, LiteRT and Core ML, and by 0.09 in ONNX, on
    # the check's pictures, 40 test photos of MTFL and 25 of WIDER FACE.
    "int8": Limits(pixels=24.0, of_side=0.05, score=0.1, compared_from=0.5),
}


class _Worst(NamedTuple):
    """Largest differences so far; `beyond` is the excess over the allowed one, if above 0."""

    pixels: float
    score: float
    beyond: float
    landmarks: float

    def with_boxes(self, pixels: NDArray[np.float64], allowed: NDArray[np.float64]) -> _Worst:
        if not pixels.size:
            return self
        # np.max passes NaN on, Python's max may not.
        return self._replace(
            pixels=largest(self.pixels, pixels.max()),
            beyond=largest(self.beyond, (pixels - allowed).max()),
        )

    def with_scores(self, apart: NDArray[np.float64]) -> _Worst:
        return self._replace(score=largest(self.score, apart.max(initial=0)))


def pictures(contract: Contract, folder: Path | None = None) -> list[Picture]:
    """See `tasks.parts.Parity`; includes crowds, for files with NMS inside."""
    return pictures_for(contract.input, folder) + crowd_pictures()


def is_for(contract: Contract, picture: Picture) -> bool:
    """See `tasks.parts.Parity`."""
    return picture.kind != CROWD or is_final(contract)


def compare(
    contract: Contract,
    expected: Sequence[Outputs],
    model: Model[Any],
    images: Sequence[NDArray[np.uint8]],
    *,
    answers_only: bool = False,
) -> Comparison:
    """See `tasks.parts.Parity`; the difference `corners_px` includes landmarks."""
    limits, rules = LIMITS[kind_of(model.contract)], detection_rules(contract)
    final = is_final(model.contract)
    found = raw_outputs(model, images)
    worst = _Worst(0.0, 0.0, -np.inf, 0.0)
    tensors: dict[str, TensorDifference] = {}
    if not final and not answers_only:
        least = limits.compared_from * rules.score_threshold
        for answers in (found, as_batch(model, images)):
            if rules.ranked:
                answers = [
                    reordered(*pair, limits) for pair in zip(expected, answers, strict=False)
                ]
            tensors = tensors or tensor_differences(expected, answers)
            for one, other in zip(expected, answers, strict=False):
                worst = _compare_tensors(worst, one, other, limits, least, ranked=rules.ranked)
    faces, matched, extra = 0, 0, 0
    inside: str | None = None
    for one, other in zip(expected, found, strict=True):
        wanted = faces_in(one) if answers_only else faces_of(contract, one)
        seen = faces_of(model.contract, other)
        rivals = rivals_in(one) if answers_only else rivals_of(contract, one, limits.score)
        match = match_faces(wanted, seen, rivals, rules, limits)
        faces += len(match.pairs) + match.lost
        matched += len(match.pairs)
        extra += match.extra
        if final:
            inside = inside or nms_problem(model.contract, other, limits)
        worst = _compare_faces(worst, wanted, seen, rivals, match, limits)
    differences = {"corners_px": worst.pixels, "score": worst.score}
    if "landmarks" in expected[0]:
        differences["landmarks"] = worst.landmarks
    return Comparison(
        tensors=tensors,
        differences=differences,
        tolerances=_tolerances(limits),
        asked=faces,
        agreed=matched,
        extra=extra,
        problem=_problem(worst, limits, faces=faces, matched=matched, extra=extra) or inside,
    )


def reordered(one: Outputs, other: Outputs, limits: Limits) -> Outputs:
    """Another network's outputs, in the order of what is most alike in the first one's."""
    boxes, scores = (
        [found[name][0].astype(np.float64) for found in (one, other)]
        for name in ("boxes", "scores")
    )
    apart = np.abs(boxes[0][:, None] - boxes[1][None]).max(-1) / limits.pixels
    apart += np.abs(scores[0][:, None] - scores[1][None]) / limits.score
    # NaN is like nothing; where there is nothing else, it stays to be seen.
    nearest = np.where(np.isnan(apart), np.inf, apart).argmin(1)
    return {name: array[:, nearest] for name, array in other.items()}


def answers_of(contract: Contract, outputs: Outputs) -> Outputs:
    """See `tasks.parts.Parity`; the faces, in network-input pixels.

    Also `RIVALS` (1, K, 4), boxes that a rounded network might find instead, with their scores.
    """
    found = faces_of(contract, outputs)
    # FP16 files may be compared with these answers too.
    rivals = rivals_of(contract, outputs, LIMITS["fp16"].score)
    answers = {
        "boxes": found.boxes[None],
        "scores": found.scores[None],
        RIVALS: rivals.boxes[None],
        RIVAL_SCORES: rivals.scores[None],
    }
    if found.landmarks is not None:
        answers["landmarks"] = found.landmarks[None]
    return answers


_LEAST_SCORE = 0.05
"""Lowest reference score of a box that counts in `error`, as background is never shown."""


def error(expected: Outputs, found: Outputs) -> float:
    """See `tasks.parts.Parity`; of scores, plus corners and landmarks as shares of the side."""
    shown = expected["scores"] >= _LEAST_SCORE
    if not shown.any():
        return 0.0
    scores = np.abs(expected["scores"] - found["scores"])[shown].mean()
    boxes = expected["boxes"][shown]
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1).clip(min=1)
    corners = np.abs(boxes - found["boxes"][shown]).max(1) / sides
    points = 0.0
    if "landmarks" in expected:
        ones, others = (outputs["landmarks"][shown] for outputs in (expected, found))
        points = _points_apart(ones, others, sides).mean()
    return float(scores + corners.mean() + points)


def _points_apart(
    ones: NDArray[Any], others: NDArray[Any], sides: NDArray[Any]
) -> NDArray[np.float64]:
    """How far landmarks (N, 5, 2) are apart, on average as shares of the boxes' sides (N,)."""
    ways = ones.astype(np.float64) - others
    return np.asarray(np.linalg.norm(ways, axis=2).mean(1) / sides)


def _tolerances(limits: Limits) -> dict[str, float]:
    return {
        "corners_px": limits.pixels,
        "corners_of_side": limits.of_side,
        "score": limits.score,
        "match_iou": MATCH_IOU,
        "compared_boxes": float(BEST_BOXES),
        "compared_from": limits.compared_from,
        "landmarks": limits.landmarks,
    }


def _compare_tensors(
    worst: _Worst,
    one: Outputs,
    other: Outputs,
    limits: Limits,
    least: float,
    *,
    ranked: bool,
) -> _Worst:
    scores = one["scores"][0]
    apart = np.abs(scores.astype(np.float64) - other["scores"][0])
    best = np.argsort(-scores, kind="stable")[:BEST_BOXES]
    if ranked:
        # Below, they may be any: around a photo all proposals of a level have the same rank.
        least = max(least, limits.score)
    best = best[scores[best] >= least]
    if ranked and len(best):
        best, apart = _kept_proposals(one, other, best, limits)
    if not len(best):
        return worst.with_scores(apart)
    # One row holds a box's corners and landmarks.
    rows = [
        np.abs(array[0][best].astype(np.float64) - other[name][0][best]).reshape(len(best), -1)
        for name, array in one.items()
        if name != "scores"
    ]
    allowed = allowed_px(one["boxes"][0][best], limits.pixels, limits.of_side)
    return worst.with_scores(apart).with_boxes(np.concatenate(rows, 1).max(1), allowed)


def _kept_proposals(
    one: Outputs, other: Outputs, best: NDArray[np.intp], limits: Limits
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The best boxes except the share `CHANCE` that is least alike, and how far scores are apart.

    Whether a proposal is looked at hangs on its rank and on NMS, and where it is close, rounding
    decides; what then is looked at instead is another box.
    """
    corners = np.abs(one["boxes"][0][best].astype(np.float64) - other["boxes"][0][best]).max(1)
    scores = np.abs(one["scores"][0][best].astype(np.float64) - other["scores"][0][best])
    unlike = np.maximum(corners / limits.pixels, scores / limits.score)
    count = math.ceil(len(best) * (1 - CHANCE))
    kept = np.argsort(unlike, kind="stable")[:count]  # NaN last
    if np.isnan(unlike).any():
        kept = np.arange(len(best))
    return best[kept], scores[kept]


def _compare_faces(
    worst: _Worst,
    wanted: Detections,
    seen: Detections,
    rivals: Detections,
    match: Match,
    limits: Limits,
) -> _Worst:
    if not len(match.pairs):
        return worst
    first, second = match.pairs.T
    apart = _apart(wanted, first, seen, second, limits)
    unlike = _unlike(apart, limits)
    # Where NMS may have kept another box, that is compared if it is more alike.
    every = np.arange(len(rivals))
    for pair in np.flatnonzero(match.replaced & ~(unlike <= 1)) if len(rivals) else ():
        its = _apart(rivals, every, seen, np.full(len(rivals), second[pair]), limits)
        its.score[:] = np.where(np.isnan(rivals.scores), apart.score[pair], its.score)
        its_unlike = _unlike(its, limits)
        best = its_unlike.argmin()
        # A box in the right place has another score by itself, unless a rival explains it.
        if its_unlike[best] <= (1 if apart.pixels[pair] <= apart.allowed[pair] else unlike[pair]):
            for one, other in zip(apart, its, strict=True):
                one[pair] = other[best]
    worst = worst._replace(landmarks=largest(worst.landmarks, apart.landmarks.max()))
    return worst.with_scores(apart.score).with_boxes(apart.pixels, apart.allowed)


class _Apart(NamedTuple):
    """How far pairs of faces are apart, float64 (P,) each.

    Attributes:
        pixels: Corners and landmarks, in pixels.
        allowed: How many pixels may be.
        score: Scores.
        landmarks: Landmarks on average, as shares of the box's longer side; 0 if there are none.
    """

    pixels: NDArray[np.float64]
    allowed: NDArray[np.float64]
    score: NDArray[np.float64]
    landmarks: NDArray[np.float64]


def _apart(
    ones: Detections,
    first: NDArray[np.intp],
    others: Detections,
    second: NDArray[np.intp],
    limits: Limits,
) -> _Apart:
    boxes = ones.boxes[first].astype(np.float64)
    pixels = np.abs(boxes - others.boxes[second]).max(1)
    points = np.zeros(len(first))
    if ones.landmarks is not None and others.landmarks is not None:
        here, there = ones.landmarks[first].astype(np.float64), others.landmarks[second]
        pixels = np.maximum(pixels, np.abs(here - there).max((1, 2)))
        points = _points_apart(here, there, (boxes[:, 2:] - boxes[:, :2]).max(1).clip(min=1))
    allowed = allowed_px(ones.boxes[first], limits.pixels, limits.of_side)
    score = np.abs(ones.scores[first].astype(np.float64) - others.scores[second])
    return _Apart(pixels, allowed, score, points)


def _unlike(apart: _Apart, limits: Limits) -> NDArray[np.float64]:
    """The largest part of what is allowed that pairs are apart, (P,); above 1 too far."""
    ratios = (
        apart.pixels / apart.allowed,
        apart.score / limits.score,
        apart.landmarks / limits.landmarks,
    )
    return np.asarray(np.max(ratios, axis=0))


def _problem(worst: _Worst, limits: Limits, *, faces: int, matched: int, extra: int) -> str | None:
    # This form fails for NaN too.
    if not (worst.beyond <= 0 or worst.beyond == -np.inf):
        share = ""
        if limits.of_side:
            share = f" (or {limits.of_side:.0%} of a box)"
        return f"corners differ by {worst.pixels:.3g} px; allowed {limits.pixels:g} px{share}"
    if not worst.landmarks <= limits.landmarks:
        return (
            f"landmarks differ by {worst.landmarks:.1%} of a face's side; "
            f"allowed {limits.landmarks:.0%}"
        )
    if not worst.score <= limits.score:
        return f"scores differ by {worst.score:.3g}; allowed {limits.score:g}"
    if matched < faces or extra:
        return f"{faces - matched} of {faces} faces are not found, {extra} are found in addition"
    return None
