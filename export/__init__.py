"""Trained weights to model files: one module per format, each file checked before it stays."""

from __future__ import annotations

import importlib
import logging
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import MissingPackageError, ModelFileError, UserError
from ..interrupts import signals_kept
from ..model_templates import find_template
from ..model_templates.contract import Precision
from ..runtimes.seal import model_files
from .report import ExportReport, Row

if TYPE_CHECKING:
    from ..model_templates.contract import Contract
    from ..model_templates.schema import Template
    from ..models.network import Network
    from ..models.weights import Weights
    from .verify import Reference

_log = logging.getLogger(__name__)

ExportPrecision = Literal["fp32", "fp16"]
"""What may be asked for; a network that was quantized during training has "int8" alone."""


@dataclass(frozen=True)
class Exporter:
    """A module of this room; the packages that write and run its files; its precisions.

    The module has two functions. `convert(network, contract, *, folder, stem, precision,
    with_nms)` writes model files, each with its contract inside, and returns what `load` opens.
    `embed(path, contract)` changes the contract of such a file, and nothing else.
    """

    module: str
    packages: tuple[str, ...]
    precisions: tuple[Precision, ...] = ("fp32", "fp16")


EXPORTERS: dict[str, Exporter] = {
    "openvino": Exporter(
        "openvino",
        ("openvino", "onnx", "onnxscript"),
        ("fp32", "fp16", "int8"),
    ),
    "onnx": Exporter("onnx", ("onnx", "onnxscript", "onnxruntime")),
    "coreml": Exporter("coreml", ("coremltools",)),
    "litert": Exporter("litert", ("litert_torch", "ai_edge_litert")),
    "tensorflow": Exporter("tensorflow", ("tensorflow",), ("fp32",)),
}
"""By format."""


