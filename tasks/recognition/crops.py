"""A recogniser's training samples: aligned faces, augmented."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...data.align import cut_face, similarity, similarity_around, with_margin
from ...data.identities import IdentityPhoto
from ...data.images import read_image
from ...data.spoil import QUALITY, spoil
from ...errors import DataError
from ...model_templates.contract import InputSpec
from ..disguise import wear_glasses, wear_mask
from ..jitter import jitter
from ..learning import EXTRA, Key, preloaded
from .rules import AugmentationSpec

Pixels = NDArray[np.uint8]
Item = tuple[Pixels, int, float]
"""uint8 (H, W, 3) BGR, the image id, and the share of the training that is done."""

_MARGIN = 0.1
"""Margin kept on each side of a cut face, as a share of the input, for shifts and rotations."""


_LOST = 0.2
"""Most of a sample, as a share of its side, that may lie beyond the end of a photo."""


class PeopleTargets(NamedTuple):
    """What is known of a batch.

    Attributes:
        image_ids: int64 (B,).
        progress: Share of the training that is done, float32 (B,).
    """

    image_ids: Tensor
    progress: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> PeopleTargets:
        """A copy on another device."""
        return PeopleTargets(
            self.image_ids.to(device, non_blocking=non_blocking),
            self.progress.to(device, non_blocking=non_blocking),
        )


class PeopleCrops(Dataset[list[Item]]):
    """Batches of aligned, augmented faces.

    As with `PhotoCrops`, a sample is drawn from a generator seeded with (seed, pass, index).

    Args:
        photos: Photos of people; those without a face are left out.
        spec: The template's augmentation.
        target: The network's input.
        together: Number of photos of a person that a batch has; None for any.
        seed: Seed of the whole training.
        passes: Number of passes over all photos in the whole training.
    """

    def __init__(
        self,
        photos: Sequence[IdentityPhoto],
        *,
        spec: AugmentationSpec,
        target: InputSpec,
        together: int | None,
        seed: int,
        passes: int,
    ) -> None:
        self.photos = [photo for photo in photos if photo.found]
        if not self.photos:
            raise DataError(f"none of the {len(photos)} photos has a face with landmarks")
        self.spec = spec
        self.target = target
        self.together = together
        self.seed = seed
        self.passes = passes
        self._wide = with_margin(target, _MARGIN)
        self._pixels: list[Pixels] = []

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def used(self) -> int:
        """Number of photos that are used."""
        return len(self.photos)

    def by_person(self) -> list[list[int]]:
        """Places of the photos of each known person, in the order of first photos."""
        places: dict[str, list[int]] = {}
        for place, photo in enumerate(self.photos):
            if photo.person is not None:
                places.setdefault(photo.person, []).append(place)
        return list(places.values())

    def preload(self, *, budget: float) -> tuple[int, int]:
        """Cut the faces out of their photos with a margin, and keep them in memory.

        Photos that cannot be decoded are left out, with a warning that counts and names them.

        Raises:
            DataError: More than half of the photos cannot be decoded, or the faces do not fit into
                `budget` bytes.
        """
        size = self._wide.height * self._wide.width * 3
        kept = preloaded(self._cut, self.photos, size=size, budget=budget, what="faces")
        self.photos = [photo for photo, _ in kept]
        self._pixels = [pixels for _, pixels in kept]
        return len(kept), len(kept) * size

    def _cut(self, photo: IdentityPhoto) -> Pixels:
        assert photo.landmarks is not None
        assert self._wide.points is not None
        # Crops of others end where their face ends; beyond, they go on as their edge does.
        transform = similarity(photo.landmarks, self._wide.points)
        return cut_face(read_image(photo.path), transform, self._wide, border=cv2.BORDER_REPLICATE)

    def __getitem__(self, keys: Sequence[Key]) -> list[Item]:
        """The samples of one batch."""
        return [self.sample(key) for key in keys]

    def sample(self, key: Key) -> Item:
        """One sample."""
        run, place = key
        rng = np.random.default_rng((self.seed, run, place))
        spec, photo, face = self.spec, self.photos[place], self._pixels[place]
        wears = rng.random(2) < (spec.glasses, spec.mask)
        if wears.any():
            face = face.copy()
            assert self._wide.points is not None
            if wears[0]:
                wear_glasses(face, self._wide.points, rng)
            if wears[1]:
                wear_mask(face, self._wide.points, rng)
        face = self._moved(face, rng)
        if rng.random() < spec.ends:
            _end(face, rng)
        if rng.random() < spec.flip:
            face = np.asarray(cv2.flip(face, 1), np.uint8)
        if spec.jitter is not None and rng.random() < spec.jitter.chance:
            face = jitter(face, spec.jitter, rng)
        if rng.random() < spec.grey:
            grey = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)
            face = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
        if spec.quality:
            face = spoil(face, rng, spec.quality, steps=QUALITY)
        return face, photo.image_id, min(1.0, run % EXTRA / max(1, self.passes))

    def _moved(self, face: Pixels, rng: np.random.Generator) -> Pixels:
        """Rotate, zoom and shift a face with its margin, and cut the input out of it."""
        spec, target = self.spec, self.target
        degrees = rng.uniform(-spec.rotate, spec.rotate)
        zoom = math.exp(rng.uniform(-1, 1) * math.log1p(spec.scale))
        size = np.array([target.width, target.height], np.float64)
        shift = rng.uniform(-spec.shift, spec.shift, 2) * size
        centre = np.array([face.shape[1], face.shape[0]]) / 2
        moved = similarity_around(centre, size / 2 + shift, degrees=degrees, zoom=zoom)
        return cut_face(face, moved, target, border=cv2.BORDER_REPLICATE)


def collate(items: Sequence[Item]) -> tuple[Tensor, PeopleTargets]:
    """Stack samples to uint8 images (B, 3, H, W) and their `PeopleTargets`."""
    faces, ids, progress = zip(*items, strict=True)
    images = torch.from_numpy(np.ascontiguousarray(np.stack(faces).transpose(0, 3, 1, 2)))
    return images, PeopleTargets(torch.tensor(ids), torch.tensor(progress, dtype=torch.float32))


def _end(face: Pixels, rng: np.random.Generator) -> None:
    """Make a face that of a photo which ends beside it: black beyond one or two sides, in place."""
    for turned in rng.permutation(4)[: rng.integers(1, 3)]:
        side = np.rot90(face, turned)  # a view, of which the first rows are the side
        side[: round(rng.uniform(0, _LOST) * len(side))] = 0
