"""Lay masks of heads into the photo that the heads were cut from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.align import Transform, covered, from_centres, inverse, reduced
from ...mask import Mask
from ...model_templates.contract import InputSpec
from .classes import classes_of
from .rules import SegmentationRules

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def stretch(shape: tuple[int, ...], spec: InputSpec) -> Transform:
    """The transform of a photo that is a head already cut: its edges become the input's."""
    height, width = shape[:2]
    return np.array([[spec.width / width, 0, 0], [0, spec.height / height, 0]], np.float64)


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
    back = inverse(transform)
    left, top, right, bottom = covered(back, (height, width), shape)
    back[:, 2] -= (left, top)
    size = (right - left, bottom - top)
    found = np.zeros((count, size[1], size[0]), np.float32)
    if found.size == 0:
        return found, left, top
    # Values at the head's edge go on to the middle of the pixels that the edge runs through.
    for plane, share in zip(found, shares, strict=True):
        part, moved = reduced(share, back, size[::-1])
        plane[:] = _warped(part, moved, size, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    ones = np.ones((height, width), np.uint8)
    head = _warped(ones, back, size, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    found *= head
    if count > 1:
        found[0] += 1 - head
    return found, left, top


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
