"""Cut heads out of a photo, and lay their masks back into it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.align import cut_face, from_centres
from ...mask import Mask
from ...model_templates.contract import InputSpec
from .classes import classes_of
from .rules import SegmentationRules

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Transform = NDArray[np.float64]
"""float64 (2, 3), from a photo's pixels to the input's; both count from the outer edge of their
first pixel."""

_LEAST_SCALE = 0.75
"""Below this scale linear interpolation would skip pixels."""


def stretch(shape: tuple[int, ...], spec: InputSpec) -> Transform:
    """The transform of a photo that is a head already cut: its edges become the input's."""
    height, width = shape[:2]
    return np.array([[spec.width / width, 0, 0], [0, spec.height / height, 0]], np.float64)


def cut_head(image: Pixels, transform: Transform, spec: InputSpec) -> Pixels:
    """Cut a head as `cut_face` does, with all pixels of the photo counted where it shrinks.

    Returns:
        uint8 (height, width, 3) BGR, black beyond the photo.
    """
    part, moved = _reduced(image, transform, (spec.height, spec.width))
    if part.size == 0:
        return np.zeros((spec.height, spec.width, 3), np.uint8)
    return cut_face(np.asarray(part, np.uint8), moved, spec)


def place_masks(
    shares: Sequence[Floats],
    transforms: Sequence[Transform],
    shape: tuple[int, int],
    *,
    spec: InputSpec,
    rules: SegmentationRules,
) -> list[Mask]:
    """The masks of a photo's heads.

    A pixel that two heads claim is of the one whose centre is nearer, measured in that head's own
    input pixels, so that no face gets a part of its neighbour.

    Args:
        shares: For each head the probabilities at input size, (classes, height, width).
        transforms: For each head the transform that it was cut with.
        shape: Height and width of the photo.
        spec: The network's input.
        rules: The network's classes.
    """
    masks = []
    for share, transform in zip(shares, transforms, strict=True):
        probabilities, left, top = _lay_back(share, transform, shape)
        masks.append(Mask(probabilities, left, top, shape, rules.classes, rules.threshold))
    centre = np.array([spec.width, spec.height]) / 2
    for one, other in itertools.combinations(range(len(masks)), 2):
        rows, columns = _common(masks[one], masks[other])
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        claims = [_claims(masks[index], rows, columns) for index in (one, other)]
        y, x = np.nonzero(claims[0] & claims[1])
        if len(y) == 0:
            continue
        points = np.stack([x + columns.start + 0.5, y + rows.start + 0.5, np.ones(len(x))])
        away = [
            np.linalg.norm(transforms[index] @ points - centre[:, None], axis=0)
            for index in (one, other)
        ]
        for index, loses in ((one, away[1] < away[0]), (other, away[0] <= away[1])):
            mask = masks[index]
            drop = np.zeros(mask.probabilities.shape[1:], np.bool_)
            drop[
                y[loses] + rows.start - mask.top,
                x[loses] + columns.start - mask.left,
            ] = True
            masks[index] = mask.without(drop)
    return masks


def _lay_back(
    shares: Floats, transform: Transform, shape: tuple[int, int]
) -> tuple[Floats, int, int]:
    """Probabilities of a head, for the pixels of the photo that it covers.

    Returns:
        float32 (classes, h, w), and the column and row of the photo where that begins. Outside
        the head all is background.
    """
    count, height, width = shares.shape
    back = _inverse(transform)
    left, top, right, bottom = _covered(back, (height, width), shape)
    back[:, 2] -= (left, top)
    size = (right - left, bottom - top)
    found = np.zeros((count, size[1], size[0]), np.float32)
    if found.size == 0:
        return found, left, top
    # Values at the head's edge go on to the middle of the pixels that the edge runs through.
    for plane, share in zip(found, shares, strict=True):
        part, moved = _reduced(share, back, size[::-1])
        plane[:] = _warped(part, moved, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    ones = np.ones((height, width), np.uint8)
    head = _warped(ones, back, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    found *= head
    if count > 1:
        found[0] += 1 - head
    return found, left, top


def _reduced(
    image: NDArray[Any], transform: Transform, shape: tuple[int, int]
) -> tuple[NDArray[Any], Transform]:
    """What a transform needs of an image, shrunk so that linear interpolation skips no pixel.

    Args:
        image: (H, W) or (H, W, 3).
        transform: From the image's pixels to those of the target.
        shape: Height and width of the target.

    Returns:
        The image, or the part of it that the target shows, perhaps empty, shrunk; and the
        transform from that.
    """
    scales = np.linalg.norm(transform[:, :2], axis=0)  # along the image's x and y
    if min(scales) >= _LEAST_SCALE:
        return image, transform
    left, top, right, bottom = _covered(_inverse(transform), shape, image.shape, margin=2)
    part = image[top:bottom, left:right]
    if part.size == 0:
        return part, transform
    sides = np.array([right - left, bottom - top])
    small = np.where(scales < _LEAST_SCALE, np.maximum(1, np.rint(sides * scales)), sides)
    reduced = cv2.resize(part, small.astype(int).tolist(), interpolation=cv2.INTER_AREA)
    moved = transform.copy()
    moved[:, 2] += transform[:, :2] @ (left, top)
    moved[:, :2] *= sides / small
    return reduced, moved


def _covered(
    back: Transform, shape: tuple[int, int], whole: tuple[int, ...], *, margin: float = 0
) -> tuple[int, int, int, int]:
    """The rectangle of whole pixels that contains a picture laid into a photo, cut at its edges.

    Args:
        back: From the picture's pixels to the photo's.
        shape: Height and width of the picture.
        whole: Height and width of the photo.
        margin: Width of an edge around the picture, in its pixels.

    Returns:
        Left, top, right, bottom; without area if the picture lies beside the photo.
    """
    low, high = -margin, np.array(shape[::-1]) + margin
    corners = np.array([[low, low, 1], [high[0], low, 1], [low, high[1], 1], [*high, 1]])
    places = corners @ back.T
    # A hair's breadth of rounding must not add a row of pixels.
    first = np.floor(places.min(0) + 1e-6).clip(0, whole[1::-1])
    last = np.ceil(places.max(0) - 1e-6).clip(first, whole[1::-1])
    left, top = first.astype(int).tolist()
    right, bottom = last.astype(int).tolist()
    return left, top, right, bottom


def _inverse(transform: Transform) -> Transform:
    return np.asarray(cv2.invertAffineTransform(transform), np.float64)


def _warped(
    image: NDArray[Any], transform: Transform, size: tuple[int, int], flags: int, border: int
) -> NDArray[Any]:
    """Warp an image (H, W) to a size (width, height)."""
    return cv2.warpAffine(image, from_centres(transform), size, flags=flags, borderMode=border)


def _common(one: Mask, other: Mask) -> tuple[slice, slice]:
    """The rows and columns of the photo that two masks share; empty if there are none."""
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(one.place, other.place, strict=True)
    )
    return rows, columns


def _claims(mask: Mask, rows: slice, columns: slice) -> NDArray[np.bool_]:
    """The pixels of a part of the photo that are not of the background."""
    shares = mask.probabilities[
        :,
        rows.start - mask.top : rows.stop - mask.top,
        columns.start - mask.left : columns.stop - mask.left,
    ]
    return classes_of(shares, mask.threshold) > 0
