"""The request for a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lightning.pytorch.callbacks import Callback

from ..model_templates.schema import TemplateFile
from ..models.network import Network
from ..models.weights import Weights
from ..tasks.measuring import Labels
from .report import EpochReport

Arithmetic = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Precision of a training's arithmetic, by Lightning's names."""

HangHooks = Callable[[Network], Network]
"""Function that adds NNCF's hooks to a network."""


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """One training.

    Attributes:
        template: The template, with architecture and recipe.
        train: Labelled photos to train on.
        output: Folder for latest.pth, best.pth, curves.png, receipt.yaml and logs/.
        val: Labelled photos to validate on; None writes no best.pth.
        load_weights: Weights to start from, at epoch 0.
        resume_from: Checkpoint to resume: epoch, optimizer, schedule, averaged weights.
        epochs: Total number of epochs, those of `resume_from` included; None for its planned
            number, or the template's.
        batch_size: Photos per step and GPU; None for that of `resume_from`, or the template's.
        base_learning_rate: Base learning rate, used unscaled; None for the template's, scaled to
            the batch size (see `scaled_rate`).
        gpu_num: Number of GPUs, 0 for the CPU; None for the template's, limited to those present.
        seed: Seed of weights, order and augmentation; None for that of `resume_from`, else 0.
        workers: Number of processes that cut samples.
        precision: Precision of the arithmetic.
        val_every: Epochs between validations; the last epoch is always validated.
        progress: Whether to show a progress bar; None if stderr is a terminal.
        command: The command that the user typed, for the receipt.
        on_epoch: Called after every epoch, in the first process.
        trackers: Experiment trackers to tell too: "mlflow", "clearml".
        hang_hooks: Adds hooks to the network of `load_weights`, unless it has some.
        callbacks: Further Lightning callbacks.
    """

    template: TemplateFile
    train: Labels
    output: Path
    val: Labels = field(default_factory=Labels)
    load_weights: Weights | None = None
    resume_from: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    base_learning_rate: float | None = None
    gpu_num: int | None = None
    seed: int | None = None
    workers: int = 1
    precision: Arithmetic = "32-true"
    val_every: int = 1
    progress: bool | None = None
    command: str | None = None
    on_epoch: Callable[[EpochReport], object] | None = None
    trackers: Sequence[str] = ()
    hang_hooks: HangHooks | None = None
    callbacks: Sequence[Callback] = ()
