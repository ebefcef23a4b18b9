"""Boxes of COCO annotations: their numbers, boxes of polygons, and shares in place of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Box = tuple[float, float, float, float]

_NUMBERS = {int, float, type(None)}

_MIN_SIDE = 0.01
"""Smallest width and height, in pixels, of a box's part inside its photo."""

_SLACK = 0.02
"""By how much a box in shares of its photo may lie outside of it."""


def numbers_in(value: object, count: int) -> list[float] | None:
    """A list of `count` numbers, null as NaN; None for anything else."""
    if not isinstance(value, list) or len(value) != count or not set(map(type, value)) <= _NUMBERS:
        return None
    return [
        math.nan if item is None
        # JSON integers have no bound; those beyond float64 count as infinite.
        else item if -1e300 < item < 1e300
        else math.inf
        for item in value
    ]  # fmt: skip


def polygon_box(record: Mapping[str, Any]) -> list[float] | None:
    """The box x, y, width, height around an annotation's polygons; None if it has none."""
    polygons = record.get("segmentation")
    if not isinstance(polygons, list) or not polygons:
        return None
    if not isinstance(polygons[0], list):
        polygons = [polygons]
    numbers: list[float] = []
    for polygon in polygons:
        some = numbers_in(polygon, len(polygon)) if isinstance(polygon, list) else None
        if some is None or len(some) < 6 or len(some) % 2 or not all(map(math.isfinite, some)):
            return None
        numbers += some
    left, top = min(numbers[::2]), min(numbers[1::2])
    return [left, top, max(numbers[::2]) - left, max(numbers[1::2]) - top]


def are_shares(boxes: Iterable[Sequence[float]]) -> bool:
    """Whether boxes x, y, width, height are shares of the photo's sides, from 0 to 1.

    They are if all lie within the first pixel of their photo and not all are whole numbers: faces
    of pixels would all be smaller than one, and in the same corner.
    """
    broken = False
    for box in boxes:
        if not _in_first_pixel(box):
            return False
        broken = broken or _is_broken(box)
    return broken


def are_no_shares(boxes: Iterable[Sequence[float]]) -> bool:
    """Whether boxes, for which `are_shares` is false, are in shares in another way, as x1 to y2."""
    broken = False
    for box in boxes:
        if min(box) < 0 or max(box) > 1 + _SLACK:
            return False
        broken = broken or _is_broken(box)
    return broken


def is_share(box: Sequence[float]) -> bool:
    """Whether one box, by itself, could be such shares."""
    return _in_first_pixel(box) and _is_broken(box)


def _in_first_pixel(box: Sequence[float]) -> bool:
    x, y, w, h = box
    return min(x, y) >= -_SLACK and max(x + w, y + h) <= 1 + _SLACK


def _is_broken(box: Sequence[float]) -> bool:
    return any(side % 1 for side in box)


def clipped(box: Sequence[float], width: int, height: int) -> Box | None:
    """The corners of the part of a box x, y, width, height in its photo; None if there is none."""
    x, y, w, h = box
    x1, y1, x2, y2 = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
    return None if x2 - x1 < _MIN_SIDE or y2 - y1 < _MIN_SIDE else (x1, y1, x2, y2)
