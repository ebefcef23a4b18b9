"""Pictures of what a network finds while it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from ..tasks import Task
from .module import TemplateModule
from .trackers import TrackerLogger

_SAMPLES = 8
"""How many validation samples are drawn, always the same."""

NAME = "predictions"
"""What the logs call the pictures."""


class Pictures(Callback):
    """Adds a picture of some validation samples to the logs, where the task can draw one."""

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,
        batch_idx: int,  # noqa: ARG002
        dataloader_idx: int = 0,  # noqa: ARG002
    ) -> None:
        """Draw and log; averaged weights are in the network until the end of the validation."""
        assert isinstance(pl_module, TemplateModule)
        task = pl_module.task
        if task.preview is None or not trainer.is_global_zero:
            return
        drawn = task.preview.preview(pl_module.model(), _some(task, batch))
        picture = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB), np.uint8)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                board: Any = logger.experiment
                board.add_image(NAME, picture, trainer.global_step, dataformats="HWC")
            elif isinstance(logger, TrackerLogger):
                logger.log_picture(NAME, picture, step=trainer.global_step)


def _some(task: Task, samples: Sequence[Any]) -> list[Any]:
    """Samples evenly spread over those that a model can be wrong about."""
    usable = [sample for sample in samples if task.samples.can_be_lost(sample)]
    places = np.linspace(0, len(usable) - 1, min(_SAMPLES, len(usable))).round().astype(int)
    return [usable[place] for place in places]
