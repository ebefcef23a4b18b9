"""Run a whole training from a template."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.optim.lr_scheduler import LambdaLR

from ..errors import TrainingError
from ..files import name_in_utf8, sha256_file
from ..model_templates.schema import Template
from ..runtimes.seal import model_files
from .callbacks import AtomicCheckpointIO, Snapshots, weight_averaging
from .folder_lock import only_training_in
from .interrupt import StopBetweenBatches
from .machine import Machine
from .pace import Pace
from .pictures import Pictures
from .prepare import PreparedTraining, prepare_training
from .receipt import Receipt, draw_curves
from .report import FitReport
from .request import FitRequest
from .tracker import RunStart
from .trackers import TrackerLogger, check_trackers, tracked

_log = logging.getLogger(__name__)


def fit(request: FitRequest) -> FitReport:
    """Train a template's network; docs/reference/template.md explains the recipe's keys.

    Raises:
        UserError: The data, weights or settings do not fit, a tracker cannot be used, or another
            training is writing into the folder; nothing was written.
        TrainingError: Loss or gradient is not finite, or a file cannot be written, as on a full
            disk; latest.pth is the last complete epoch.
        KeyboardInterrupt: The run was interrupted; latest.pth is the last complete epoch.
    """
    check_trackers(request.trackers)
    with only_training_in(request.output):
        return _fit(request)


def _fit(request: FitRequest) -> FitReport:
    progress = sys.stderr.isatty() if request.progress is None else request.progress
    made = prepare_training(request)
    start, module = made.start, made.module
    snapshots = _snapshots(request, made)
    settings = _settings(request, made)
    receipt = _receipt(request, made, settings)
    stop = StopBetweenBatches()
    behind = 0 if start.weights is None else start.weights.epochs
    begun = RunStart(request.output, request.output.resolve().name, epochs=behind)
    with (
        _without_lightnings_news(),
        stop.listening(),
        tracked(
            request.trackers,
            begun,
            goes_on=made.goes_on,
            first_epoch=start.epoch,
            steps_per_epoch=module.course.steps_per_epoch,
        ) as trackers,
    ):
        for tracker in trackers:
            tracker.log_hyperparams(_parameters(request, made, settings))
        trainer = lightning.Trainer(
            accelerator=made.machine.accelerator,
            devices=made.machine.devices,
            num_nodes=made.machine.nodes,
            max_epochs=start.epochs - start.epoch,
            precision=request.precision,
            callbacks=[
                stop,
                *request.callbacks,
                *_callbacks(snapshots, module.template, made.machine, progress=progress),
            ],
            logger=[*_loggers(request.output, settings), *trackers],
            plugins=[AtomicCheckpointIO()],
            gradient_clip_val=module.template.hyper_parameters.optimizer.gradient_clip,
            check_val_every_n_epoch=request.val_every,
            limit_val_batches=1.0 if request.val.files else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            log_every_n_steps=min(50, module.course.steps_per_epoch),
            default_root_dir=request.output,
        )
        with _receipt_kept(trainer, receipt, snapshots, trackers):
            try:
                trainer.fit(
                    module,
                    datamodule=made.data,
                    ckpt_path=None if start.made_of is None else request.resume_from,
                    weights_only=True,
                )
            except SystemExit as left:
                # Lightning turns Ctrl-C into SystemExit, which callers cannot tell from others.
                what = (
                    f"epoch {snapshots.epochs + 1} of {start.epochs} begins again with "
                    f"--resume-from {snapshots.latest}"
                )
                if snapshots.epochs >= start.epochs:
                    what = f"all {start.epochs} epochs are in {snapshots.latest}"
                raise KeyboardInterrupt(what) from left
            except OSError as error:
                if error.filename is None or not snapshots.latest.exists():
                    raise
                raise TrainingError(
                    f"{error.filename}: {error.strerror}",
                    hint=f"{snapshots.latest} is whole: go on with it by --resume-from",
                ) from error
    report = FitReport(
        latest=snapshots.latest,
        best=snapshots.best if request.val.files and snapshots.best.exists() else None,
        best_value=snapshots.best_value if request.val.files else None,
        metric_name=module.figure.name,
        epochs=start.epochs,
    )
    if not trainer.is_global_zero:
        return report
    files = [report.latest, report.best, draw_curves(request.output), receipt.path]
    return replace(report, written=tuple(path for path in files if path is not None))


def _snapshots(request: FitRequest, made: PreparedTraining) -> Snapshots:
    return Snapshots(
        request.output,
        template=request.template.text,
        about={
            "data": name_in_utf8(", ".join(path.name for path in request.train.files)),
            "seed": made.seed,
        },
        made_of=made.made_of,
        measured_on=" ".join(sorted(map(sha256_file, request.val.files))),
        figure=made.module.figure,
        on_epoch=request.on_epoch,
    )


def _settings(request: FitRequest, made: PreparedTraining) -> dict[str, Any]:
    """The settings of this start, for the logs and the receipt."""
    machine = made.machine
    return {
        "epochs": made.start.epochs,
        "first_epoch": made.start.epoch,
        "batch_size": made.batch_size,
        "seed": made.seed,
        "precision": request.precision,
        "workers": request.workers,
        "val_every": request.val_every,
        "devices": f"{machine.nodes} x {machine.devices} x {machine.accelerator}",
    }


def _parameters(
    request: FitRequest, made: PreparedTraining, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of this start for trackers: also the template's recipe, and file names."""
    course = made.module.course
    # Then the rate is that of a checkpoint that is read later.
    resumes = made.start.made_of is not None and not course.rate_is_asked_for
    return {
        "template": request.template.spec.name,
        **settings,
        **({} if resumes else {"base_learning_rate": course.base_learning_rate}),
        "recipe": request.template.spec.hyper_parameters.model_dump(),
        "files": {
            role: " ".join(path.name for path in paths)
            for role, paths in _files(request, made).items()
        },
    }


