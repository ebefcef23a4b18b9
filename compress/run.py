"""A whole compression: of the weights, then of the files."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from ..data.coco import Photo, read_coco
from ..data.labelled_faces import read_labelled_faces
from ..errors import UserError
from ..evaluation.detector import readable
from ..model_templates import find_template
from ..model_templates.contract import Contract
from ..model_templates.schema import PruningSpec, SparsitySpec, load_template
from ..models.weights import Weights, contract_for, read_weights, read_weights_for
from .calibration import COUNT, Calibration, Sample, calibrate
from .files import compress_files
from .fine_tuning import check_sparsity, narrow, quantization_aware, sparse
from .quantizers import QUANTIZERS, Tuned, check_precisions, missing_for
from .report import CompressionReport, Goal
from .sparsity import share_of_zeros
from .stage import Training

_log = logging.getLogger(__name__)

FEW = 50
"""Validation photos below which a figure promises little."""

# Where the template has no recipe.
_SPARSITY = SparsitySpec(epochs=4, base_learning_rate=5e-4, ratio=0.5)
_PRUNING = PruningSpec(epochs=8, base_learning_rate=1e-3, ratio=0.25)

Annotated = tuple[Sequence[Path], Sequence[Path]]
"""Annotation files, and the folders of their photos."""


def compress(
    *,
    weights: Path,
    template: str | Path | None,
    train: Annotated,
    validation: Annotated,
    folder: Path,
    quantization: bool = False,
    sparsity: SparsitySpec | None = None,
    pruning: PruningSpec | None = None,
    post_training: bool = False,
    training: Training | None = None,
    formats: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    max_drop: float = 0.5,
    goal: Goal = "speed",
    photos: int = COUNT,
    seed: int = 0,
) -> CompressionReport:
    """Write compressed files, and `compression.md` and `.json`, which say what they are worth.

    A file is compressed if the task's metric on the validation photos drops by no more than
    `max_drop`, for which layers are given back to float where need be, and if it is faster or
    smaller. Else the float file is written. Core ML files, whose speed can only be measured on a
    Mac, are judged by their size elsewhere.

    Args:
        weights: A `.safetensors` or `.pth` file.
        template: As for `export_model`.
        train: COCO JSON files; of a classifier, lists of labelled faces.
        validation: Likewise.
        folder: Where to; made if missing.
        quantization: Fine-tune with the rounding in place. OpenVINO's file has the trained ranges;
            those of other formats come from photos, for the trained weights.
        sparsity: Fine-tune until so many weights are zero, before that.
        pruning: Drop so many channels and fine-tune, before that.
        post_training: Quantize files. Without it they are int8 only after `quantization`.
        training: How; by default as the template says, in `folder`.
        formats: Of `QUANTIZERS`; by default all whose packages are installed.
        precisions: "fp16"; where files are quantized "int8", which is the default then, and of Core
            ML "palette6" and "palette4". By default else, files stay FP32.
        max_drop: Points of the metric, 0 to 100.
        goal: What compressed files must be better at.
        photos: For the ranges, from the training photos.
        seed: Of their choice.

    Raises:
        UserError: An unknown format or precision, annotations that do not fit, weights that are
            compressed already or would be overwritten, several processes, a folder that cannot be
            written; see `Stage`.
        MissingPackageError: A package that a format needs is not installed.
        PocketfaceError: A float file does not answer as the network does.
    """
    if "WORLD_SIZE" in os.environ:
        raise UserError("compress works in one process: expected no torchrun")
    quantizes = quantization or post_training
    if formats is None:
        formats = [name for name in QUANTIZERS if missing_for(name) is None]
    if precisions is None:
        precisions = ["int8"] if quantizes else ["fp32"]
    elif not quantizes and list(precisions) != ["fp16"]:
        raise UserError(
            f"precision {', '.join(precisions)}: nothing is quantized without --post-training or "
            "--nncf-quantization; expected fp16"
        )
    if list(precisions) != ["fp32"]:
        check_precisions(formats, precisions)
    else:
        check_precisions(formats, ["fp16"])  # which needs the same
    read = _read(weights, template)
    if read.hooks is not None:
        raise UserError(f"{weights}: is compressed already; expected float weights")
    for name in ("pruned", "sparse", "quantized"):
        if weights.resolve() == (folder / f"{name}.safetensors").resolve():
            raise UserError(f"{weights}: would be overwritten; expected another folder to write to")
    contract = contract_for(read.template, weights=read)
    calibration = calibrate(contract, _samples(contract, train), count=photos, seed=seed)
    measured_on = _samples(contract, validation)
    if contract.task == "face-detection":  # whose figures leave out what cannot be read
        measured_on = [photo for photo, _, _ in readable(cast("Sequence[Photo]", measured_on))]
    if not any(_can_be_lost(sample) for sample in measured_on):
        named = ", ".join(map(str, validation[0]))
        raise UserError(
            f"--val-ann-files {named}: no labelled face that can be read: nothing to measure"
        )
    if len(measured_on) < FEW:
        _log.warning(
            "--val-ann-files: only %d photos: what they do not show may be lost all the same; "
            "expected %d or more",
            len(measured_on),
            FEW,
        )
    training = training or Training(annotations=train, folder=folder)
    if sparsity is not None:
        check_sparsity(read.template, sparsity, training)
    tuned = _tuned(
        read, contract, calibration, training, pruning, sparsity, quantization=quantization
    )
    return compress_files(
        weights=weights,
        template=template,
        tuned=tuned,
        calibration=calibration,
        validation=measured_on,
        folder=folder,
        formats=formats,
        precisions=precisions,
        max_drop=max_drop,
        goal=goal,
    )


def sparsity_for(
    weights: Path, template: str | Path | None, *, ratio: float | None, mode: str | None
) -> SparsitySpec:
    """The recipe of the template, or a common one, with what was asked for.

    Args:
        weights: A weights file.
        template: As for `compress`.
        ratio: Share of zeros, between 0 and 1.
        mode: See `SparsitySpec`.
    """
    spec = _read(weights, template).template.optimisations.nncf_sparsity or _SPARSITY
    asked = {"ratio": ratio, "mode": mode}
    changes = {key: value for key, value in asked.items() if value is not None}
    try:
        return SparsitySpec.model_validate({**spec.model_dump(), **changes})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ratio is ")
        raise UserError(f"sparsity ratio {reason}") from error


def pruning_for(weights: Path, template: str | Path | None, *, ratio: float | None) -> PruningSpec:
    """Likewise, of channels to go."""
    spec = _read(weights, template).template.optimisations.filter_pruning or _PRUNING
    if ratio is None:
        return spec
    if not 0 < ratio < 1:
        raise UserError(f"pruning ratio {ratio:g}: expected more than 0 and less than 1")
    return spec.model_copy(update={"ratio": ratio})


def _read(weights: Path, template: str | Path | None) -> Weights:
    """Weights, described by the user's template if there is one: its recipes may have changed."""
    if template is None:
        return read_weights(weights)
    path = find_template(template)
    return replace(
        read_weights_for(weights, path),
        template=load_template(path),
        template_text=path.read_text(encoding="utf-8"),
    )


def _tuned(
    weights: Weights,
    contract: Contract,
    calibration: Calibration,
    training: Training,
    pruning: PruningSpec | None,
    sparsity: SparsitySpec | None,
    *,
    quantization: bool,
) -> Tuned | None:
    """What is asked for, one after the other."""
    methods = []
    if pruning is not None:
        weights, method = narrow(weights, pruning, training)
        methods.append(method)
    if sparsity is not None:
        weights, method = sparse(weights, sparsity, contract, training)
        methods.append(method)
    if quantization:
        weights, method = quantization_aware(weights, calibration, training)
        methods.append(method)
    if not methods:
        return None
    return Tuned(
        weights=weights.path,
        quantized=quantization,
        name="sparse" if pruning is None else "pruned",
        method="; ".join(methods),
        sparsity=None if sparsity is None else share_of_zeros(weights.state_dict),
    )


def _can_be_lost(sample: Sample) -> bool:
    return not isinstance(sample, Photo) or bool((~sample.ignore).any())


def _samples(contract: Contract, annotated: Annotated) -> Sequence[Sample]:
    if contract.task == "face-detection":
        return read_coco(*annotated, classes=contract.labels).photos
    return read_labelled_faces(*annotated, classes=contract.labels)
