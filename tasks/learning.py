"""What the training sides of all tasks have in common. Imports torch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import Sampler

from ..errors import DataError
from ..models.network import Network

_log = logging.getLogger(__name__)

DECODE_THREADS = 2

DECODED_AHEAD = 64
"""Photos decoded before they are taken into memory."""

Key = tuple[int, int]
"""Pass over the samples, and index of the sample."""

EXTRA = 1_000_003
"""Added to the pass of a sample that fills up a batch."""


class Crops(Protocol):
    """Training samples in memory: a torch `Dataset` of batches, asked for by lists of `Key`."""

    def __len__(self) -> int:
        """Samples of one pass."""

    def __getitem__(self, keys: Sequence[Key]) -> Any:
        """The samples of one batch, each made from (seed, pass, index) alone."""

    @property
    def used(self) -> int:
        """How many photos are learnt from."""

    def preload(self, *, budget: float) -> tuple[int, int]:
        """Decode photos into memory before workers fork, so that they share it.

        Args:
            budget: Bytes that may be held.

        Returns:
            Photos and bytes held.

        Raises:
            DataError: None can be used, or they do not fit.
        """


class Teacher(Protocol):
    """A trained model that another one learns from.

    Attributes:
        path: The file of its weights.
        sha256: Of that file.
    """

    path: Path
    sha256: str


class Learner(Protocol):
    """What makes losses of a batch.

    One that has parameters of its own (a matrix of classes, say) is a `torch.nn.Module`: they are
    trained with the network and kept for a training that goes on, but are part of no model.
    """

    def losses(
        self, network: Network, images: Tensor, targets: Any, *, seed: int
    ) -> dict[str, Tensor]:
        """By name, of a batch.

        Args:
            network: That learns; in training mode. It may be shown the targets, too.
            images: uint8 (B, 3, H, W), BGR.
            targets: What the task's `collate` knows of them.
            seed: Of all chance of this step and process, so that a resumed training goes on
                exactly.
        """


class Loader(Protocol):
    """What makes the sampler of one process; see `EpochSampler` for the arguments."""

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
    """Batches of (pass, index): every sample `repeats` times an epoch, in a seeded order.

    Whole batches only: in each epoch some samples, others each time, have one turn less.

    It is a `sampler` of whole batches, not a `batch_sampler`: Lightning calls `set_epoch` of the
    former only, and without it every epoch would bring the same samples.

    Args:
        crops: The samples; their number alone counts here.
        batch_size: Of this process.
        repeats: Passes over the samples in one epoch.
        seed: Of the whole training.
        first_epoch: Epochs that went before Lightning began to count.
        rank: Of this process.
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
        """Called by Lightning at the start of every epoch, also of a resumed one."""
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
        # Fewer samples than one batch: a batch takes some of them again, cut differently.
        for extra in range(1, 1 + -(-(wanted - len(keys)) // self.count)):
            keys += [(run + extra * EXTRA, index) for run, index in keys[: self.count]]
        for batch in range(len(self)):
            mine = batch * wanted + self.rank * self.batch_size
            yield keys[mine : mine + self.batch_size]


def left_out(damaged: Sequence[str], *, kept: int) -> None:
    """Tell of photos that cannot be used.

    Raises:
        DataError: None was kept.
    """
    if not kept:
        raise DataError(f"none of the {len(damaged)} photos can be used: {damaged[0]}")
    if damaged:
        named = "; ".join(damaged[:5])
        _log.warning("left out %d photos that cannot be used: %s", len(damaged), named)
