"""Bring a photo to the network's input, and positions back to the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..model_templates.contract import InputSpec


@dataclass(frozen=True)
class Placement:
    """Where a photo lies in the network's input; their top left corners coincide.

    Attributes:
        width: Width of the photo, in pixels.
        height: Height of the photo, in pixels.
        scale_x: Network-input pixels per photo pixel, horizontally.
        scale_y: Network-input pixels per photo pixel, vertically; for letterbox it differs from
            `scale_x` by rounding only.
    """

    width: int
    height: int
    scale_x: float
    scale_y: float

    def to_photo(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert x, y, float32 (..., 2), from network-input pixels to photo pixels.

        Positions count from the outer edge of the first pixel, so plain scaling is exact for
        images that cv2 resized, which aligns pixel centres.
        """
        scaled: NDArray[np.float64] = points / np.array([self.scale_x, self.scale_y])
        return scaled.astype(np.float32)


def prepare(image: NDArray[np.uint8], spec: InputSpec) -> tuple[NDArray[np.float32], Placement]:
    """Bring a photo to a contract's input.

    Args:
        image: uint8 (H, W, 3), BGR.
        spec: The input. `letterbox` scales the photo to fit with its aspect ratio, at the top
            left, and fills the rest with `pad_value`; `stretch` scales it to the input's size.

    Returns:
        float32 (1, 3, height, width), 0-255, BGR planes; and where the photo lies in it.
    """
    batch, (placement,) = prepare_batch([image], spec)
    return batch, placement


def prepare_batch(
    images: Sequence[NDArray[np.uint8]], spec: InputSpec, *, size: int | None = None
) -> tuple[NDArray[np.float32], list[Placement]]:
    """Run `prepare` on several photos; a batch of a larger `size` is filled up with zeros."""
    count = len(images) if size is None else size
    batch = np.empty((count, 3, spec.height, spec.width), np.float32)
    batch[len(images) :] = 0
    return batch, [
        _place(image, spec, planes) for image, planes in zip(images, batch, strict=False)
    ]


def resized(image: NDArray[np.uint8], spec: InputSpec) -> tuple[NDArray[np.uint8], Placement]:
    """The photo at its size in the input, uint8 (H, W, 3), and where it lies there."""
    height, width = image.shape[:2]
    new_width, new_height = spec.width, spec.height
    if spec.resize == "letterbox":
        scale = min(spec.width / width, spec.height / height)
        new_width = min(spec.width, max(1, round(width * scale)))
        new_height = min(spec.height, max(1, round(height * scale)))
    placement = Placement(width, height, new_width / width, new_height / height)
    if (new_width, new_height) == (width, height):
        return image, placement
    small = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(small, np.uint8), placement


def _place(image: NDArray[np.uint8], spec: InputSpec, planes: NDArray[np.float32]) -> Placement:
    """Write a photo into `planes`, (3, height, width)."""
    small, placement = resized(image, spec)
    height, width = small.shape[:2]
    for channel, plane in enumerate(planes):
        plane[:height, :width] = cv2.extractChannel(small, channel)
        plane[height:] = spec.pad_value
        plane[:height, width:] = spec.pad_value
    return placement
