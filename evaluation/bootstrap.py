"""Average precision with its uncertainty, to compare detectors on the same photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.coco import Photo
from ..results import Detections, pairwise_intersection, pairwise_iou


@dataclass(frozen=True, eq=False)
class Matches:
    """A detector's boxes over all photos, best score first, and whether each is a hit.

    Attributes:
        hits: Whether the box is a face that no better box has found, bool (D,).
        scores: Scores in descending order, float64 (D,).
        photo: Index of the box's photo, int (D,).
        faces: Number of faces to find in each photo, int (P,).
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
        photos: The photos with their faces.
        detections: Boxes found in each photo, in the annotation's pixels, best first.
        iou: Smallest IoU of a hit. Boxes that match only an uncounted face, or lie by that share
            in an ignored region, are dropped.
        uncounted: For each photo, bool (faces,): the faces that do not count.
    """
    hits, scores, index = [np.zeros(0, bool)], [np.zeros(0)], [np.zeros(0, np.intp)]
    faces = []
    for place, (photo, found) in enumerate(zip(photos, detections, strict=True)):
        overlaps = pairwise_iou(found.boxes, photo.boxes)
        skipped = np.zeros_like(photo.ignore) if uncounted is None else uncounted[place]
        free = ~photo.ignore & ~skipped
        # As in COCO, the overlap with a crowd is the share of the box inside it.
        whole = np.maximum((found.boxes[:, 2:] - found.boxes[:, :2]).prod(1), 1e-9)
        inside = pairwise_intersection(found.boxes, photo.boxes[photo.ignore]) / whole[:, None]
        passed = (inside >= iou).any(1) | (overlaps[:, skipped & ~photo.ignore] >= iou).any(1)
        faces.append(int(free.sum()))
        hit = np.zeros(len(found), bool)
        for row in np.flatnonzero((overlaps[:, free] >= iou).any(1)):
            open_ones = np.where(free, overlaps[row], 0.0)
            best = open_ones.argmax()
            hit[row] = open_ones[best] >= iou
            free[best] &= not hit[row]
        kept = hit | ~passed
        hits.append(hit[kept])
        scores.append(found.scores[kept])
        index.append(np.full(kept.sum(), place))
    every = np.concatenate(scores)
    order = np.argsort(-every, kind="stable")
    return Matches(
        hits=np.concatenate(hits)[order],
        scores=every[order],
        photo=np.concatenate(index)[order],
        faces=np.array(faces, np.intp),
    )


def average_precision_of(matches: Matches, times: NDArray[np.intp] | None = None) -> float:
    """Area under the curve of precision over recall, 0 to 1.

    Args:
        matches: Matches of one detector.
        times: How often each photo counts, int (P,); None for once.
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
        many: Matches of each detector, on the same photos.
        rounds: Number of draws.
        seed: Seed of the draws.

    Returns:
        float64 (detectors, rounds).
    """
    count = len(many[0].faces)
    draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=rounds)
    return np.array([[average_precision_of(one, draw) for draw in draws] for one in many])
