"""Cut an aligned face from a photo, as a classifier needs it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model_templates.contract import InputSpec


def similarity(
    landmarks: NDArray[np.floating], points: Sequence[tuple[float, float]] | NDArray[np.floating]
) -> NDArray[np.float64]:
    """The rotation, scale and shift that bring landmarks closest to points, by least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991. Without reflection, in two dimensions, it is a division of complex numbers.

    Args:
        landmarks: Positions x, y, (N, 2).
        points: Target positions x, y, (N, 2).

    Returns:
        float64 (2, 3), as `cv2.warpAffine` takes it.
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


def _complex(points: ArrayLike) -> NDArray[np.complex128]:
    """Points (N, 2) as complex numbers x + iy, (N,)."""
    return np.ascontiguousarray(points, np.float64).view(np.complex128)[:, 0]


def cut_face(
    image: NDArray[np.uint8], transform: NDArray[np.float64], spec: InputSpec
) -> NDArray[np.uint8]:
    """Warp a photo by a `similarity`: uint8 (height, width, 3), black outside the photo.

    Args:
        image: uint8 (H, W, 3), BGR.
        transform: float64 (2, 3), from the photo's pixels to the input's; both count from the
            outer edge of their first pixel.
        spec: The network's input.
    """
    size = (spec.width, spec.height)
    cut = cv2.warpAffine(image, from_centres(transform), size, flags=cv2.INTER_LINEAR)
    return np.asarray(cut, np.uint8)


def from_centres(transform: NDArray[np.float64]) -> NDArray[np.float64]:
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


def planes(faces: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Stack pictures of one size as a network's input: float32 (B, 3, H, W), 0-255, BGR."""
    return np.ascontiguousarray(np.stack(faces).transpose(0, 3, 1, 2), np.float32)
