"""A detector's faces found and false alarms at one score threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.coco import Photo
from ..results import Detections
from .bootstrap import match_faces

SMALLEST = 1 / 64
"""Longer side of the smallest counted faces, as a share of the photo's: 10 of 640 pixels."""


def best_f1(photos: Sequence[Photo], detections: Sequence[Detections]) -> dict[str, float | None]:
    """The score threshold with the best F1 at IoU 0.5, and that F1.

    Faces smaller than `SMALLEST` are ignored, found or not: in photos of crowds they outnumber
    the others, and a threshold fitted to them would show false faces everywhere.

    Args:
        photos: The photos that both are fitted to; measure the threshold's accuracy on others.
        detections: Boxes found in each photo, down to a low score.

    Returns:
        `best_f1`, 0 to 1, and `best_f1_threshold`; both None if no face counts, the threshold
        also if no box is found.
    """
    matches = match_faces(photos, detections, uncounted=_not_of_size(photos, SMALLEST))
    faces = int(matches.faces.sum())
    if not faces or not len(matches.hits):
        return {"best_f1": 0.0 if faces else None, "best_f1_threshold": None}
    found, made = np.cumsum(matches.hits), np.arange(1, len(matches.hits) + 1)
    # Boxes of equal score are all shown or all hidden.
    whole = np.append(np.diff(matches.scores) != 0, True)
    best = int((whole * 2 * found / (made + faces)).argmax())
    f1 = 2 * found[best] / (made[best] + faces)
    return {"best_f1": float(f1), "best_f1_threshold": float(matches.scores[best])}


SIZES = {
    "recall_10": (1 / 64, 1 / 32),
    "recall_20": (1 / 32, 1 / 16),
    "recall_40": (1 / 16, np.inf),
}
"""Range of a face's longer side as a share of its photo's: from 10, 20 and 40 of 640 pixels."""


def at_threshold(
    photos: Sequence[Photo], detections: Sequence[Detections], threshold: float
) -> dict[str, float | None]:
    """Shares of faces found at IoU 0.5, by size, and false alarms.

    Args:
        photos: The photos to measure on.
        detections: Boxes found in each photo, best first.
        threshold: Lowest score of a box that is shown.

    Returns:
        For each of `SIZES` the share found, 0 to 1, None if no face has that size; and
        `false_alarms`, the number of boxes per photo that are not a face of any size.
    """
    shown = [found.above(threshold) for found in detections]
    figures: dict[str, float | None] = {}
    for key, sizes in SIZES.items():
        matches = match_faces(photos, shown, uncounted=_not_of_size(photos, *sizes))
        faces = int(matches.faces.sum())
        figures[key] = float(matches.hits.sum() / faces) if faces else None
    hits = match_faces(photos, shown).hits
    return figures | {"false_alarms": float((~hits).sum() / len(photos))}


def _not_of_size(
    photos: Sequence[Photo], least: float, below: float = np.inf
) -> list[NDArray[np.bool_]]:
    """For each photo, which faces are outside a range of sizes; see `SIZES`."""
    found = []
    for photo in photos:
        sides = (photo.boxes[:, 2:] - photo.boxes[:, :2]).max(1, initial=0)
        shares = sides / max(photo.width, photo.height)
        found.append((shares < least) | (shares >= below))
    return found
