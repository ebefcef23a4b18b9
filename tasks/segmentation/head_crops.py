"""A segmenter's training samples: aligned heads with their masks, augmented."""

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

from ...data.align import similarity_around
from ...data.mask_pairs import MaskPair
from ...data.spoil import QUALITY, spoil
from ...model_templates.contract import InputSpec
from ..disguise import wear_mask
from ..jitter import jitter
from ..learning import Key, preloaded
from .covering import cover, dropout
from .heads import read_head
from .rules import AugmentationSpec
from .truths import Truths

Pixels = NDArray[np.uint8]
Item = tuple[Pixels, Pixels, int]
"""uint8 (H, W, 3) BGR, uint8 (H, W) classes, and the image id."""


class MaskTargets(NamedTuple):
    """The truth of a batch: classes uint8 (B, H, W), and image ids int64 (B,)."""

    classes: Tensor
    image_ids: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> MaskTargets:
        """A copy on another device."""
        return MaskTargets(
            self.classes.to(device, non_blocking=non_blocking),
            self.image_ids.to(device, non_blocking=non_blocking),
        )


class HeadCrops(Dataset[list[Item]]):
    """Batches of augmented heads with their masks.

    As with `PhotoCrops`, a sample is drawn from a generator seeded with (seed, pass, index).

    Args:
        pairs: Photos and masks.
        spec: The template's augmentation.
        target: The network's input.
        classes: The template's.
        seed: Seed of the whole training.
    """

    def __init__(
        self,
        pairs: Sequence[MaskPair],
        *,
        spec: AugmentationSpec,
        target: InputSpec,
        classes: Sequence[str],
        seed: int,
    ) -> None:
        self.pairs = list(pairs)
        self.spec = spec
        self.target = target
        self.classes = classes
        self.seed = seed
        self._heads: list[tuple[Pixels, Pixels]] = []
        self._order = self._ordered()

    def __len__(self) -> int:
        return len(self._order)

    @property
    def used(self) -> int:
        """Number of photos that are used."""
        return len(self.pairs)

    def preload(self, *, budget: float) -> tuple[int, int]:
        """Cut the heads out of their photos, and keep them in memory.

        Photos and masks that cannot be decoded are left out, with a warning that counts and names
        them. Another tells of masks that are all one class, and of classes in no mask.

        Raises:
            DataError: More than half of the photos cannot be decoded, or the heads do not fit into
                `budget` bytes; or a mask is not as `read_mask` wants it, or none has a class.
        """
        size = self.target.height * self.target.width * 4
        kept = preloaded(
            lambda pair: read_head(pair, self.target),
            self.pairs,
            size=size,
            budget=budget,
            what="heads",
        )
        truths = Truths(self.classes)
        for pair, (_, truth) in kept:
            truths.add(pair, truth)
        truths.report()
        self.pairs = [pair for pair, _ in kept]
        self._heads = [head for _, head in kept]
        self._order = self._ordered()
        return len(kept), len(kept) * size

    def _ordered(self) -> list[int]:
        """Indices of all heads, those with tags as often as the template says."""
        return [
            index
            for index, pair in enumerate(self.pairs)
            for _ in range(self.spec.tagged if pair.tags else 1)
        ]

    def __getitem__(self, keys: Sequence[Key]) -> list[Item]:
        """The samples of one batch."""
        return [self.sample(key) for key in keys]

    def sample(self, key: Key) -> Item:
        """One sample."""
        run, place = key
        rng = np.random.default_rng((self.seed, run, place))
        index = self._order[place]
        spec = self.spec
        head, truth = self._heads[index]
        if rng.random() < spec.cloth:
            assert self.target.points is not None  # as heads are aligned
            head, truth = head.copy(), truth.copy()
            truth[wear_mask(head, self.target.points, rng)] = 0
        head, truth = moved_pair(head, truth, spec, rng)
        if rng.random() < spec.flip:
            head, truth = (np.asarray(cv2.flip(one, 1), np.uint8) for one in (head, truth))
        if rng.random() < spec.objects:
            other, _ = self._heads[rng.integers(len(self._heads))]
            cover(head, truth, other, rng)
        if spec.dropout is not None and rng.random() < spec.dropout.chance:
            dropout(head, truth, spec.dropout, rng)
        if spec.jitter is not None and rng.random() < spec.jitter.chance:
            head = jitter(head, spec.jitter, rng)
        if spec.quality:
            head = spoil(head, rng, 1.0, steps=QUALITY)
        return head, truth, self.pairs[index].image_id


def moved_pair(
    head: Pixels, truth: Pixels, spec: AugmentationSpec, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Rotate, zoom and shift a head; beyond its edges lies one colour, or what the edge has."""
    height, width = truth.shape
    degrees = rng.uniform(-spec.rotate, spec.rotate)
    low, high = (math.log(zoom) for zoom in spec.scale)
    zoom = math.exp(rng.uniform(low, high))
    shift = rng.uniform(-spec.shift, spec.shift, 2) * (width, height)
    centre = np.array([width - 1, height - 1]) / 2  # cv2 counts from the centre of a pixel
    transform = similarity_around(centre, centre + shift, degrees=degrees, zoom=zoom)
    # Photos end where the list's heads end, and go on where a head is cut from a larger photo.
    ends = rng.random() < 0.5
    border = cv2.BORDER_CONSTANT if ends else cv2.BORDER_REPLICATE
    colour = rng.integers(0, 256, 3).tolist() if rng.random() < 0.5 else [0, 0, 0]
    picture = cv2.warpAffine(
        head,
        transform,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=border,
        borderValue=colour,
    )
    classes = cv2.warpAffine(
        truth, transform, (width, height), flags=cv2.INTER_NEAREST, borderMode=border
    )
    return np.asarray(picture, np.uint8), np.asarray(classes, np.uint8)


def collate(items: Sequence[Item]) -> tuple[Tensor, MaskTargets]:
    """Stack samples to uint8 images (B, 3, H, W) and their `MaskTargets`."""
    heads, truths, ids = zip(*items, strict=True)
    images = torch.from_numpy(np.ascontiguousarray(np.stack(heads).transpose(0, 3, 1, 2)))
    return images, MaskTargets(torch.from_numpy(np.stack(truths)), torch.tensor(ids))
