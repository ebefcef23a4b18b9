"""One face out of a photo, as a classifier wants it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..model_templates.contract import InputSpec


def similarity(
    landmarks: NDArray[np.floating], points: Sequence[tuple[float, float]] | NDArray[np.floating]
) -> NDArray[np.float64]:
    """The turn, scale and shift that bring landmarks closest to points, by least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991; without reflection, in two dimensions a division of complex numbers.

    Args:
        landmarks: (N, 2): x, y.
        points: (N, 2): where they are to come to.

    Returns:
        float64 (2, 3): what `cv2.warpAffine` takes.
    """
    source, target = (_complex(landmarks), _complex(points))
    centre, aim = source.mean(), target.mean()
    one = source - centre
    # Landmarks in one place have no direction: they are only shifted.
    spread = np.vdot(one, one).real
    factor = np.vdot(one, target - aim) / spread if spread > 0 else 1 + 0j
    shift = aim - factor * centre
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def _complex(points: ArrayLike) -> NDArray[np.complex128]:
    """(N, 2) to (N,): x + iy."""
    return np.ascontiguousarray(points, np.float64).view(np.complex128)[:, 0]


def cut_face(
    image: NDArray[np.uint8], transform: NDArray[np.float64], spec: InputSpec
) -> NDArray[np.uint8]:
    """What `similarity` says, done: uint8 (height, width, 3); beside the photo it is black.

    Args:
        image: uint8 (H, W, 3), BGR.
        transform: float64 (2, 3), from the photo's pixels to the input's; both count from the
            outer edge of their first pixel.
        spec: The input.
    """
    # cv2 counts from the centre of the first pixel.
    shifted = transform.copy()
    shifted[:, 2] += transform[:, :2] @ (0.5, 0.5) - 0.5
    cut = cv2.warpAffine(image, shifted, (spec.width, spec.height), flags=cv2.INTER_LINEAR)
    return np.asarray(cut, np.uint8)


def align_face(
    image: NDArray[np.uint8], landmarks: NDArray[np.floating], spec: InputSpec
) -> NDArray[np.uint8]:
    """A face as a network wants it: uint8 (height, width, 3).

    Args:
        image: uint8 (H, W, 3), BGR.
        landmarks: (5, 2): x, y in its pixels.
        spec: An input of aligned faces.
    """
    assert spec.points is not None
    return cut_face(image, similarity(landmarks, spec.points), spec)


def planes(faces: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Pictures of one size to a network's input: float32 (B, 3, H, W), 0-255, BGR."""
    return np.ascontiguousarray(np.stack(faces).transpose(0, 3, 1, 2), np.float32)
