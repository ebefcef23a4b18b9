"""Photos in memory, cut into reproducible training samples."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ...data.coco import Photo
from ...data.images import read_image
from ...data.read_ahead import read_ahead
from ...data.spoil import QUALITY, spoil
from ...errors import DataError, ImageError
from ..learning import DECODE_THREADS, DECODED_AHEAD, Key, left_out
from .augmentation import AugmentationSpec
from .crops import Scene, augment
from .mixing import mosaic, paste_faces
from .targets import Targets

_log = logging.getLogger(__name__)

CACHE_LONG_SIDE = 1280
"""Longer side, in pixels, to which photos in memory are reduced."""

Item = tuple[Tensor, Scene, int]
"""A sample's image, uint8 (3, H, W) BGR, the sample, and the photo's COCO id."""


class PhotoCrops(Dataset[list["Item"]]):
    """Batches of augmented samples from a list of photos.

    A sample is asked for by (pass, index) and drawn from a generator seeded with (seed, pass,
    index), so it does not depend on workers, order, or interruptions of the training.

    Args:
        photos: Photos with boxes.
        spec: The template's augmentation.
        height: Height of a sample, in pixels.
        width: Width of a sample, in pixels.
        seed: Seed of the whole training.
    """

    def __init__(
        self,
        photos: Sequence[Photo],
        *,
        spec: AugmentationSpec,
        height: int,
        width: int,
        seed: int,
    ) -> None:
        self.photos = photos
        self.spec = spec
        self.height = height
        self.width = width
        self.seed = seed
        self._samples: list[Scene | None] = [None] * len(photos)

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def used(self) -> int:
        """Number of photos that are used."""
        return len(self.photos)

    def preload(self, *, budget: float = math.inf) -> tuple[int, int]:
        """Decode photos into memory before workers fork, so that they share it.

        Photos that cannot be used (see `Photo.scale_to`) are left out, with a warning that counts
        and names them.

        Args:
            budget: Most bytes to hold; other photos are decoded each time they are needed.

        Returns:
            Numbers of photos and bytes held.

        Raises:
            DataError: More than half of the photos cannot be used.
        """
        kept: list[tuple[Photo, Scene | None]] = []
        damaged: list[str] = []
        held, size = 0, 0
        samples = read_ahead(_read_sample, self.photos, threads=DECODE_THREADS, ahead=DECODED_AHEAD)
        for photo, sample in zip(self.photos, samples, strict=True):
            if isinstance(sample, ImageError):
                damaged.append(str(sample))
            elif size + sample.image.nbytes <= budget:
                kept.append((photo, sample))
                held, size = held + 1, size + sample.image.nbytes
            else:
                kept.append((photo, None))
        left_out(damaged, kept=len(kept))
        self.photos = [photo for photo, _ in kept]
        self._samples = [sample for _, sample in kept]
        return held, size

    def _whole(self, index: int) -> tuple[Photo, Scene]:
        """A photo, or the next readable one if it was lost since `preload`."""
        for ahead in range(len(self.photos)):
            place = (index + ahead) % len(self.photos)
            photo = self.photos[place]
            try:
                return photo, self._samples[place] or _read_sample(photo)
            except ImageError as error:
                _log.warning("left out: %s", error)
        raise DataError(f"none of the {len(self.photos)} photos is left")

    def __getitem__(self, keys: Sequence[Key]) -> list[Item]:
        """The samples of one batch."""
        return [self.sample(key) for key in keys]

    def sample(self, key: Key) -> Item:
        """One sample."""
        run, index = key
        photo, whole = self._whole(index)
        rng = np.random.default_rng((self.seed, run, index))
        spec = self.spec
        if spec.mosaic and rng.random() < spec.mosaic:
            sample = self._mosaic(whole, rng)
        else:
            sample = augment(whole, spec=spec, height=self.height, width=self.width, rng=rng)
        if spec.paste and rng.random() < spec.paste:
            sample = paste_faces(sample, self._any(rng), smallest=max(spec.min_face, 1.0), rng=rng)
        image = sample.image
        if spec.degrade and rng.random() < spec.degrade:
            image = spoil(image, rng, 1.0, steps=QUALITY)
        return torch.from_numpy(image).permute(2, 0, 1), sample, photo.image_id

    def _any(self, rng: np.random.Generator) -> Scene:
        return self._whole(int(rng.integers(len(self.photos))))[1]

    def _mosaic(self, whole: Scene, rng: np.random.Generator) -> Scene:
        """Combine a sample with three of other photos; faces stay as large as in whole samples."""
        scales = [scale / 2 for scale in self.spec.scales]
        halved = self.spec.model_copy(update={"scales": scales})
        above, left = self.height // 2, self.width // 2
        rows, columns = (above, self.height - above), (left, self.width - left)
        photos = iter((whole, *(self._any(rng) for _ in range(3))))
        return mosaic(
            [
                augment(next(photos), spec=halved, height=row, width=column, rng=rng)
                for row in rows
                for column in columns
            ]
        )


def collate(items: Sequence[Item]) -> tuple[Tensor, Targets]:
    """Stack samples to uint8 images (B, 3, H, W) and their `Targets`."""
    images = torch.stack([image for image, _, _ in items])
    samples = [sample for _, sample, _ in items]
    counts = torch.tensor([len(sample.boxes) for sample in samples])
    index = torch.repeat_interleave(torch.arange(len(items)), counts)
    boxes = torch.from_numpy(np.concatenate([sample.boxes for sample in samples]))
    landmarks = torch.from_numpy(np.concatenate([sample.landmarks for sample in samples]))
    ignore = torch.from_numpy(np.concatenate([sample.ignore for sample in samples]))
    return images, Targets(
        boxes=boxes[~ignore],
        image_index=index[~ignore],
        landmarks=landmarks[~ignore],
        ignore_boxes=boxes[ignore],
        ignore_index=index[ignore],
        image_ids=torch.tensor([image_id for _, _, image_id in items]),
    )


def _read_sample(photo: Photo) -> Scene:
    image = read_image(photo.path)
    height, width = image.shape[:2]
    scale = photo.scale_to(height, width)
    if max(height, width) > CACHE_LONG_SIDE:
        shrink = CACHE_LONG_SIDE / max(height, width)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        scale *= np.array([size[0] / width, size[1] / height], dtype=np.float32)
    return Scene(
        image=image,
        boxes=photo.boxes * np.tile(scale, 2),
        landmarks=photo.landmarks * scale,
        ignore=photo.ignore,
    )
