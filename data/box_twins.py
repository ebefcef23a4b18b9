"""Find boxes of one photo that are the same face again, written with fewer digits."""

from __future__ import annotations

from collections.abc import Sequence

from .coco_boxes import Box

_ROUNDED = 0.501
"""Largest difference in pixels of x, y, width and height from those rounded to whole numbers.

WIDER FACE has faces of their own whose boxes differ by one pixel.
"""

_IOU = 0.7

_AHEAD = 50
"""With how many boxes that begin in the same column each one is compared at most."""


def twins(boxes: Sequence[Box]) -> dict[int, int]:
    """The place of each box that is there before, but for rounding, by its own place."""
    found: dict[int, int] = {}
    lefts = [box[0] for box in boxes]
    order = sorted(range(len(boxes)), key=lefts.__getitem__)
    for start, place in enumerate(order, start=1):
        limit = lefts[place] + _ROUNDED
        for step in range(start, min(start + _AHEAD, len(order))):
            other = order[step]
            if lefts[other] > limit:
                break
            if _are_twins(boxes[place], boxes[other]):
                first, second = min(place, other), max(place, other)
                # Of three in a row the one in the middle may be neither's.
                found[second] = min(first, found.get(second, first))
    return {place: first for place, first in found.items() if first not in found}


def _are_twins(one: Box, other: Box) -> bool:
    x1, y1, x2, y2 = one
    u1, v1, u2, v2 = other
    if abs(v1 - y1) > _ROUNDED:  # of most
        return False
    w, h, other_w, other_h = x2 - x1, y2 - y1, u2 - u1, v2 - v1
    if max(abs(u1 - x1), abs(other_w - w), abs(other_h - h)) > _ROUNDED:
        return False
    inner = max(min(x2, u2) - max(x1, u1), 0.0) * max(min(y2, v2) - max(y1, v1), 0.0)
    return inner >= _IOU * (w * h + other_w * other_h - inner)
