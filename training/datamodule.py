"""The data loaders of one training."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from ..tasks import Task
from ..tasks.learning import Crops
from .fixed_steps import FixedSteps
from .interrupt import ignore_ctrl_c
from .machine import available_memory

_log = logging.getLogger(__name__)

MEMORY_SHARE = 0.5
"""Share of the free memory for decoded photos."""


class TrainingData(lightning.LightningDataModule):
    """Training samples and validation photos.

    Args:
        task: The task, which defines batches and the order of samples.
        crops: The training samples.
        val: The validation samples; may be empty.
        batch_size: Samples per batch of each process.
        repeats: Passes over the samples in one epoch.
        seed: Seed of order and augmentation.
        first_epoch: Epochs before Lightning began to count.
        behind: Epochs that Lightning has counted before this start.
        workers: Number of processes that cut samples.
        steps: Batches of each process in one epoch; None for as many as the samples fill.
    """

    def __init__(
        self,
        task: Task,
        crops: Crops,
        *,
        val: Sequence[Any],
        batch_size: int,
        repeats: int,
        seed: int,
        first_epoch: int,
        behind: int,
        workers: int,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.crops = crops
        self.val = val
        self.batch_size = batch_size
        self.repeats = repeats
        self.steps = steps
        self.seed = seed
        self.first_epoch = first_epoch
        self.behind = behind
        self.workers = workers

    def preload(self, *, processes_here: int) -> None:
        """Decode photos into at most half of the free memory, which the processes share."""
        budget = available_memory() * MEMORY_SHARE / processes_here
        held, size = self.crops.preload(budget=budget)
        used = self.crops.used
        _log.info("%d of %d photos in memory, %.2f GiB", held, used, size / 2**30)

    def steps_per_epoch(self, *, processes: int) -> int:
        """Number of batches of each process, with one optimizer step each."""
        return len(self._sampler(rank=0, processes=processes))

    def passes_of(self, steps: int, *, processes: int) -> int:
        """Passes over the samples in so many steps, the last one perhaps in part."""
        whole = self._whole_passes(rank=0, processes=processes)
        return math.ceil(steps * self.repeats / len(whole))

    def train_dataloader(self) -> DataLoader[Any]:
        """This process's share of the training samples."""
        assert self.trainer is not None
        sampler = self._sampler(rank=self.trainer.global_rank, processes=self.trainer.world_size)
        # Lightning says it too late for the first epoch of a resumed training: processes that cut
        # samples have been given their batches by then.
        sampler.set_epoch(self.behind)
        return DataLoader(
            self.crops,  # type: ignore[arg-type]
            batch_size=None,
            sampler=sampler,
            collate_fn=self.task.learn.collate,
            num_workers=self.workers,
            worker_init_fn=ignore_ctrl_c,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _sampler(self, *, rank: int, processes: int) -> Any:
        sampler = self._whole_passes(rank=rank, processes=processes)
        if self.steps is None:
            return sampler
        return FixedSteps(sampler, steps=self.steps, first_epoch=self.first_epoch)

    def _whole_passes(self, *, rank: int, processes: int) -> Any:
        return self.task.learn.loader(
            self.crops,
            batch_size=self.batch_size,
            repeats=self.repeats,
            seed=self.seed,
            first_epoch=self.first_epoch if self.steps is None else 0,
            rank=rank,
            world_size=processes,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """All validation samples in one batch, as figures are over all of them."""
        return DataLoader([self.val], batch_size=None, collate_fn=_as_it_is)  # type: ignore[arg-type]

    def transfer_batch_to_device(
        self,
        batch: Any,
        device: torch.device,
        dataloader_idx: int,  # noqa: ARG002
    ) -> Any:
        """Move images and targets to the device; validation samples stay where they are."""
        if batch is self.val:
            return batch
        images, targets = batch
        return images.to(device, non_blocking=True), targets.to(device, non_blocking=True)


def _as_it_is(photos: Sequence[Any]) -> Sequence[Any]:
    return photos
