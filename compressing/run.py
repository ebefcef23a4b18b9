"""Run a compression: first of the weights, then of the files."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ..errors import UserError
from ..exporting.place import check_kept
from ..model_templates.schema import PruningSpec, SparsitySpec, Template
from ..models.weights import Weights, rewritten
from ..places import check_place
from ..tasks import task_of
from ..tasks.describe import contract_for
from ..tasks.templates import settled_text
from ..tasks.weights import model_of_weights
from .calibration import Calibration, calibrate
from .files import Wanted, compress_files
from .fine_tuning import check_sparsity, narrow, quantization_aware, sparse
from .formats import chosen
from .promise import Promise
from .quantizers import Tuned
from .report import MARKDOWN, RECORD, CompressionReport
from .request import CompressRequest
from .sparsity import share_of_zeros
from .stage import Training

_log = logging.getLogger(__name__)

FEW = 50
"""Number of validation photos below which figures are unreliable."""

# Used if the template has no recipe.
_SPARSITY = SparsitySpec(epochs=4, base_learning_rate=5e-4, ratio=0.5)
_PRUNING = PruningSpec(epochs=8, base_learning_rate=1e-3, ratio=0.25)


def compress(request: CompressRequest) -> CompressionReport:
    """Write compressed files, and `compression.md` and `.json` with their figures.

    A compressed file is written if the task's metric on the validation photos drops by no more
    than `max_drop`, and if it is faster or smaller. Layers are kept float as far as accuracy needs
    it. Otherwise the float file is written. Core ML files can be timed only on a Mac, so elsewhere
    they are judged by their size.

    Raises:
        UserError: An unknown format or precision, annotations that do not fit, weights that are
            compressed already or would be overwritten, several processes, a folder that cannot be
            written; see `Stage`.
        MissingPackageError: A package that a format needs is not installed.
        PocketfaceError: A float file's answers differ from the network's.
    """
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise UserError(
            f"compress works in one process: found WORLD_SIZE {processes} in the environment, as "
            "torchrun sets it; expected 1, or none"
        )
    for name in (MARKDOWN, RECORD):
        check_place(request.folder / name, "--save-checkpoints-to")
    quantizes = request.quantization or request.post_training
    formats, precisions = chosen(request.formats, request.precisions, quantizes=quantizes)
    weights = request.weights
    formats = _possible(formats, weights.template, by_name=request.formats is not None)
    why = weights.template.architecture.head.not_quantized_in_training
    if request.quantization and why is not None:
        raise UserError(
            f"--nncf-quantization: {weights.template.name} {why}; expected --post-training"
        )
    _check_weights(weights, request.folder, formats, precisions)
    contract = contract_for(weights.template, weights=weights)
    samples = task_of(contract.task).samples
    train = samples.read(request.train, rules=contract.rules)
    calibration = calibrate(contract, train, count=request.photos, seed=request.seed)
    validation = samples.read(request.validation, rules=contract.rules)
    measured_on = samples.counted(validation)
    if not any(samples.can_be_lost(sample) for sample in measured_on):
        named = ", ".join(map(str, request.validation.files))
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
    tunes = request.quantization or request.sparsity is not None or request.pruning is not None
    promise = Promise(contract, measured_on, request.max_drop)
    if tunes:  # before hours of training
        promise.check(promise.measure(model_of_weights(weights)).figures)
    return compress_files(
        Wanted(
            weights=weights,
            tuned=_tuned(request, promise, calibration),
            calibration=calibration,
            validation=measured_on,
            folder=request.folder,
            formats=formats,
            precisions=precisions,
            max_drop=request.max_drop,
            goal=request.goal,
            on_file=request.on_file,
            on_progress=request.on_progress,
        )
    )


def _possible(formats: Sequence[str], template: Template, *, by_name: bool) -> list[str]:
    """Those of the formats that the network can have.

    Raises:
        UserError: The user named another one, or none is left.
    """
    impossible = template.architecture.impossible_formats()
    found = [name for name in formats if name not in impossible]
    refused = [name for name in formats if name in impossible]
    if refused and (by_name or not found):
        raise UserError(f"format {refused[0]}: {impossible[refused[0]]}")
    return found


def _check_weights(
    weights: Weights, folder: Path, formats: Sequence[str], precisions: Sequence[str]
) -> None:
    if weights.hooks is not None:
        raise UserError(f"{weights.path}: is compressed already; expected float weights")
    for name in ("pruned", "sparse", "quantized"):
        if weights.path.resolve() == (folder / f"{name}.safetensors").resolve():
            raise UserError(
                f"{weights.path}: would be overwritten; expected another folder to write to"
            )
    check_kept(
        weights,
        folder,
        "--save-checkpoints-to",
        formats=formats,
        precisions=("fp32", *precisions),
    )


def sparsity_for(template: Template, *, ratio: float | None, mode: str | None) -> SparsitySpec:
    """The template's sparsity recipe, or a default one, with the values asked for.

    Args:
        template: The template of the weights.
        ratio: Share of zeros, between 0 and 1; None for the recipe's.
        mode: Mode of `SparsitySpec`; None for the recipe's.
    """
    spec = template.optimisations.nncf_sparsity or _SPARSITY
    asked = {"ratio": ratio, "mode": mode}
    changes = {key: value for key, value in asked.items() if value is not None}
    try:
        return SparsitySpec.model_validate({**spec.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("mode",):
            raise UserError(f"--sparsity-mode {mode}: {first['msg']}") from error
        reason = first["msg"].removeprefix("Value error, ratio is ")
        raise UserError(f"sparsity ratio {reason}") from error


def pruning_for(template: Template, *, ratio: float | None) -> PruningSpec:
    """The template's pruning recipe, or a default one, with the share of channels asked for."""
    spec = template.optimisations.filter_pruning or _PRUNING
    if ratio is None:
        return spec
    if not 0 < ratio < 1:
        raise UserError(f"pruning ratio {ratio:g}: expected more than 0 and less than 1")
    return spec.model_copy(update={"ratio": ratio})


def settled(weights: Weights, promise: Promise) -> Weights:
    """Fine-tuned weights with what is measured of them, such as thresholds, in their template."""
    if not task_of(weights.template.problem).rules.SETTLED:
        return weights
    found = promise.measure(model_of_weights(weights))
    text = settled_text(weights.template_text, found.settled)
    return rewritten(
        weights.path, weights, weights.state_dict, hooks=weights.hooks, template_text=text
    )


def _tuned(request: CompressRequest, promise: Promise, calibration: Calibration) -> Tuned | None:
    """Do the fine-tunings asked for, one after the other; None if there are none."""
    weights = request.weights
    training = request.training or Training(labels=request.train, folder=request.folder)
    if request.sparsity is not None:
        check_sparsity(weights.template, request.sparsity, training)
    methods = []
    if request.pruning is not None:
        weights, method = narrow(weights, request.pruning, training)
        methods.append(method)
    if request.sparsity is not None:
        weights, method = sparse(weights, request.sparsity, promise.contract, training)
        methods.append(method)
    if request.quantization:
        weights, method = quantization_aware(weights, calibration, training)
        methods.append(method)
    if not methods:
        return None
    return Tuned(
        weights=settled(weights, promise),
        quantized=request.quantization,
        name="sparse" if request.pruning is None else "pruned",
        method="; ".join(methods),
        sparsity=None if request.sparsity is None else share_of_zeros(weights.state_dict),
    )
