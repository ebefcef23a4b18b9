"""`pocketface.train`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..places import check_place
from ..runtimes import opened
from ..tasks.named import weights_path
from ..tasks.templates import open_template
from ..tasks.weights import Given, check_weights_file
from .given import (
    Annotations,
    Classes,
    Paths,
    check_counts,
    check_not_negative,
    check_rate,
    labels_of,
    optional_path,
)
from .threads import wait_passively

if TYPE_CHECKING:
    from ..training.report import EpochReport, FitReport
    from ..training.request import Arithmetic


def train(
    template: Given,
    output: Given,
    *,
    annotations: Annotations,
    photos: Paths | None = None,
    val_annotations: Annotations | None = None,
    val_photos: Paths | None = None,
    classes: Classes | None = None,
    weights: Given | None = None,
    resume_from: Given | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    base_learning_rate: float | None = None,
    gpu_num: int | None = None,
    seed: int | None = None,
    workers: int = 1,
    val_every: int = 1,
    precision: Arithmetic = "32-true",
    trackers: Sequence[str] = (),
    command: str | None = None,
    on_epoch: Callable[[EpochReport], object] | None = None,
) -> FitReport:
    """Train or fine-tune a template on annotated photos.

    Sets `OMP_WAIT_POLICY` in the environment, see `wait_passively`, which has no effect where torch
    was imported before: set it yourself then, before that.

    Args:
        template: Name of a template, or the path of a `template.yaml`.
        output: Folder for latest.pth, best.pth, curves.png, receipt.yaml and logs.
        annotations: COCO JSON; of a classifier, lists by `pocketface data glasses`; or a `Labels`.
        photos: Folders of the photos, one for each annotation file or one for all.
        val_annotations: The same to validate on; None writes no best.pth.
        val_photos: Folders of those photos.
        classes: What the annotation files call a class, as `{"face": ["Face", "head"]}`.
        weights: Weights to start from, at epoch 0: a file, or the name of a template.
        resume_from: A checkpoint to go on with.
        epochs: Number of epochs in all; None for that of `resume_from`, or the template's.
        batch_size: Photos per step and GPU; None likewise.
        base_learning_rate: None for the template's, scaled to the photos of a step.
        gpu_num: Number of GPUs, 0 for the CPU; None for the template's, as far as they are there.
        seed: Of weights, order and augmentation; None for that of `resume_from`, else 0.
        workers: Number of processes that cut samples.
        val_every: Epochs between validations.
        precision: Of the arithmetic: "32-true", "bf16-mixed" or "16-mixed".
        trackers: Experiment trackers to tell too: "mlflow", "clearml"; see docs/guide/train.md.
        command: What the receipt says of how the training was begun.
        on_epoch: Called after every epoch.

    Returns:
        The checkpoints, and the best figure.

    Raises:
        UserError: Labels, weights or settings do not fit, a tracker cannot be used, or another
            training writes into the folder; nothing was written.
        MissingPackageError: A tracker's package is not installed.
        DataError: An annotation file or a folder is missing or damaged.
        TrainingError: Loss or gradient is not finite; latest.pth is the last complete epoch.
    """
    check_counts(epochs=epochs, batch_size=batch_size, val_every=val_every)
    check_not_negative(gpu_num=gpu_num, seed=seed, workers=workers)
    check_rate(base_learning_rate)
    if weights is not None and resume_from is not None:
        raise UserError("weights, resume_from: expected one of them")
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first one writes
        check_place(Path(output), "output", folder=True)
    labels = labels_of(annotations, photos, classes=classes)
    validation = labels_of(val_annotations, val_photos, classes=classes, part="val_")
    start = None if weights is None else weights_path(weights)
    goes_on = optional_path(resume_from)
    start, goes_on = (path and opened(path) for path in (start, goes_on))
    for path in (start, goes_on):
        if path is not None:
            check_weights_file(path, template=True)
    described = open_template(template)
    wait_passively()
    from ..models.weights import read_weights
    from ..training.fit import fit
    from ..training.request import FitRequest

    return fit(
        FitRequest(
            template=described,
            load_weights=None
            if start is None
            else read_weights(start, template=described, learns_anew=True),
            resume_from=goes_on,
            train=labels,
            val=validation,
            output=Path(output),
            epochs=epochs,
            batch_size=batch_size,
            base_learning_rate=base_learning_rate,
            gpu_num=gpu_num,
            seed=seed,
            workers=workers,
            precision=precision,
            val_every=val_every,
            trackers=trackers,
            command=command,
            on_epoch=on_epoch,
        )
    )
