"""Cut aligned faces and heads from photos, as networks need them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model_templates.contract import InputSpec

Transform = NDArray[np.float64]
"""float64 (2, 3), as `cv2.warpAffine` takes it, but that pixels are counted from the outer edge of
the first one."""

_LEAST_SCALE = 0.75
"""Below this scale linear interpolation would skip pixels."""


def similarity(
    landmarks: NDArray[np.floating], points: Sequence[tuple[float, float]] | NDArray[np.floating]
) -> Transform:
    """The rotation, scale and shift that bring landmarks closest to points, by least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991. Without reflection, in two dimensions, it is a division of complex numbers.

    Args:
        landmarks: Positions x, y, (N, 2).
        points: Target positions x, y, (N, 2).

    Returns:
        The transform from the one to the other.
    """
    source, target = (_complex(landmarks), _complex(points))
    centre, aim = source.mean(), target.mean()
    one = source - centre
    # Landmarks all in one place have no direction, so they are only shifted.
    spread = np.vdot(one, one).real
    factor = np.vdot(one, target - aim) / spread if spread > 0 else 1 + 0j
    shift = aim - factor * centre
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def similarity_around(
    centre: NDArray[np.floating],
    aim: NDArray[np.floating],
    *,
    degrees: float = 0.0,
    zoom: float = 1.0,
) -> Transform:
    """The transform that turns and zooms around a place, and brings that place to another.

    Args:
        centre: The place x, y, (2,).
        aim: Where it comes to, (2,).
        degrees: The rotation, clockwise as seen in the picture.
        zoom: The factor on lengths.
    """
    angle = math.radians(degrees)
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([turn, (aim - turn @ centre)[:, None]])


def _complex(points: ArrayLike) -> NDArray[np.complex128]:
    """Points (N, 2) as complex numbers x + iy, (N,)."""
    return np.ascontiguousarray(points, np.float64).view(np.complex128)[:, 0]


def cut_face(
    image: NDArray[np.uint8],
    transform: Transform,
    spec: InputSpec,
    *,
    border: int = cv2.BORDER_CONSTANT,
) -> NDArray[np.uint8]:
    """Cut a face or a head out of a photo; where it shrinks, all pixels of the photo count.

    Args:
        image: uint8 (H, W, 3), BGR.
        transform: From the photo's pixels to the input's, such as a `similarity`.
        spec: The network's input.
        border: What is outside the photo, one of OpenCV's `BORDER_…`; black, unless given.

    Returns:
        uint8 (height, width, 3).
    """
    part, moved = reduced(image, transform, (spec.height, spec.width))
    if part.size == 0:
        return np.zeros((spec.height, spec.width, 3), np.uint8)
    size = (spec.width, spec.height)
    cut = cv2.warpAffine(part, from_centres(moved), size, flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(cut, np.uint8)


def reduced(
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
    left, top, right, bottom = covered(inverse(transform), shape, image.shape, margin=2)
    part = image[top:bottom, left:right]
    if part.size == 0:
        return part, transform
    sides = np.array([right - left, bottom - top])
    small = np.where(scales < _LEAST_SCALE, np.maximum(1, np.rint(sides * scales)), sides)
    shrunk = cv2.resize(part, small.astype(int).tolist(), interpolation=cv2.INTER_AREA)
    moved = transform.copy()
    moved[:, 2] += transform[:, :2] @ (left, top)
    moved[:, :2] *= sides / small
    return shrunk, moved


def covered(
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


def inverse(transform: Transform) -> Transform:
    """The transform back."""
    return np.asarray(cv2.invertAffineTransform(transform), np.float64)


def from_centres(transform: Transform) -> NDArray[np.float64]:
    """A transform (2, 3) between edges of pixels as OpenCV has it, which counts from centres."""
    shifted = transform.copy()
    shifted[:, 2] += transform[:, :2] @ (0.5, 0.5) - 0.5
    return shifted


def align_face(
    image: NDArray[np.uint8], landmarks: NDArray[np.floating], spec: InputSpec
) -> NDArray[np.uint8]:
    """Cut one face, aligned for a network's input: uint8 (height, width, 3).

    Args:
        image: uint8 (H, W, 3), BGR.
        landmarks: x, y in the photo's pixels, (5, 2).
        spec: A network's input of aligned faces.
    """
    assert spec.points is not None
    return cut_face(image, similarity(landmarks, spec.points), spec)


def with_margin(spec: InputSpec, share: float) -> InputSpec:
    """An input of aligned faces with a margin around it, a share of its sides."""
    x, y = round(share * spec.width), round(share * spec.height)
    assert spec.points is not None
    points = tuple((px + x, py + y) for px, py in spec.points)
    shape = (1, 3, spec.height + 2 * y, spec.width + 2 * x)
    return spec.model_copy(update={"shape": shape, "points": points})


def planes(faces: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Stack pictures of one size as a network's input: float32 (B, 3, H, W), 0-255, BGR."""
    return np.ascontiguousarray(np.stack(faces).transpose(0, 3, 1, 2), np.float32)
