"""Measure the speed of a training, and whether it waits for photos."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

PHOTOS_PER_SECOND = "train/photos_per_second"
WAITING = "train/waiting"


class Pace(Callback):
    """Logs two figures at the end of every epoch.

    `train/photos_per_second`: photos of all processes per second, from the end of the first batch
    to the end of the last. `train/waiting`: share of that time, 0 to 1, in which this process
    waited for the next batch; a GPU may have been busy with earlier ones.
    """

    def __init__(self) -> None:
        self._photos = 0
        self._first = self._last = self._waited = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Reset the counts."""
        self._photos, self._waited = 0, 0.0

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Add the time spent waiting for this batch."""
        if batch_idx:
            self._waited += time.monotonic() - self._last

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the batch, except the first, which waits for workers to start."""
        self._last = time.monotonic()
        if batch_idx == 0:
            self._first = self._last
        else:
            self._photos += len(batch[0]) * trainer.world_size

    def on_train_epoch_end(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,
    ) -> None:
        """Log both figures, if there were at least two batches."""
        seconds = self._last - self._first
        if seconds > 0:
            pl_module.log(PHOTOS_PER_SECOND, self._photos / seconds, batch_size=1)
            pl_module.log(WAITING, self._waited / seconds, batch_size=1)
