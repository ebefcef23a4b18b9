"""How fast a training goes, and whether it waits for its photos."""

from __future__ import annotations

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

PHOTOS_PER_SECOND = "train/photos_per_second"
WAITING = "train/waiting"


class Pace(Callback):
    """Logs both figures at the end of every epoch.

    `train/photos_per_second`: of all processes, from the first batch's end to the last one's.
    `train/waiting`: share of that time, 0 to 1, in which this process had nothing to compute, as
    the next batch was not there; a GPU may have been busy with earlier ones.
    """

    def __init__(self) -> None:
        self._photos = 0
        self._first = self._last = self._waited = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """A new count."""
        self._photos, self._waited = 0, 0.0

    def on_train_batch_start(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """The batch is there."""
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
        """One more. The first is not counted: it waits for processes that start."""
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
        """Log them, if there were two batches."""
        seconds = self._last - self._first
        if seconds > 0:
            pl_module.log(PHOTOS_PER_SECOND, self._photos / seconds, batch_size=1)
            pl_module.log(WAITING, self._waited / seconds, batch_size=1)
