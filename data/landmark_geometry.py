"""What landmarks tell by where they lie: the order of the points, and whether they are any."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..results import LANDMARK_NAMES

Points = list[float]
"""Landmarks as ten numbers x, y in the order of `results.LANDMARK_NAMES`; NaN if unknown."""

UNKNOWN: Points = [math.nan] * (2 * len(LANDMARK_NAMES))

CROSSED = "landmarks with the person's left and right, exchanged"
ONE_POINT = "landmarks that are one point"
NOSE_ABOVE_EYES = "landmarks in another order: most noses lie above the eyes"

_LEFT_RIGHT = (1, 0, 2, 4, 3)
"""The landmarks' order with left and right exchanged."""

_FEWEST = 4
"""Number of faces from which on their noses tell the order; fewer may all be upside down."""


def are_crossed(faces: Iterable[Points]) -> bool:
    """Whether left and right are those of the persons, and not as seen in the picture.

    Faces that stand upright tell: nearly all of them must have the left eye on the right.
    """
    crossed = straight = 0
    for points in faces:
        left, top_left, right, top_right, _, nose = points[:6]
        if (top_left + top_right) / 2 > nose:  # false for NaN
            continue  # upside down
        crossed += left > right
        straight += left < right
    return crossed > 3 * straight


def exchanged(points: Points) -> Points:
    """The landmarks with left and right exchanged."""
    return [points[2 * place + axis] for place in _LEFT_RIGHT for axis in (0, 1)]


def is_one_point(points: Points) -> bool:
    """Whether all five points, in pixels, lie within one pixel of each other."""
    return all(max(some) - min(some) <= 1 for some in (points[::2], points[1::2])) and all(
        map(math.isfinite, points)
    )


def are_in_another_order(faces: Iterable[Points]) -> bool:
    """Whether the points are not in our order, as those of files that begin with the nose.

    More than three of four faces with all five points have the nose above the middle of the eyes.
    """
    above = whole = 0
    for points in faces:
        if all(map(math.isfinite, points)):
            whole += 1
            above += points[5] < (points[1] + points[3]) / 2
    return whole >= _FEWEST and 4 * above > 3 * whole
