"""A blurrer whose finder says the same of every photo, and files of all formats."""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.find import FaceFinder
from pocketface.apps.blur.photo import BlurredPhoto, PhotoBlurrer
from pocketface.apps.blur.photo_metadata import Group
from pocketface.results import Detections

BOX = (32, 16, 64, 56)
"""Of the face, in the upright photo of 96 x 80 pixels."""

SIZE = (96, 80)


class OneFace:
    """Finds a face at `BOX`; remembers what it was shown."""

    def __init__(self, *boxes: tuple[int, int, int, int]) -> None:
        self.boxes = boxes or (BOX,)
        self.seen: list[NDArray[np.uint8]] = []

    def find(self, image: NDArray[np.uint8]) -> Detections:
        self.seen.append(image.copy())
        count = len(self.boxes)
        return Detections(np.array(self.boxes, np.float32), np.full(count, 0.9, np.float32), None)


def blur(
    content: bytes,
    *,
    cover: Cover | None = None,
    finder: OneFace | None = None,
    keep: frozenset[Group] = frozenset(),
    lossless_jpeg: bool = False,
) -> BlurredPhoto:
    finder = finder or OneFace()
    blurrer = PhotoBlurrer(
        cast(FaceFinder, finder), cover or Cover(), keep=keep, lossless_jpeg=lossless_jpeg
    )
    return blurrer.blur(content, source="photo")


def outside(margin: int = 24) -> NDArray[np.bool_]:
    """Pixels of the upright photo that are far from the face."""
    mask = np.ones(SIZE[::-1], bool)
    mask[max(0, BOX[1] - margin) : BOX[3] + margin, max(0, BOX[0] - margin) : BOX[2] + margin] = 0
    return mask


def inside() -> tuple[slice, slice]:
    """Pixels of the upright photo in the middle of the face."""
    return slice(24, 48), slice(40, 56)


def noise(channels: int = 3, *, seed: int = 0, top: int = 256) -> NDArray[Any]:
    """Independent pixels: nothing of them may be left in a face."""
    kind = np.uint8 if top <= 256 else np.uint16
    shape = (SIZE[1], SIZE[0], channels) if channels > 1 else (SIZE[1], SIZE[0])
    return np.random.default_rng(seed).integers(0, top, shape, dtype=kind)


def smooth(seed: int = 0) -> NDArray[np.uint8]:
    """A picture that lossy formats keep well."""
    few = np.random.default_rng(seed).integers(40, 216, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(few).resize(SIZE, Image.Resampling.BICUBIC))


def written(image: Image.Image, kind: str, **settings: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, format=kind, **settings)
    return target.getvalue()


def opened(content: bytes) -> Any:
    return Image.open(io.BytesIO(content))
