"""Averaged weights, and checkpoints that are written atomically."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from ..evaluation.figures import Figure
from ..files import atomic_write
from ..models.nncf_hooks import hooks_of
from ..models.weights_formats import CHECKPOINT_KEY, Section
from ..tasks.templates import settled_text
from .module import TemplateModule
from .pace import PHOTOS_PER_SECOND, WAITING
from .report import EpochReport

_log = logging.getLogger(__name__)

RUN_KEY = "pocketface_run"
"""Key of the data for resuming a checkpoint: `first_epoch`, `epochs` and `fine_tunes` of its
`Course`, and the result of `made_of`."""

_VALIDATION = "val/"
"""What the logs put before the key of a figure on the validation photos."""


def weight_averaging(decay: float, *, device: str | None = None) -> WeightAveraging:
    """Exponential moving average whose decay grows to `decay` (like TensorFlow's `num_updates`).

    With a constant decay, a fine-tuning of a few steps would end with its initial weights.

    Args:
        decay: Largest decay, 0 to 1.
        device: Device that holds the average. By default Lightning decides before the network
            moves to the GPU, and would keep it on the CPU.
    """

    def average(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        if not averaged[0].is_floating_point():  # all tensors of a call have one type
            torch._foreach_copy_(averaged, current)
            return
        steps = float(count)
        weight = 1 - min(decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(averaged, current, weight)

    # All tensors at once, because each `float` waits for the GPU.
    return WeightAveraging(device=device, multi_avg_fn=average)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, flushes it, and moves it to its place."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ARG002
    ) -> None:
        """See the base class; a killed run leaves the complete old or new file."""
        with atomic_write(Path(path)) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # After Ctrl-C torch fails when it closes its archive.
                if isinstance(error.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from error
                raise


class Snapshots(Checkpoint):
    """`latest.pth` at the start and after every epoch, `best.pth` by the task's metric.

    Args:
        folder: Folder for both files.
        template: Text of the template.
        about: Further arguments of `Section`.
        made_of: Settings that must be the same when the training is resumed; see `made_of`.
        measured_on: Identifies the validation photos; "" if nothing is validated. A best.pth of
            other photos is renamed, and its figure dropped.
        figure: The figure that decides which epoch is the best.
        on_epoch: See `FitRequest`.

    Attributes:
        after_saving: Called after `latest.pth` was written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        template: str,
        about: dict[str, Any],
        made_of: Mapping[str, int | str],
        measured_on: str,
        figure: Figure,
        on_epoch: Callable[[EpochReport], object] | None = None,
    ) -> None:
        self.latest = folder / "latest.pth"
        self.best = folder / "best.pth"
        self.template = template
        self.about = about
        self.made_of = made_of
        self.measured_on = measured_on
        self.figure = figure
        self.on_epoch = on_epoch
        self.best_value: float | None = None
        self.after_saving: Callable[[], object] = lambda: None
        self._epochs = 0

    def state_dict(self) -> dict[str, Any]:
        """The best figure so far."""
        return {f"best_{self.figure.key}": self.best_value, "measured_on": self.measured_on}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what is known of best.pth, which a start without validation hands on."""
        then = state_dict["measured_on"]
        if then and self.measured_on in ("", then) and self.best.exists():
            self.measured_on = then
            self.best_value = state_dict[f"best_{self.figure.key}"]

    def on_save_checkpoint(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Add the data that makes a checkpoint a weights file: template, epochs, data, seed."""
        assert isinstance(pl_module, TemplateModule)
        section = Section(
            **self.about,
            template=settled_text(self.template, pl_module.settled),
            epochs=self._epochs,
            hooks=hooks_of(pl_module.network),
        )
        checkpoint[CHECKPOINT_KEY] = section.model_dump(mode="json")
        checkpoint[RUN_KEY] = {
            "first_epoch": pl_module.course.first_epoch,
            "epochs": pl_module.course.epochs,
            "fine_tunes": pl_module.course.fine_tunes,
            **self.made_of,
        }

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Save, so that a run killed in its first epoch leaves a loadable file too."""
        assert isinstance(pl_module, TemplateModule)
        self._epochs = pl_module.course.first_epoch + trainer.current_epoch
        # The best value decides whether to save, and saving ends in a barrier, so all processes
        # must use the first one's value, whatever their own disks hold.
        self.best_value = trainer.strategy.broadcast(self.best_value)
        if self.measured_on and trainer.is_global_zero:
            self._keep_best_of_others()
        trainer.save_checkpoint(self.latest)
        self.after_saving()

    def on_train_epoch_start(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
    ) -> None:
        """Make sure that the last epoch is validated, and drop what holds for weights of before."""
        assert isinstance(pl_module, TemplateModule)
        pl_module.settled = {}
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Save; Lightning calls this after validation and after other callbacks."""
        assert isinstance(pl_module, TemplateModule)
        self._epochs = pl_module.course.first_epoch + trainer.current_epoch + 1
        validated = self._validated(trainer)
        value = trainer.callback_metrics.get(_VALIDATION + self.figure.key) if validated else None
        if value is None:  # where the photos cannot tell, the newest counts as the best
            is_best = validated and self.best_value is None
        else:
            is_best = self.best_value is None or float(value) > self.best_value
        if is_best:
            self.best_value = None if value is None else float(value)
            # Before latest.pth, which records the best value: a kill between the two loses nothing.
            trainer.save_checkpoint(self.best)
        trainer.save_checkpoint(self.latest)
        self.after_saving()
        if not trainer.is_global_zero:
            return
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        loss = figures.get("train/loss_epoch", float("nan"))
        found = "" if value is None else f", {self.figure.name} {100 * float(value):.2f}"
        if validated and value is None and self._epochs == pl_module.course.epochs:
            _log.warning(
                "--val-ann-files: %s cannot be measured on these photos: expected %s; best.pth is "
                "of the last epoch",
                self.figure.title,
                self.figure.needs,
            )
        pace = ""
        if PHOTOS_PER_SECOND in figures:
            pace = f", {figures[PHOTOS_PER_SECOND]:.0f} photos/s"
            pace += f" ({100 * figures[WAITING]:.0f} % of the time waiting for them)"
        _log.info(
            "epoch %d of %d: loss %.4f%s%s",
            self._epochs,
            pl_module.course.epochs,
            loss,
            found,
            pace,
        )
        if self.on_epoch is not None:
            measured = {
                name.removeprefix(_VALIDATION): figure
                for name, figure in figures.items()
                if name.startswith(_VALIDATION) and validated
            }
            self.on_epoch(
                EpochReport(self._epochs, pl_module.course.epochs, loss, measured, is_best)
            )

    def _keep_best_of_others(self) -> None:
        """Rename a best.pth whose figure cannot be compared with those of this start."""
        if self.best_value is not None or not self.best.exists():
            return
        kept = (self.best.with_name(f"best_{number}.pth") for number in count(1))
        name = next(path for path in kept if not path.exists())
        self.best.rename(name)
        _log.warning("%s is of other --val-ann-files, and is %s now", self.best, name.name)

    @property
    def epochs(self) -> int:
        """Number of complete epochs in the newest checkpoint."""
        return self._epochs

    @staticmethod
    def _validated(trainer: lightning.Trainer) -> bool:
        every = trainer.check_val_every_n_epoch
        return bool(trainer.num_val_batches) and (
            every is not None and (trainer.current_epoch + 1) % every == 0
        )
