"""What landmarks tell by where they lie: the order of the points, and whether they are any."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..results import LANDMARK_NAMES

Points = list[float]
"""Landmarks as ten numbers x, y in the order of `results.LANDMARK_NAMES`; NaN if unknown."""

Placed = NDArray[np.floating]
"""Landmarks of several faces, (N, 5, 2): x, y in that order; NaN if unknown."""

UNKNOWN: Points = [math.nan] * (2 * len(LANDMARK_NAMES))

CROSSED = "landmarks with the person's left and right, exchanged"
ONE_POINT = "landmarks that are one point"
NOSE_ABOVE_EYES = "landmarks in another order: most noses lie above the eyes"

ARCFACE_SIDE = 112
ARCFACE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Landmarks of a frontal face, as ArcFace aligns it to 112 x 112 (Deng et al. 2019)."""

LEFT_RIGHT = (1, 0, 2, 4, 3)
"""The landmarks' order with left and right exchanged."""

_FEWEST = 4
"""Number of faces from which on their noses tell the order; fewer may all be upside down."""


def are_crossed(faces: Placed) -> bool:
    """Whether left and right are those of the persons, and not as seen in the picture.

    Faces that stand upright tell: nearly all of them must have the left eye on the right.
    """
    upright = faces[~_noses_above_eyes(faces)]
    left, right = upright[:, 0, 0], upright[:, 1, 0]
    return bool((left > right).sum() > 3 * (left < right).sum())


def exchanged(points: Points) -> Points:
    """The landmarks with left and right exchanged."""
    return [points[2 * place + axis] for place in LEFT_RIGHT for axis in (0, 1)]


def are_one_point(faces: Placed) -> NDArray[np.bool_]:
    """The faces, bool (N,), whose five points, in pixels, lie within one pixel of each other."""
    return np.asarray((np.ptp(faces, axis=1) <= 1).all(axis=1))  # false for NaN


def are_in_another_order(faces: Placed) -> bool:
    """Whether the points are not in our order, as those of files that begin with the nose.

    More than three of four faces with all five points have the nose above the middle of the eyes.
    """
    whole = faces[np.isfinite(faces).all(axis=(1, 2))]
    return len(whole) >= _FEWEST and 4 * int(_noses_above_eyes(whole).sum()) > 3 * len(whole)


def _noses_above_eyes(faces: Placed) -> NDArray[np.bool_]:
    return np.asarray(faces[:, :2, 1].mean(axis=1) > faces[:, 2, 1])  # false for NaN
