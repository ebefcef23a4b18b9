"""Training from a template: the whole run."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.optim.lr_scheduler import LambdaLR

from ..files import name_in_utf8, sha256_file
from ..model_templates.schema import Template
from ..models.network import Network
from .callbacks import AtomicCheckpointIO, Snapshots, weight_averaging
from .interrupt import StopBetweenBatches
from .machine import Machine
from .pace import Pace
from .prepare import Precision, prepare_training
from .receipt import Receipt, draw_curves

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitReport:
    """What a training left behind.

    Attributes:
        latest: The checkpoint of the last epoch.
        best: That of the best figure on the validation photos; None where there were none.
        best_value: That figure, 0 to 1; None likewise.
        metric_name: What it is.
        epochs: In all, with those of the run resumed.
        written: All files for people to look at; empty in processes other than the first.
    """

    latest: Path
    best: Path | None
    best_value: float | None
    metric_name: str
    epochs: int
    written: tuple[Path, ...] = ()


def fit(
    *,
    template: Path,
    train_annotations: Sequence[Path],
    train_roots: Sequence[Path],
    output: Path,
    val_annotations: Sequence[Path] = (),
    val_roots: Sequence[Path] = (),
    load_weights: Path | None = None,
    resume_from: Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    base_learning_rate: float | None = None,
    gpu_num: int | None = None,
    seed: int | None = None,
    workers: int = 1,
    precision: Precision = "32-true",
    val_every: int = 1,
    progress: bool | None = None,
    command: str | None = None,
    prepare: Callable[[Network], Network] | None = None,
    callbacks: Sequence[Callback] = (),
) -> FitReport:
    """Train a template's network; docs/training.md explains the recipe's keys.

    Args:
        template: The template.yaml.
        train_annotations: COCO JSON files; of a classifier CSV, see `read_labelled_faces`.
        train_roots: Folders of their photos, one each or one for all.
        output: For latest.pth, best.pth, curves.png, receipt.yaml and logs/.
        val_annotations: Likewise; without them there is no best.pth.
        val_roots: As `train_roots`.
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
        prepare: Hangs hooks on the network that `load_weights` gave, unless it has some.
        callbacks: Further ones of Lightning's.

    Raises:
        UserError: The data, weights or settings do not fit; nothing was written.
        TrainingError: Loss or gradient is not finite; latest.pth is the last whole epoch.
        KeyboardInterrupt: Interrupted; likewise.
    """
    if progress is None:
        progress = sys.stderr.isatty()
    made = prepare_training(
        template=template,
        train=(train_annotations, train_roots),
        val=(val_annotations, val_roots),
        output=output,
        load_weights=load_weights,
        resume_from=resume_from,
        epochs=epochs,
        batch_size=batch_size,
        base_learning_rate=base_learning_rate,
        gpu_num=gpu_num,
        seed=seed,
        workers=workers,
        precision=precision,
        hang_hooks=prepare,
    )
    start, machine, module = made.start, made.machine, made.module
    snapshots = Snapshots(
        output,
        about={
            "template": template.read_text(encoding="utf-8"),
            "data": name_in_utf8(", ".join(path.name for path in train_annotations)),
            "seed": made.seed,
        },
        made_of=made.made_of,
        measured_on=" ".join(sha256_file(path) for path in val_annotations),
        metric=module.metric,
        metric_name=module.metric_name,
    )
    settings = {
        "epochs": start.epochs,
        "first_epoch": start.epoch,
        "batch_size": made.batch_size,
        "seed": made.seed,
        "precision": precision,
        "workers": workers,
        "val_every": val_every,
        "devices": f"{machine.nodes} x {machine.devices} x {machine.accelerator}",
    }
    given = {"load_weights": load_weights, "resume_from": resume_from, "teacher": made.teacher}
    receipt = Receipt(
        output,
        command=command,
        template=template,
        settings=settings,
        files={
            "train_annotations": train_annotations,
            "val_annotations": val_annotations,
            **{role: [path] for role, path in given.items() if path is not None},
        },
        photos=made.data.crops.used,
        goes_on=made.goes_on,
    )
    stop = StopBetweenBatches()
    with _without_lightnings_news(), stop.listening():
        trainer = lightning.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            num_nodes=machine.nodes,
            max_epochs=start.epochs - start.epoch,
            precision=precision,
            callbacks=[
                stop,
                *callbacks,
                *_callbacks(snapshots, made.template, machine, progress=progress),
            ],
            logger=_loggers(output, settings),
            plugins=[AtomicCheckpointIO()],
            gradient_clip_val=made.template.hyper_parameters.optimizer.gradient_clip,
            check_val_every_n_epoch=val_every,
            limit_val_batches=1.0 if val_annotations else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            log_every_n_steps=min(50, module.steps_per_epoch),
            default_root_dir=output,
        )
        with _receipt_kept(trainer, receipt, snapshots):
            try:
                trainer.fit(
                    module,
                    datamodule=made.data,
                    ckpt_path=None if start.made_of is None else resume_from,
                    weights_only=True,
                )
            except SystemExit as left:
                # Lightning turns Ctrl-C into an exit; callers want to know what it was.
                raise KeyboardInterrupt(f"go on with --resume-from {snapshots.latest}") from left
    report = FitReport(
        latest=snapshots.latest,
        best=snapshots.best if val_annotations and snapshots.best.exists() else None,
        best_value=snapshots.best_value if val_annotations else None,
        metric_name=module.metric_name,
        epochs=start.epochs,
    )
    if not trainer.is_global_zero:
        return report
    files = [report.latest, report.best, draw_curves(output), receipt.path]
    return replace(report, written=tuple(path for path in files if path is not None))


def _rate(trainer: lightning.Trainer) -> float | None:
    """The base rate in force, which may be a resumed checkpoint's."""
    for config in trainer.lr_scheduler_configs:
        assert isinstance(config.scheduler, LambdaLR)
        return float(config.scheduler.base_lrs[0])
    return None


