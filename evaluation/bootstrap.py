"""Average precision with its uncertainty: which of several detectors is better on these photos?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.coco import Photo
from ..results import Detections, pairwise_intersection, pairwise_iou


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of a detector's boxes, best score first, over all photos.

    Attributes:
        hits: bool (D,): it is a face that no better box has found.
        scores: float64 (D,): falling.
        photo: int (D,): index of its photo.
        faces: int (P,): faces to be found in each photo.
    """

    hits: NDArray[np.bool_]
    scores: NDArray[np.float64]
    photo: NDArray[np.intp]
    faces: NDArray[np.intp]


def match_faces(
    photos: Sequence[Photo],
    detections: Sequence[Detections],
    *,
    iou: float = 0.5,
    uncounted: Sequence[NDArray[np.bool_]] | None = None,
) -> Matches:
    """Match boxes to faces, greedily and best score first, as COCO does.

    Args:
        photos: With the faces.
        detections: Of each photo, in the annotation's pixels, best first.
        iou: Least overlap of a hit. Boxes that only match a face that does not count, or lie by
            that share in an ignored region, count for nothing.
        uncounted: bool (faces,) of each photo: its faces that do not count this time.
    """
    hits, index, scores, faces = [], [], [], []
    for place, (photo, found) in enumerate(zip(photos, detections, strict=True)):
        overlaps = pairwise_iou(found.boxes, photo.boxes)
        skipped = np.zeros_like(photo.ignore) if uncounted is None else uncounted[place]
        free = ~photo.ignore & ~skipped
        # COCO: of crowds it counts how much of the box they hold.
        whole = np.maximum((found.boxes[:, 2:] - found.boxes[:, :2]).prod(1), 1e-9)
        inside = pairwise_intersection(found.boxes, photo.boxes[photo.ignore]) / whole[:, None]
        passed = (inside >= iou).any(1) | (overlaps[:, skipped & ~photo.ignore] >= iou).any(1)
        faces.append(int(free.sum()))
        for row, score, neither in zip(overlaps, found.scores, passed, strict=True):
            open_ones = np.where(free, row, 0.0)
            hit = bool(open_ones.size) and open_ones.max() >= iou
            if hit:
                free[open_ones.argmax()] = False
            elif neither:
                continue
            hits.append(hit)
            index.append(place)
            scores.append(score)
    order = np.argsort(-np.array(scores), kind="stable")
    return Matches(
        hits=np.array(hits, bool)[order],
        scores=np.array(scores, np.float64)[order],
        photo=np.array(index, np.intp)[order],
        faces=np.array(faces, np.intp),
    )


def average_precision_of(matches: Matches, times: NDArray[np.intp] | None = None) -> float:
    """Area under the curve of precision over recall, 0 to 1.

    Args:
        matches: Of one detector.
        times: int (P,): how often each photo counts; None for once.
    """
    weights = np.ones(len(matches.faces)) if times is None else times.astype(np.float64)
    total = float(weights @ matches.faces)
    if not total or not matches.hits.size:
        return 0.0
    each = weights[matches.photo]
    found, made = np.cumsum(each * matches.hits), np.cumsum(each)
    precision = found / np.maximum(made, 1e-9)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.diff(found, prepend=0.0) @ best_from_here) / total


def resampled(many: Sequence[Matches], *, rounds: int = 2000, seed: int = 0) -> NDArray[np.float64]:
    """Average precision on photos drawn with replacement, the same draw for all detectors.

    Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.

    Args:
        many: Of several detectors on the same photos.
        rounds: Draws.
        seed: Of the draws.

    Returns:
        float64 (detectors, rounds).
    """
    count = len(many[0].faces)
    draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=rounds)
    return np.array([[average_precision_of(one, draw) for draw in draws] for one in many])