def _files(request: FitRequest, made: PreparedTraining) -> dict[str, Sequence[Path]]:
    """The files that this start reads, by role."""
    begun = None if request.load_weights is None else request.load_weights.path
    given = {"load_weights": begun, "resume_from": request.resume_from, "teacher": made.teacher}
    return {
        "train_annotations": request.train.files,
        "val_annotations": request.val.files,
        **{role: model_files(path) for role, path in given.items() if path is not None},
    }


def _receipt(request: FitRequest, made: PreparedTraining, settings: Mapping[str, Any]) -> Receipt:
    return Receipt(
        request.output,
        command=request.command,
        template=request.template.path,
        settings=settings,
        files=_files(request, made),
        photos=made.data.crops.used,
        goes_on=made.goes_on,
    )


def _rate(trainer: lightning.Trainer) -> float | None:
    """The base learning rate in use, which may come from a resumed checkpoint."""
    for config in trainer.lr_scheduler_configs:
        assert isinstance(config.scheduler, LambdaLR)
        return float(config.scheduler.base_lrs[0])
    return None


def _loggers(output: Path, settings: Mapping[str, Any]) -> list[Logger]:
    # TensorBoard's own switch to work without TensorFlow, whose import takes seconds and prints.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
    # A new version per start, so that a resumed training does not delete its earlier logs.
    loggers: list[Logger] = [
        CSVLogger(output / "logs", name="csv"),
        TensorBoardLogger(output / "logs", name="tensorboard"),
    ]
    for logger in loggers:
        logger.log_hyperparams(dict(settings))
    return loggers


@contextmanager
def _receipt_kept(
    trainer: lightning.Trainer,
    receipt: Receipt,
    snapshots: Snapshots,
    trackers: Sequence[TrackerLogger],
) -> Iterator[None]:
    """Write the receipt with each `latest.pth`, so that it is right however the training ends."""
    started = time.monotonic()
    saved = False

    def write(*, finished: bool = False) -> None:
        # Until its first checkpoint this start has written nothing, and an existing receipt
        # belongs to an earlier training.
        if trainer.is_global_zero and saved:
            receipt.write(
                hours=(time.monotonic() - started) / 3600,
                epochs=snapshots.epochs,
                finished=finished,
                base_learning_rate=_rate(trainer),
                best={f"best_{snapshots.figure.key}": snapshots.best_value},
            )
            for tracker in trackers:
                tracker.log_file(receipt.path)

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
    """Silence Lightning's messages that users cannot act on."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            # As templates with frozen normalisation mean it.
            warnings.filterwarnings("ignore", message=".* in eval mode at the start of training")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _callbacks(
    snapshots: Snapshots, template: Template, machine: Machine, *, progress: bool
) -> list[Callback]:
    callbacks: list[Callback] = [Pace(), Pictures(), snapshots]
    decay = template.hyper_parameters.ema_decay
    if decay is not None:
        # "cuda" is the GPU that Lightning gives to this process.
        device = "cuda" if machine.accelerator == "gpu" else None
        callbacks.insert(0, weight_averaging(decay, device=device))
    if progress:
        from lightning.pytorch.callbacks import RichProgressBar

        callbacks.append(RichProgressBar())
    return callbacks
