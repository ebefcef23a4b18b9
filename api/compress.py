"""`pocketface.compress`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..compressing.formats import chosen
from ..errors import UserError
from ..places import check_place
from ..tasks.measuring import Progress
from ..tasks.weights import Given, open_weights
from .given import (
    Annotations,
    Classes,
    Names,
    Paths,
    check_counts,
    check_not_negative,
    check_rate,
    labels_of,
    name_list,
    sources,
)
from .threads import wait_passively

if TYPE_CHECKING:
    from ..compressing.report import CompressedFile, CompressionReport, Goal
    from ..training.request import Arithmetic


def compress(
    model: Given | None,
    output: Given,
    *,
    annotations: Annotations,
    photos: Paths | None = None,
    val_annotations: Annotations,
    val_photos: Paths | None = None,
    classes: Classes | None = None,
    weights: Given | None = None,
    post_training: bool = False,
    nncf_quantization: bool = False,
    nncf_sparsity: bool = False,
    filter_pruning: bool = False,
    formats: Names | None = None,
    precision: Names | None = None,
    max_drop: float = 0.5,
    goal: Goal = "speed",
    range_photos: int = 300,
    seed: int = 0,
    resume: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    base_learning_rate: float | None = None,
    gpu_num: int | None = None,
    workers: int = 1,
    train_precision: Arithmetic = "32-true",
    sparsity_ratio: float | None = None,
    sparsity_mode: Literal["magnitude", "regularization"] | None = None,
    pruning_ratio: float | None = None,
    command: str | None = None,
    on_file: Callable[[CompressedFile], object] | None = None,
    on_progress: Progress | None = None,
) -> CompressionReport:
    """Write smaller, faster files that keep a promise.

    Args:
        model: Name of a template, whose weights ship; or a template's file, or a weights file.
        output: Folder for the files, compression.md and compression.json.
        annotations: Labelled photos for the ranges, and to train on: COCO JSON; of a classifier,
            lists by `pocketface data glasses`; or a `Labels`.
        photos: Folders of the photos, one for each annotation file or one for all.
        val_annotations: Labelled photos to measure accuracy on.
        val_photos: Folders of those photos.
        classes: What the annotation files call a class, as `{"face": ["Face", "head"]}`.
        weights: Weights to use with a template; see `export`.
        post_training: int8 without training, by a quantizer of its own for each runtime.
        nncf_quantization: int8 with training: fine-tune with the rounding in place.
        nncf_sparsity: Fine-tune while weights are made zero.
        filter_pruning: Drop whole channels and fine-tune, before all of the above.
        formats: Keys of `compressing.formats.QUANTIZERS`; None for those whose packages are there.
        precision: "int8", "fp16"; of Core ML also "palette6", "palette4"; None for int8 where
            files are quantized.
        max_drop: Percentage points of AP50, or of balanced accuracy, that may be lost.
        goal: What a compressed file must be better at to be written, "speed" or "size".
        range_photos: Number of photos to measure ranges on.
        seed: Of their choice, and of the trainings.
        resume: Whether to go on with trainings that were interrupted in the same folder.
        epochs: Of each training; None for the template's. As are the following:
        batch_size: Photos per step.
        base_learning_rate: Used unscaled.
        gpu_num: 0 for the CPU; None for 1 if there is one.
        workers: Number of processes that cut samples.
        train_precision: Of the arithmetic, as `precision` of `train`.
        sparsity_ratio: Share of zeros, 0 to 1.
        sparsity_mode: The smallest weights, or trained masks.
        pruning_ratio: Share of channels, 0 to 1.
        command: What the receipts of trainings say of how they were begun.
        on_file: Called with what became of each file, as soon as that is known.
        on_progress: Called with the number of files judged and of all, once trainings are over.

    Returns:
        What became of each file; `failed` has those that are not compressed, and why.

    Raises:
        UserError: Nothing to do, settings that do not go together, or labels that do not fit.
        DataError: An annotation file or a folder is missing or damaged.
        MissingPackageError: A package that a format needs is not installed.
        ModelFileError: The weights cannot be read, or belong to another architecture.
    """
    check_counts(epochs=epochs, batch_size=batch_size, range_photos=range_photos)
    check_not_negative(gpu_num=gpu_num, seed=seed, workers=workers)
    check_rate(base_learning_rate)
    if not (post_training or nncf_quantization or nncf_sparsity or filter_pruning):
        raise UserError(
            "nothing to do: expected some of --post-training, --nncf-quantization, "
            "--nncf-sparsity, --filter-pruning"
        )
    if not nncf_sparsity and (sparsity_ratio is not None or sparsity_mode):
        raise UserError("--sparsity-ratio, --sparsity-mode: expected --nncf-sparsity with them")
    if not filter_pruning and pruning_ratio is not None:
        raise UserError("--pruning-ratio: expected --filter-pruning with it")
    if not (nncf_quantization or nncf_sparsity or filter_pruning):
        of_training = {
            "--resume": resume,
            "--epochs": epochs is not None,
            "--batch-size": batch_size is not None,
            "--base-learning-rate": base_learning_rate is not None,
            "--gpu-num": gpu_num,  # 0 says how it is anyway
            "--workers": workers > 1,
            "--train-precision": train_precision != "32-true",
        }
        for flag, is_given in of_training.items():
            if is_given:
                raise UserError(
                    f"{flag}: --post-training trains nothing; expected some of "
                    "--nncf-quantization, --nncf-sparsity, --filter-pruning with it"
                )
    if not 0 < max_drop <= 100:
        raise UserError(f"--max-drop {max_drop:g}: expected more than 0, and at most 100 points")
    if goal not in ("speed", "size"):
        raise UserError(f"--goal {goal}: expected speed or size")
    folder = Path(output)
    check_place(folder, "output", folder=True)
    train = labels_of(annotations, photos, classes=classes)
    validation = labels_of(val_annotations, val_photos, classes=classes, part="val_")
    wanted, precisions = name_list(formats), name_list(precision)
    # Refused before PyTorch loads.
    chosen(wanted, precisions, quantizes=post_training or nncf_quantization)
    wait_passively()
    read = open_weights(*sources(model, weights))
    from ..compressing import run
    from ..compressing.request import CompressRequest
    from ..compressing.stage import Training

    pruning = sparsity = None
    if filter_pruning:
        pruning = run.pruning_for(read.template, ratio=pruning_ratio)
    if nncf_sparsity:
        sparsity = run.sparsity_for(read.template, ratio=sparsity_ratio, mode=sparsity_mode)
    return run.compress(
        CompressRequest(
            weights=read,
            train=train,
            validation=validation,
            folder=folder,
            quantization=nncf_quantization,
            post_training=post_training,
            sparsity=sparsity,
            pruning=pruning,
            training=Training(
                labels=train,
                folder=folder,
                resume=resume,
                epochs=epochs,
                base_learning_rate=base_learning_rate,
                batch_size=batch_size,
                gpu_num=gpu_num,
                seed=seed,
                workers=workers,
                precision=train_precision,
                command=command,
            ),
            formats=wanted,
            precisions=precisions,
            max_drop=max_drop,
            goal=goal,
            photos=range_photos,
            seed=seed,
            on_file=on_file,
            on_progress=on_progress,
        )
    )
