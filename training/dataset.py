"""Photos in memory, cut into training samples that can be made again."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ..data.coco import Photo
from ..data.images import read_image
from ..errors import DataError, ImageError
from ..model_templates.recipe import AugmentationSpec
from .crops import Sample, augment
from .targets import Targets

_log = logging.getLogger(__name__)

DECODE_THREADS = 2
CACHE_LONG_SIDE = 1280
"""Photos are kept in memory at this size at most."""

Key = tuple[int, int]
"""Pass over the photos, and index of the photo."""

Item = tuple[Tensor, Sample, int]
"""The uint8 (3, H, W) BGR image of a sample, the sample, and the photo's COCO id."""


class PhotoCrops(Dataset[list["Item"]]):
    """Batches of augmented samples of a list of photos.

    A sample is asked for by (pass, index) and drawn from a generator seeded with (seed, pass,
    index): it does not depend on workers, order, or on how often training was interrupted.

    Args:
        photos: With their boxes.
        spec: The template's augmentation.
        height: Of a sample, pixels.
        width: Of a sample, pixels.
        seed: Of the whole training.
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
        self._samples: list[Sample] | None = None

    def __len__(self) -> int:
        return len(self.photos)

    def preload(self) -> int:
        """Decode all photos into memory before workers fork, so that they share it.

        Photos that cannot be decoded are left out, with a warning that counts and names them.

        Returns:
            Bytes held.

        Raises:
            DataError: None can be decoded.
        """
        with ThreadPoolExecutor(DECODE_THREADS) as pool:
            read = list(pool.map(_sample_or_error, self.photos))
        damaged = [str(sample) for sample in read if isinstance(sample, ImageError)]
        if len(damaged) == len(read):
            raise DataError(f"none of the {len(read)} photos can be decoded: {damaged[0]}")
        if damaged:
            named = "; ".join(damaged[:5])
            _log.warning("left out %d photos that cannot be decoded: %s", len(damaged), named)
        pairs = [
            (photo, sample)
            for photo, sample in zip(self.photos, read, strict=True)
            if not isinstance(sample, ImageError)
        ]
        self.photos = [photo for photo, _ in pairs]
        self._samples = [sample for _, sample in pairs]
        return sum(sample.image.nbytes for _, sample in pairs)

    def __getitem__(self, keys: Sequence[Key]) -> list[Item]:
        """The samples of one batch."""
        return [self.sample(key) for key in keys]

    def sample(self, key: Key) -> Item:
        """One sample."""
        run, index = key
        photo = self.photos[index]
        whole = _read_sample(photo) if self._samples is None else self._samples[index]
        rng = np.random.default_rng((self.seed, run, index))
        sample = augment(whole, spec=self.spec, height=self.height, width=self.width, rng=rng)
        return torch.from_numpy(sample.image).permute(2, 0, 1), sample, photo.image_id


class EpochSampler(Sampler[list[Key]]):
    """Batches of (pass, index): every photo `repeats` times an epoch, in a seeded order.

    It is a `sampler` of whole batches, not a `batch_sampler`: Lightning calls `set_epoch` of the
    former only, and without it every epoch would bring the same samples.

    Args:
        count: Number of photos.
        batch_size: Of this process.
        repeats: Passes over the photos in one epoch.
        seed: Of the whole training.
        rank: Of this process.
        world_size: Number of processes; each takes its share of every global batch.
    """

    def __init__(
        self,
        count: int,
        *,
        batch_size: int,
        repeats: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.count = count
        self.batch_size = batch_size
        self.repeats = repeats
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of every epoch, also of a resumed one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.count * self.repeats // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[list[Key]]:
        first = self.epoch * self.repeats
        keys = [
            (run, int(index))
            for run in range(first, first + self.repeats)
            for index in np.random.default_rng((self.seed, run)).permutation(self.count)
        ]
        wanted = self.batch_size * self.world_size
        # Fewer photos than one batch: a batch takes some of them again, cut differently.
        for extra in range(1, 1 + -(-wanted // len(keys))):
            if len(keys) >= wanted:
                break
            keys += [(run + extra * 1_000_003, index) for run, index in keys[: self.count]]
        for batch in range(len(self)):
            mine = batch * wanted + self.rank * self.batch_size
            yield keys[mine : mine + self.batch_size]


def collate(items: Sequence[Item]) -> tuple[Tensor, Targets]:
    """Samples to uint8 images (B, 3, H, W) and their `Targets`."""
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


def _sample_or_error(photo: Photo) -> Sample | ImageError:
    try:
        return _read_sample(photo)
    except ImageError as error:
        return error


def _read_sample(photo: Photo) -> Sample:
    import cv2

    image = read_image(photo.path)
    height, width = image.shape[:2]
    # The annotation file's size may differ from the file's: labels are in the former.
    scale: NDArray[np.float32] = np.array(
        [width / photo.width, height / photo.height], dtype=np.float32
    )
    if max(height, width) > CACHE_LONG_SIDE:
        shrink = CACHE_LONG_SIDE / max(height, width)
        size = (round(width * shrink), round(height * shrink))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        scale *= np.array([size[0] / width, size[1] / height], dtype=np.float32)
    return Sample(
        image=image,
        boxes=photo.boxes * np.tile(scale, 2),
        landmarks=photo.landmarks * scale,
        ignore=photo.ignore,
    )
