"""From which score on a detector's boxes should count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
        photos: Not those that the detector is to be judged on.
        detections: Of each photo, at a low score floor.

    Returns:
        `best_f1`, 0 to 1, and `best_f1_threshold`; None both where no face counts.
    """
    counted = [replace(photo, ignore=photo.ignore | _small(photo)) for photo in photos]
    matches = match_faces(counted, detections)
    faces = int(matches.faces.sum())
    if not faces or not len(matches.hits):
        return {"best_f1": None, "best_f1_threshold": None}
    found, made = np.cumsum(matches.hits), np.arange(1, len(matches.hits) + 1)
    f1 = 2 * found / (made + faces)
    best = int(f1.argmax())
    return {"best_f1": float(f1[best]), "best_f1_threshold": float(matches.scores[best])}


def _small(photo: Photo) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    sides = (photo.boxes[:, 2:] - photo.boxes[:, :2]).max(1, initial=0)
    return np.asarray(sides < SMALLEST * max(photo.width, photo.height))
