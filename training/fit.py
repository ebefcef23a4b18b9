"""Training from a template: the whole run."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from ..data.coco import Photo, read_coco
from ..errors import UserError
from ..model_templates.schema import Template, load_template
from ..models.network import Detector
from ..models.weights import Weights, contract_for, read_weights_for
from .callbacks import FIRST_EPOCH_KEY, AtomicCheckpointIO, Snapshots, weight_averaging
from .datamodule import FaceData
from .interrupt import StopBetweenBatches
from .machine import choose_machine
from .module import DetectionModule
from .receipt import draw_curves, write_receipt

_log = logging.getLogger(__name__)

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True)
class FitReport:
    """What a training left behind.

    Attributes:
        latest: The checkpoint of the last epoch.
        best: That of the best AP50 on the validation photos; None where there were none.
        best_ap50: 0 to 1; None likewise.
        epochs: In all, with those of the run resumed.
        written: All files for people to look at; empty in processes other than the first.
    """

    latest: Path
    best: Path | None
    best_ap50: float | None
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
) -> FitReport:
    """Train a template's network; see the README for the recipe's keys.

    Args:
        template: The template.yaml.
        train_annotations: COCO JSON files.
        train_roots: Folders of their photos, one each or one for all.
        output: For latest.pth, best.pth, curves.png, receipt.yaml and logs/.
        val_annotations: COCO JSON files; without them there is no best.pth.
        val_roots: As `train_roots`.
        load_weights: Start from these weights, at epoch 0.
        resume_from: Go on with this training: epoch, optimizer, schedule, averaged weights.
        epochs: In all, those of `resume_from` included; the template's by default.
        batch_size: Per GPU; the template's by default.
        base_learning_rate: The template's by default.
        gpu_num: 0 for the CPU; by default the template's, as far as the machine has them.
        seed: Of weights, order and augmentation; by default that of `resume_from`, else 0.
        workers: Processes that cut samples.
        precision: Of the arithmetic.
        val_every: Epochs between validations.
        progress: Show a bar; by default where stderr is a terminal.

    Raises:
        UserError: The data, weights or settings do not fit; nothing was written.
        TrainingError: The loss is not finite; latest.pth is the last whole epoch.
        KeyboardInterrupt: Interrupted; likewise.
    """
    if progress is None:
        progress = sys.stderr.isatty()
    recipe_file = load_template(template)
    recipe = recipe_file.hyper_parameters
    wanted = recipe.basic.epochs if epochs is None else epochs
    per_gpu = recipe.basic.batch_size if batch_size is None else batch_size
    rate = recipe.basic.base_learning_rate if base_learning_rate is None else base_learning_rate

    weights, done, continues = _start(template, load_weights, resume_from, epochs=wanted)
    latest = output / "latest.pth"
    if latest.exists() and not (resume_from is not None and resume_from.samefile(latest)):
        raise UserError(
            f"--save-checkpoints-to {output}: holds a {latest.name} of another training",
            hint=f"go on with it by --resume-from {latest}, or name another folder",
        )
    if seed is None:
        seed = (weights.seed if weights is not None and continues else None) or 0
    train_photos = read_coco(
        train_annotations, train_roots, classes=recipe_file.dataset.classes
    ).photos
    val_photos: tuple[Photo, ...] = ()
    if val_annotations:
        val_photos = read_coco(
            val_annotations, val_roots, classes=recipe_file.dataset.classes
        ).photos
    machine = choose_machine(gpu_num, template_gpus=recipe_file.gpu_num)

    lightning.seed_everything(seed, verbose=False)
    network = Detector(recipe_file.architecture)
    if weights is not None:
        network.load_state_dict(weights.state_dict)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    data = FaceData(
        recipe_file,
        train=train_photos,
        val=val_photos,
        batch_size=per_gpu,
        seed=seed,
        workers=workers,
    )
    _log.info("%d photos in memory, %.2f GiB", len(train_photos), data.preload() / 2**30)
    steps = data.steps_per_epoch(processes=machine.processes)
    module = DetectionModule(
        network,
        template=recipe_file,
        contract=contract_for(recipe_file, weights=None),
        base_learning_rate=rate,
        rate_is_asked_for=base_learning_rate is not None,
        epochs=wanted,
        steps_per_epoch=steps,
        first_epoch=done,
        seed=seed,
    )
    snapshots = Snapshots(
        output,
        about={
            "template_text": template.read_text(encoding="utf-8"),
            "data": ", ".join(path.name for path in train_annotations),
            "seed": seed,
        },
    )
    stop = StopBetweenBatches()
    started = time.monotonic()
    with _without_lightnings_news(), stop.listening():
        trainer = lightning.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            num_nodes=machine.nodes,
            max_epochs=wanted - done,
            precision=precision,
            callbacks=[stop, *_callbacks(snapshots, recipe_file, progress=progress)],
            logger=[
                # A version per start: a resumed training must not delete its own past.
                CSVLogger(output / "logs", name="csv"),
                TensorBoardLogger(output / "logs", name="tensorboard"),
            ],
            plugins=[AtomicCheckpointIO()],
            gradient_clip_val=recipe.optimizer.gradient_clip,
            check_val_every_n_epoch=val_every,
            limit_val_batches=1.0 if val_photos else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            log_every_n_steps=min(50, steps),
            default_root_dir=output,
        )
        try:
            trainer.fit(
                module,
                datamodule=data,
                ckpt_path=resume_from if continues else None,
                weights_only=True,
            )
        except SystemExit as left:
            # Lightning turns Ctrl-C into an exit; callers want to know what it was.
            raise KeyboardInterrupt(f"go on with --resume-from {snapshots.latest}") from left
    report = FitReport(
        latest=snapshots.latest,
        best=snapshots.best if val_photos and snapshots.best.exists() else None,
        best_ap50=snapshots.best_ap50 if val_photos else None,
        epochs=wanted,
    )
    if not trainer.is_global_zero:
        return report
    receipt = write_receipt(
        output,
        template=recipe_file,
        settings={
            "epochs": wanted,
            "first_epoch": done,
            "batch_size": per_gpu,
            "base_learning_rate": trainer.lr_scheduler_configs[0].scheduler.base_lrs[0],
            "seed": seed,
            "precision": precision,
            "devices": f"{machine.nodes} x {machine.devices} x {machine.accelerator}",
            "load_weights": None if load_weights is None else str(load_weights),
            "resume_from": None if resume_from is None else str(resume_from),
        },
        annotations=train_annotations,
        photos=len(train_photos),
        hours=(time.monotonic() - started) / 3600,
        best_ap50=report.best_ap50,
    )
    files = [report.latest, report.best, draw_curves(output), receipt]
    return replace(report, written=tuple(path for path in files if path is not None))


def _start(
    template: Path, load_weights: Path | None, resume_from: Path | None, *, epochs: int
) -> tuple[Weights | None, int, bool]:
    """Weights to begin with, epochs behind them, and whether Lightning can resume their file."""
    if resume_from is None:
        weights = None if load_weights is None else read_weights_for(load_weights, template)
        return weights, 0, False
    weights = read_weights_for(resume_from, template)
    if epochs <= weights.epochs:
        raise UserError(
            f"--epochs {epochs}: {resume_from} has {weights.epochs} epochs behind it already",
            hint=f"ask for more in all, as --epochs {weights.epochs + 1}, or start anew by "
            "--load-weights",
        )
    first = _first_epoch_of_run(resume_from)
    if first is None:
        _log.warning("%s holds no optimizer state: the optimizer starts anew", resume_from)
        return weights, weights.epochs, False
    return weights, first, True


def _first_epoch_of_run(resume_from: Path | None) -> int | None:
    """`first_epoch` of a checkpoint that Lightning can resume; None of any other weights."""
    if resume_from is None or resume_from.suffix != ".pth":
        return None
    checkpoint = torch.load(resume_from, map_location="cpu", weights_only=True, mmap=True)
    first: int | None = checkpoint.get(FIRST_EPOCH_KEY)
    return first


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


def _callbacks(snapshots: Snapshots, template: Template, *, progress: bool) -> list[Callback]:
    callbacks: list[Callback] = [snapshots]
    decay = template.hyper_parameters.ema_decay
    if decay is not None:
        callbacks.insert(0, weight_averaging(decay))
    if progress:
        from lightning.pytorch.callbacks import RichProgressBar

        callbacks.append(RichProgressBar())
    return callbacks
