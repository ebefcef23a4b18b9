"""What a training is asked for."""

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

Arithmetic = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Precision of a training's arithmetic, as Lightning names it."""

HangHooks = Callable[[Network], Network]
"""Makes a network with hooks of a network without."""


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """One training.

    Attributes:
        template: What is trained, and how.
        train: What to learn from.
        output: Folder for latest.pth, best.pth, curves.png, receipt.yaml and logs/.
        val: What to measure on; without it there is no best.pth.
        load_weights: Start from these weights, at epoch 0.
        resume_from: Go on with this training: epoch, optimizer, schedule, averaged weights.
        epochs: In all, those of `resume_from` included; by default as many as it was to have, or
            the template's.
        batch_size: Per GPU; by default that of `resume_from`, or the template's.
        base_learning_rate: By default the template's, scaled to the run's batch size: see
            `scaled_rate`. One given is taken as it is.
        gpu_num: 0 for the CPU; by default the template's, as far as the machine has them.
        seed: Of weights, order and augmentation; by default that of `resume_from`, else 0.
        workers: Processes that cut samples.
        precision: Of the arithmetic.
        val_every: Epochs between validations; the last is validated in any case.
        progress: Show a bar; by default where stderr is a terminal.
        command: For the receipt: what the user typed.
        hang_hooks: For the network that `load_weights` gave, unless it has some.
        callbacks: Further ones of Lightning's.
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
    hang_hooks: HangHooks | None = None
    callbacks: Sequence[Callback] = ()
