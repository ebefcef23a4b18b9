"""A classifier's training samples: aligned faces, augmented harder as training goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ...data.align import align_face, cut_face, similarity_around, with_margin
from ...data.images import read_image
from ...data.labelled_faces import LabelledFace
from ...data.spoil import ALL, spoil
from ...errors import DataError
from ...model_templates.contract import InputSpec
from ..learning import EXTRA, Key, preloaded
from .rules import AugmentationSpec

Pixels = NDArray[np.uint8]

_MARGIN = 0.5
"""Margin kept on each side of a cut face, as a share of the input, for shifts and rotations."""

_FULL_HARDNESS = 0.6
"""Share of the training after which augmentation has full strength."""


class FaceTargets(NamedTuple):
    """Labels and image ids of a batch, int64 (B,) each."""

    labels: Tensor
    image_ids: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> FaceTargets:
        """A copy on another device."""
        return FaceTargets(
            self.labels.to(device, non_blocking=non_blocking),
            self.image_ids.to(device, non_blocking=non_blocking),
        )


class FaceCrops(Dataset[list[tuple[Tensor, int, int]]]):
    """Batches of aligned, augmented faces; rarer labels come more often.

    As with `PhotoCrops`, a sample is drawn from a generator seeded with (seed, pass, index).

    Args:
        faces: Photos with landmarks and labels; those without a face are left out.
        spec: The template's augmentation.
        target: The network's input.
        seed: Seed of the whole training.
        passes: Number of passes over all faces in the whole training.
    """

    def __init__(
        self,
        faces: Sequence[LabelledFace],
        *,
        spec: AugmentationSpec,
        target: InputSpec,
        seed: int,
        passes: int,
    ) -> None:
        self.faces = [face for face in faces if face.found]
        if not self.faces:
            raise DataError(f"none of the {len(faces)} photos has a face with landmarks")
        self.spec = spec
        self.target = target
        self.seed = seed
        self.passes = passes
        self._wide = with_margin(target, _MARGIN)
        self._pixels: list[Pixels] = []
        self._order = _balanced([face.label for face in self.faces])

    def __len__(self) -> int:
        return len(self._order)

    @property
    def used(self) -> int:
        """Number of photos that are used."""
        return len(self.faces)

    def preload(self, *, budget: float) -> tuple[int, int]:
        """Cut the faces out of their photos with a margin, and keep them in memory.

        Photos that cannot be decoded are left out, with a warning that counts and names them.

        Raises:
            DataError: More than half of the photos cannot be decoded, or the faces do not fit into
                `budget` bytes.
        """
        size = self._wide.height * self._wide.width * 3
        kept = preloaded(self._cut, self.faces, size=size, budget=budget, what="faces")
        self.faces = [face for face, _ in kept]
        self._pixels = [pixels for _, pixels in kept]
        self._order = _balanced([face.label for face in self.faces])
        return len(kept), len(kept) * size

    def _cut(self, face: LabelledFace) -> Pixels:
        return align_face(read_image(face.path), face.landmarks, self._wide)

    def __getitem__(self, keys: Sequence[Key]) -> list[tuple[Tensor, int, int]]:
        """The samples of one batch: each uint8 (3, H, W) BGR, label and image id."""
        return [self.sample(key) for key in keys]

    def sample(self, key: Key) -> tuple[Tensor, int, int]:
        """One sample."""
        run, place = key
        rng = np.random.default_rng((self.seed, run, place))
        index = self._order[place]
        face = self.faces[index]
        progress = min(1.0, run % EXTRA / max(1, self.passes * _FULL_HARDNESS))
        hardness = 0.3 + 0.7 * progress
        picture = _jittered(self._pixels[index], self.target, rng, hardness)
        if rng.random() < self.spec.flip:
            picture = picture[:, ::-1]
        if self.spec.photometric:
            picture = spoil(picture, rng, hardness, steps=ALL)
        tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        return tensor, face.label, face.image_id


def collate(items: Sequence[tuple[Tensor, int, int]]) -> tuple[Tensor, FaceTargets]:
    """Stack samples to uint8 images (B, 3, H, W) and their `FaceTargets`."""
    images, labels, ids = zip(*items, strict=True)
    return torch.stack(images), FaceTargets(torch.tensor(labels), torch.tensor(ids))


def _balanced(labels: Sequence[int]) -> list[int]:
    """Indices of all faces, with rare labels repeated up to half the count of the commonest."""
    counts = np.bincount(labels)
    times = [max(1, round(counts.max() / count / 2)) if count else 0 for count in counts]
    return [index for index, label in enumerate(labels) for _ in range(times[label])]


def _jittered(wide: Pixels, target: InputSpec, rng: np.random.Generator, hardness: float) -> Pixels:
    """Rotate, zoom and shift a face, by somewhat more than the errors of detected landmarks."""
    degrees = rng.normal(0, 6 * hardness)
    zoom = math.exp(rng.normal(0, 0.09 * hardness))
    size = np.array([target.width, target.height], np.float64)
    shift = rng.normal(0, 0.05 * hardness, 2) * size
    centre = np.array([wide.shape[1], wide.shape[0]]) / 2
    moved = similarity_around(centre, size / 2 + shift, degrees=degrees, zoom=zoom)
    return cut_face(wide, moved, target)
