"""How far a detector's landmarks are from those that are labelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.coco import Photo
from ..results import Detections, pairwise_iou

MATCH_IOU = 0.5
"""Lowest IoU of a labelled face and the box that found it."""


def landmark_errors(
    photos: Sequence[Photo], detections: Sequence[Detections]
) -> NDArray[np.float64]:
    """Normalised mean error of the faces found, as shares of their sizes.

    The error of a face is the mean distance of its five landmarks from the labelled ones, divided
    by the square root of the labelled box's area, which, unlike the distance between the eyes,
    turned heads do not make small (Deng et al. 2020, "RetinaFace", AFLW).

    Args:
        photos: The photos, with their labelled landmarks.
        detections: Boxes found in each photo with landmarks, in the annotation's pixels, best
            first.

    Returns:
        float64 (faces,): of each face that counts, has all five landmarks labelled, and is found;
        in the order of the photos.
    """
    errors = [np.zeros(0)]
    for photo, found in zip(photos, detections, strict=True):
        labelled = with_landmarks(photo)
        if found.landmarks is None or not len(found) or not labelled.any():
            continue
        boxes = photo.boxes[labelled]
        near = pairwise_iou(boxes, found.boxes) >= MATCH_IOU
        best = near.argmax(1)  # of those that match, the one with the highest score
        distances = np.linalg.norm(photo.landmarks[labelled] - found.landmarks[best], axis=2)
        sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(1))
        errors.append((distances.mean(1) / sides)[near.any(1)])
    return np.concatenate(errors)


def with_landmarks(photo: Photo) -> NDArray[np.bool_]:
    """Which of a photo's faces count and have all five landmarks labelled, bool (N,)."""
    return np.asarray(np.isfinite(photo.landmarks).all((1, 2)) & ~photo.ignore)
