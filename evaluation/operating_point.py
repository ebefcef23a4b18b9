"""What a detector's user sees: faces found and false ones, from one score on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.coco import Photo
from ..results import Detections
from .bootstrap import match_faces

SMALLEST = 1 / 64
"""Longer side of the smallest faces that count, as a share of the photo's: 10 of 640 pixels."""


def best_f1(photos: Sequence[Photo], detections: Sequence[Detections]) -> dict[str, float | None]:
    """The score threshold with the best F1 at IoU 0.5, and that F1.

    Smaller faces than `SMALLEST` are ignored, found or not: on photos of crowds they outnumber
    the others, and a threshold made for them would show false faces everywhere.

    Args:
        photos: Both figures are fitted to these: what a detector is worth at that threshold, others
            must say.
        detections: Of each photo, at a low score floor.

    Returns:
        `best_f1`, 0 to 1, and `best_f1_threshold`; None both where no face counts.
    """
    matches = match_faces(photos, detections, uncounted=_not_of_size(photos, SMALLEST))
    faces = int(matches.faces.sum())
    if not faces or not len(matches.hits):
        return {"best_f1": None, "best_f1_threshold": None}
    found, made = np.cumsum(matches.hits), np.arange(1, len(matches.hits) + 1)
    # Boxes of one score are shown together or not at all.
    whole = np.append(np.diff(matches.scores) != 0, True)
    best = int((whole * 2 * found / (made + faces)).argmax())
    f1 = 2 * found[best] / (made[best] + faces)
    return {"best_f1": float(f1), "best_f1_threshold": float(matches.scores[best])}


SIZES = {
    "recall_10": (1 / 64, 1 / 32),
    "recall_20": (1 / 32, 1 / 16),
    "recall_40": (1 / 16, np.inf),
}
"""Longer side of a face as a share of its photo's, from and below: 10, 20 and 40 of 640 pixels."""


def at_threshold(
    photos: Sequence[Photo], detections: Sequence[Detections], threshold: float
) -> dict[str, float | None]:
    """Faces found at IoU 0.5, by their size, and false ones.

    Args:
        photos: To judge on.
        detections: Of each photo, best first.
        threshold: Least score of a box that is shown.

    Returns:
        Each of `SIZES`, 0 to 1, None where no face has that size; and `false_alarms`, boxes for
        each photo that are no face of any size.
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
    """Which faces of each photo have another size; sizes as in `SIZES`."""
    found = []
    for photo in photos:
        sides = (photo.boxes[:, 2:] - photo.boxes[:, :2]).max(1, initial=0)
        shares = sides / max(photo.width, photo.height)
        found.append((shares < least) | (shares >= below))
    return found
