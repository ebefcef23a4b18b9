"""Common parts of all tasks' training. Imports torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from ..data.read_ahead import read_ahead
from ..errors import DataError, ImageError
from ..models.network import Network
from .measuring import check_lost

_log = logging.getLogger(__name__)

Sample = TypeVar("Sample")
Held = TypeVar("Held")

DECODE_THREADS = 2

DECODED_AHEAD = 64
"""Number of photos decoded ahead while loading them into memory."""

Key = tuple[int, int]
"""Pass over the samples, and index of the sample, of one training sample."""

EXTRA = 1_000_003
"""Added to the pass of a sample that fills up a batch, so that it is cut differently."""


class Crops(Protocol):
    """Training samples in memory: a torch `Dataset` of batches, indexed by lists of `Key`.

    Attributes:
        passes: Passes in the whole training; set anew where they follow from a number of steps,
            as photos that cannot be used are left out by then.
    """

    passes: int

    def __len__(self) -> int:
        """Number of samples in one pass."""

    def __getitem__(self, keys: Sequence[Key]) -> Any:
        """The samples of one batch, each made from (seed, pass, index) alone."""

    @property
    def used(self) -> int:
        """Number of photos that are used."""

    def preload(self, *, budget: float) -> tuple[int, int]:
        """Decode photos into memory before workers fork, so that they share it.

        Args:
            budget: Most bytes to hold.

        Returns:
            Numbers of photos and bytes held.

        Raises:
            DataError: More than half of the photos cannot be used, or they do not fit.
        """


class Teacher(Protocol):
    """A trained model that another one learns from.

    Attributes:
        path: The file of its weights.
        sha256: SHA-256 of that file.
    """

    path: Path
    sha256: str


class Learner(Protocol):
    """Computes the losses of a batch.

    A learner with its own parameters (such as a matrix of classes) is a `torch.nn.Module`: they
    are trained with the network and kept for resuming, but are not part of the model. Where the
    rows of such a matrix follow from the samples, the attribute `rows` has their names in order: a
    training is not resumed with others.
    """

    def losses(
        self, network: Network, images: Tensor, targets: Any, *, seed: int
    ) -> dict[str, Tensor]:
        """Losses of a batch by name.

        Args:
            network: The network that learns, in training mode; it may be given the targets too.
            images: uint8 (B, 3, H, W), BGR.
            targets: The targets from the task's `collate`.
            seed: Seed of this step and process, so that a resumed training continues exactly.
        """


def as_floats(images: Tensor) -> Tensor:
    """A batch of uint8 images as a network takes it in training: float32, channels last."""
    return images.float().contiguous(memory_format=torch.channels_last)


def seeded(network: Network, images: Tensor, *, seed: int) -> Any:
    """The raw output of a network whose dropout follows from a seed, and from nothing else.

    Args:
        network: The network, in training mode.
        images: float32 (B, 3, H, W), 0-255, BGR.
        seed: See `Learner.losses`.
    """
    devices = [images.device] if images.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        return network(images, raw=True)


class Loader(Protocol):
    """Makes the sampler of one process; see `EpochSampler` for the arguments."""

    def __call__(
        self,
        crops: Any,
        *,
        batch_size: int,
        repeats: int,
        seed: int,
        first_epoch: int,
        rank: int,
        world_size: int,
    ) -> Sampler[Any]:
        """A sampler of whole batches, with `set_epoch` and a length."""


class EpochSampler(Sampler[list[Key]]):
    """Batches of (pass, index): every sample `repeats` times per epoch, in a seeded order.

    Batches are always full, so in each epoch some samples, different ones each time, are left out
    once.

    It is a `sampler` of whole batches, not a `batch_sampler`, because Lightning calls `set_epoch`
    only for the former; without it every epoch would have the same samples.

    Args:
        crops: The samples; only their number is used.
        batch_size: Samples per batch of this process.
        repeats: Passes over the samples in one epoch.
        seed: Seed of the whole training.
        first_epoch: Epochs before Lightning began to count.
        rank: Rank of this process.
        world_size: Number of processes; each takes its share of every global batch.
    """

    def __init__(
        self,
        crops: Crops,
        *,
        batch_size: int,
        repeats: int,
        seed: int,
        first_epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.count = len(crops)
        self.batch_size = batch_size
        self.repeats = repeats
        self.seed = seed
        self.first_epoch = first_epoch
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this at the start of each, also when resumed."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.count * self.repeats // (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[list[Key]]:
        first = (self.first_epoch + self.epoch) * self.repeats
        keys = [
            (run, int(index))
            for run in range(first, first + self.repeats)
            for index in np.random.default_rng((self.seed, run)).permutation(self.count)
        ]
        wanted = self.batch_size * self.world_size
        # With fewer samples than a batch, some are taken again, cut differently.
        for extra in range(1, 1 + -(-(wanted - len(keys)) // self.count)):
            keys += [(run + extra * EXTRA, index) for run, index in keys[: self.count]]
        for batch in range(len(self)):
            mine = batch * wanted + self.rank * self.batch_size
            yield keys[mine : mine + self.batch_size]


def preloaded(
    read: Callable[[Sample], Held],
    samples: Sequence[Sample],
    *,
    size: int,
    budget: float,
    what: str,
) -> list[tuple[Sample, Held]]:
    """Read all samples into memory; see `Crops.preload`.

    Args:
        read: Function that reads one, in threads; one that raises an ImageError is left out, with
            a warning that counts and names them.
        samples: The samples.
        size: Bytes of each.
        budget: Most bytes to hold.
        what: Their name in messages, as "faces".

    Raises:
        DataError: More than half of the photos cannot be decoded, or they do not fit.
    """
    needed = len(samples) * size
    if needed > budget:
        raise DataError(
            f"{len(samples)} {what} need {needed / 2**30:.1f} GiB of memory, of which "
            f"{budget / 2**30:.1f} GiB are free for them"
        )
    kept: list[tuple[Sample, Held]] = []
    damaged: list[str] = []
    held = read_ahead(read, samples, threads=DECODE_THREADS, ahead=DECODED_AHEAD)
    for sample, one in zip(samples, held, strict=True):
        if isinstance(one, ImageError):
            damaged.append(str(one))
        else:
            kept.append((sample, one))
    left_out(damaged, kept=len(kept))
    return kept


def left_out(damaged: Sequence[str], *, kept: int) -> None:
    """Warn about photos that cannot be used.

    Raises:
        DataError: They are more than half of all.
    """
    check_lost(damaged, total=len(damaged) + kept)
    if damaged:
        named = "; ".join(damaged[:5])
        _log.warning("left out %d photos that cannot be used: %s", len(damaged), named)
