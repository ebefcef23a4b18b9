"""Which pixels of a picture hide a face."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...mask import Mask

Shape = Literal["ellipse", "box", "mask"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

Area = tuple[slice, slice]
"""Rows and columns of a picture."""

Opacity = NDArray[np.float32]

_SOFT = 0.04
"""Width of the soft edge, around what is hidden, as a share of the face's longer side."""

_INSIDE = 0.8
"""Of the box, what a mask hides too: masks leave glasses out, and may miss a part."""


def outline_of(
    box: NDArray[np.float32],
    size: tuple[int, int],
    *,
    shape: Shape,
    grow: float,
    mask: Mask | None = None,
) -> tuple[Area, Opacity] | None:
    """The pixels that hide a face: 1 inside, less along a soft edge around that.

    Args:
        box: x1, y1, x2, y2, float32 (4,), in pixels of the picture.
        size: Height and width of the picture.
        shape: An ellipse, the box, or the mask with no holes and its dents filled. The mask always
            has the ellipse of `_INSIDE` of the box in it.
        grow: How large it is relative to the box, or by how much the mask becomes larger.
        mask: Of the face; needed for `mask`.

    Returns:
        An area of the picture and float32 (h, w) for it; None where nothing of it is in the
        picture.

    Raises:
        InputError: The box is not finite: nobody knows what it hides.
    """
    if not np.isfinite(box).all():
        raise InputError(f"box of a face: {box.tolist()}: expected finite numbers")
    sides = np.maximum(box[2:] - box[:2], 1).astype(np.float64)
    centre = (box[:2] + box[2:]).astype(np.float64) / 2
    soft = max(1.0, _SOFT * float(sides.max()))
    # A mask may reach beyond its box: forehead, chin.
    reach = sides * (grow if shape != "mask" else grow + 1) / 2 + soft
    # Clipped first: numbers beyond an int's would become any.
    low = np.floor(centre - reach).clip(0, size[::-1]).astype(int)
    high = np.ceil(centre + reach).clip(0, size[::-1]).astype(int)
    if not (low < high).all():
        return None
    area = slice(low[1], high[1]), slice(low[0], high[0])
    x = (np.arange(low[0], high[0]) + 0.5 - centre[0]).astype(np.float32)[None]
    y = (np.arange(low[1], high[1]) + 0.5 - centre[1]).astype(np.float32)[:, None]
    if shape == "box":
        half = sides * grow / 2
        beyond = np.maximum(np.abs(x) - np.float32(half[0]), np.abs(y) - np.float32(half[1]))
        return area, _fading(beyond, soft)
    if shape == "ellipse":
        return area, _fading(_beyond_ellipse(x, y, sides * grow / 2), soft)
    assert mask is not None, "the shape mask needs masks"
    inside = (_beyond_ellipse(x, y, sides * _INSIDE / 2) <= 0).astype(np.uint8)
    inside |= mask.mask[area]
    whole = _hull(inside)
    outside = cv2.distanceTransform(1 - whole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    more = (grow - 1) * float(sides.max()) / 2
    return area, _fading(np.asarray(outside, np.float32) - np.float32(more), soft)


def _beyond_ellipse(
    x: NDArray[np.float32], y: NDArray[np.float32], half: NDArray[np.float64]
) -> NDArray[np.float32]:
    """About how many pixels a place is outside of an ellipse; below 0 inside."""
    # In place, as most of a video's time for drawing goes here.
    beyond = np.asarray((x / np.float32(half[0])) ** 2 + (y / np.float32(half[1])) ** 2)
    np.sqrt(beyond, out=beyond)
    beyond -= 1
    beyond *= np.float32(half.min())
    return beyond


def _fading(beyond: NDArray[np.float32], soft: float) -> Opacity:
    """1 where `beyond`, which is overwritten, is 0 or less, falling to 0 at `soft`."""
    beyond *= np.float32(-1 / soft)
    beyond += 1
    return np.clip(beyond, 0, 1, out=beyond)


def _hull(inside: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The convex hull of what is marked: no holes where glasses, hair or hands are."""
    points = cv2.findNonZero(inside)
    whole = np.zeros_like(inside)
    if points is not None:
        cv2.fillConvexPoly(whole, cv2.convexHull(points), 1)
    return whole