def export_model(
    *,
    weights: Path | None,
    template: str | Path | None,
    folder: Path,
    formats: Sequence[str] | None = None,
    precisions: Sequence[ExportPrecision] = ("fp32",),
    with_nms: bool = False,
    input_size: tuple[int, int] | None = None,
    verify: bool = True,
    photos: Path | None = None,
) -> ExportReport:
    """Write model files, each with its contract inside and its parity certificate beside it.

    A file replaces an older one of its name when it is whole and verified. One that does not
    answer as the network does is kept as `<name>-failed`. FP16 files are named `model_fp16`.

    Args:
        weights: A `.safetensors` or `.pth` file; None for the weights that ship with `template`.
        template: Name or path; None for the one inside `weights`. Where both are given, the
            architectures must be equal, and all else is taken from `template`.
        folder: Where to; made if missing.
        formats: Keys of `EXPORTERS`; None for those of the template's `output_format` whose
            packages are installed.
        precisions: Of the stored weights, a set of files for each. Weights that were quantized
            during training become "int8" whatever is asked for, which OpenVINO alone takes.
        with_nms: Write a detector's ONNX and OpenVINO files with NMS inside, too. Core ML has
            them always.
        input_size: Height and width in pixels instead of the template's.
        verify: Run each file and compare it with PyTorch.
        photos: Folder of photos to compare them on; see `check_photos`.

    Returns:
        What was written, how far it is from PyTorch, and what could not be made, and why.

    Raises:
        UserError: No weights, an unknown format or precision, an input size that the template
            does not allow, NMS for a classifier, a folder that cannot be written; or see
            `read_weights`, `load_template`.
        MissingPackageError: A package that a format asked for needs is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("torch") from error
    from ..models.nncf_hooks import is_quantized, masked
    from ..models.weights import build_network, contract_for
    from .onnx import example_for
    from .verify import reference_for

    able = ", ".join(get_args(ExportPrecision))
    for asked in precisions:
        if asked not in get_args(ExportPrecision):
            raise UserError(f"precision {asked!r}: expected one of {able}")
    if not precisions:
        raise UserError(f"no precision to export: expected some of {able}")
    read, used = _read(weights, template)
    chosen = _formats(formats, used)
    quantized = is_quantized(read.hooks)
    stored: Sequence[Precision] = ["int8"] if quantized else list(precisions)
    for name in formats or ():
        if quantized and "int8" not in EXPORTERS[name].precisions:
            raise UserError(
                f"{read.path}: quantized during training: format {name} cannot hold that; "
                "expected openvino",
                hint="`compress --nncf-quantization` writes int8 files of the others as it ends",
            )
        if not set(stored) & set(EXPORTERS[name].precisions):
            raise UserError(
                f"precision {', '.join(precisions)}: format {name} has only "
                f"{', '.join(EXPORTERS[name].precisions)}"
            )
    height, width = input_size or (None, None)
    contract = contract_for(used, weights=read, height=height, width=width)
    if with_nms and contract.task != "face-detection":
        raise UserError(f"NMS inside: {contract.name} finds no boxes; expected a face detector")
    network = build_network(read)
    if read.hooks is not None and not quantized:
        network = masked(network, {"images": example_for(contract)})
    folder = Path(folder)
    job = _Job(
        network=network,
        contract=contract,
        folder=folder,
        with_nms=with_nms,
        by_name=formats is not None,
        reference=reference_for(network, contract, photos=photos) if verify else None,
    )
    rows: list[Row] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with signals_kept() as check_signals:
            for precision in dict.fromkeys(stored):
                for name in chosen:
                    rows += _export(job, name, precision, check_signals)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    _tell_of_others(folder, rows, read.sha256)
    return ExportReport(
        name=contract.name,
        input_size=(contract.input.height, contract.input.width),
        rows=tuple(rows),
    )


def _tell_of_others(folder: Path, rows: Sequence[Row], checkpoint: str) -> None:
    """Warn of files of another checkpoint that stand beside the new ones."""
    from .certificate import SUFFIX, read_certificate

    new = {row.file for row in rows}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        file = path.with_name(path.name.removesuffix(SUFFIX))
        if file in new or not file.exists():
            continue
        with suppress(ModelFileError):
            found = read_certificate(file)
            if found is not None and found.checkpoint_sha256 != checkpoint:
                _log.warning("%s is of another checkpoint than the files written now", file)


@dataclass(frozen=True, eq=False)
class _Job:
    """What all formats of one export share; `by_name`: the user named the formats."""

    network: Network
    contract: Contract
    folder: Path
    with_nms: bool
    by_name: bool
    reference: Reference | None


def _export(
    job: _Job, name: str, precision: Precision, check_signals: Callable[[], None]
) -> list[Row]:
    """The files of one format, in their place; and a row that says why one is missing."""
    exporter = EXPORTERS[name]
    missing = missing_of(exporter.packages)
    if missing is not None:
        return [Row(name, precision, "skipped", reason=str(missing))]
    if precision not in exporter.precisions:
        reason = f"expected {' or '.join(exporter.precisions)} in this format"
        if precision == "int8":
            reason = "cannot hold what was quantized during training"
        return [Row(name, precision, "skipped", reason=reason)]
    started = time.monotonic()
    rows: list[Row] = []
    # Inside the folder: the same file system, so that the last step is only a change of names.
    with tempfile.TemporaryDirectory(dir=job.folder, prefix=".export-") as scratch:
        module = importlib.import_module(f".{exporter.module}", __name__)
        paths: list[Path] | None = None
        try:
            paths = module.convert(
                job.network,
                job.contract.model_copy(update={"precision": precision}),
                folder=Path(scratch),
                stem="model" if precision == "fp32" else f"model_{precision}",
                precision=precision,
                with_nms=job.with_nms,
            )
            for path in paths:
                check_signals()
                rows.append(_finish(job, name, precision, module, path))
            check_signals()
        except UserError as error:
            # A network that cannot be had in this format is missed where it was asked for by
            # name, and else only told of. A file that was made is missed in any case.
            missed = job.by_name or paths is not None
            reason = str(error).replace(scratch, str(job.folder))
            rows.append(Row(name, precision, "failed" if missed else "skipped", reason=reason))
        except Exception as error:  # converters raise whatever they like
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the system, not of a library that does not load: no room, no right
            check_signals()
            _log.debug("%s", name, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            rows.append(Row(name, precision, "failed", reason=textwrap.shorten(reason, 200)))
    return [replace(rows[0], seconds=time.monotonic() - started), *rows[1:]]


def _finish(job: _Job, name: str, precision: Precision, module: Any, path: Path) -> Row:
    """Verify a file that was just made, write that into it, and move it to its place."""
    from .place import move_model

    size = sum(part.stat().st_size for part in model_files(path))
    if job.reference is None:
        return Row(name, precision, "unchecked", file=move_model(path, job.folder), size=size)
    from .certificate import write_certificate
    from .verify import check

    contract, certificate = check(path, job.reference)
    module.embed(path, contract.model_copy(update={"parity": certificate.summary()}))
    if certificate.status == "failed":
        path = _mark_failed(path)
    write_certificate(path, certificate)
    return Row(
        name,
        precision,
        certificate.status,
        file=move_model(path, job.folder),
        size=size,
        certificate=certificate,
        reason=certificate.reason,
    )


def _read(weights: Path | None, template: str | Path | None) -> tuple[Weights, Template]:
    """The weights, and the template to describe them by."""
    from ..model_templates.schema import load_template
    from ..models.weights import read_weights, read_weights_for, shipped_weights

    path = None if template is None else find_template(template)
    if weights is None:
        if path is None:
            raise UserError("nothing to export: expected weights, or a template that ships some")
        weights = shipped_weights(path)
        if weights is None:
            raise UserError(
                f"template {template} ships no weights",
                hint="train it, and name the checkpoint with --load-weights",
            )
    if path is None:
        read = read_weights(Path(weights))
        return read, read.template
    return read_weights_for(Path(weights), path), load_template(path)


def _formats(formats: Sequence[str] | None, template: Template) -> list[str]:
    if formats is None:
        wanted = [name for name, is_wanted in template.output_format if is_wanted]
        if not wanted:
            raise UserError(
                f"no format to export: output_format of template {template.name} has none",
                hint=f"name some of {', '.join(EXPORTERS)} with --formats",
            )
        return wanted
    for name in formats:
        if name not in EXPORTERS:
            raise UserError(f"format {name!r}: expected some of {', '.join(EXPORTERS)}")
        missing = missing_of(EXPORTERS[name].packages)
        if missing is not None:
            raise missing
    if not formats:
        raise UserError(f"no format to export: expected some of {', '.join(EXPORTERS)}")
    return list(dict.fromkeys(formats))


def missing_of(packages: Iterable[str]) -> MissingPackageError | None:
    """The first that is not installed."""
    return next((MissingPackageError(one) for one in packages if find_spec(one) is None), None)


def _mark_failed(path: Path) -> Path:
    from .place import failed

    for part in [path] if path.is_dir() else model_files(path):
        part.rename(failed(part))
    return failed(path)


__all__ = ["EXPORTERS", "ExportReport", "Exporter", "Row", "export_model"]