def _loggers(output: Path, settings: Mapping[str, Any]) -> list[Logger]:
    # TensorBoard's own switch: it writes without TensorFlow as well, whose import takes seconds
    # and prints remarks.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
    # A version per start: a resumed training must not delete its own past.
    loggers: list[Logger] = [
        CSVLogger(output / "logs", name="csv"),
        TensorBoardLogger(output / "logs", name="tensorboard"),
    ]
    for logger in loggers:
        logger.log_hyperparams(dict(settings))
    return loggers


@contextmanager
def _receipt_kept(
    trainer: lightning.Trainer, receipt: Receipt, snapshots: Snapshots
) -> Iterator[None]:
    """A receipt that is true however the training ends: one for each `latest.pth`."""
    started = time.monotonic()
    saved = False

    def write(*, finished: bool = False) -> None:
        # A start that failed before its first checkpoint is none, and the receipt another's.
        if trainer.is_global_zero and saved:
            receipt.write(
                hours=(time.monotonic() - started) / 3600,
                epochs=snapshots.epochs,
                finished=finished,
                base_learning_rate=_rate(trainer),
                best={f"best_{snapshots.metric}": snapshots.best_value},
            )

    def write_saved() -> None:
        nonlocal saved
        saved = True
        write()

    snapshots.after_saving = write_saved
    finished = False
    try:
        yield
        finished = True
    finally:
        write(finished=finished)


@contextmanager
def _without_lightnings_news() -> Iterator[None]:
    """Keep Lightning's remarks that no user of ours can act on from them."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _callbacks(
    snapshots: Snapshots, template: Template, machine: Machine, *, progress: bool
) -> list[Callback]:
    callbacks: list[Callback] = [Pace(), snapshots]
    decay = template.hyper_parameters.ema_decay
    if decay is not None:
        # "cuda": the GPU that Lightning gives to this process.
        device = "cuda" if machine.accelerator == "gpu" else None
        callbacks.insert(0, weight_averaging(decay, device=device))
    if progress:
        from lightning.pytorch.callbacks import RichProgressBar

        callbacks.append(RichProgressBar())
    return callbacks
