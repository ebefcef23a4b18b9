"""Run an export: write, verify and place each file of the formats and precisions asked for."""

from __future__ import annotations

import logging
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ModelFileError, UserError
from ..files import raise_if_full, scratch_folder
from ..interrupts import signals_kept
from ..model_templates.contract import Precision
from ..model_templates.input_size import check_pair
from ..runtimes.seal import model_files
from ..tasks import task_of
from ..tasks.measuring import Progress
from .formats import (
    ALL,
    EXPORTERS,
    WITH_NMS,
    ExportPrecision,
    Order,
    Writer,
    check_asked,
    missing_of,
    stem_of,
    writer_of,
)
from .report import ExportedFile, ExportReport

if TYPE_CHECKING:
    from ..model_templates.contract import Contract
    from ..model_templates.schema import Template
    from ..models.network import Network
    from ..models.weights import Weights
    from .verify import Reference

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportRequest:
    """One export.

    Attributes:
        weights: The weights to export, with their template.
        folder: Folder for the files; made if missing.
        formats: Keys of `EXPORTERS`, or `[ALL]` for each that the network can have and whose
            packages are installed; None for those of the template's `output_format` whose packages
            are installed.
        precisions: Precisions of the stored weights, with a set of files for each. Weights
            quantized during training always become "int8", which only OpenVINO takes.
        with_nms: Whether to write a detector's ONNX and OpenVINO files with NMS inside too. Core
            ML always has them.
        input_size: Height and width in pixels; None for the template's.
        verify: Whether to run each file and compare it with PyTorch.
        photos: Folder of photos to compare on; see `data.pictures.check_photos`.
        on_file: Called with each file as soon as it is in its place, or could not be made.
        on_progress: Called with the number of formats done, once for each precision, and of all.
    """

    weights: Weights
    folder: Path
    formats: Sequence[str] | None = None
    precisions: Sequence[ExportPrecision] = ("fp32",)
    with_nms: bool = False
    input_size: tuple[int, int] | None = None
    verify: bool = True
    photos: Path | None = None
    on_file: Callable[[ExportedFile], object] | None = None
    on_progress: Progress | None = None


def export_model(request: ExportRequest) -> ExportReport:
    """Write model files, each with its contract inside and its parity certificate beside it.

    A file replaces an older one of its name when it is complete and verified. A file whose answers
    differ from the network's is kept as `<name>-failed`. FP16 files are named `model_fp16`.

    Returns:
        The files written with their distance from PyTorch, and why others could not be made.

    Raises:
        UserError: A format or precision is unknown, the template does not allow the input size,
            NMS is asked for a model without boxes, or a file would replace the weights or another
            template's.
        MissingPackageError: A package that a format asked for needs is not installed.
        OSError: The folder cannot be written.
    """
    job = _job(request)
    folder = job.folder
    files: list[ExportedFile] = []
    folder.mkdir(parents=True, exist_ok=True)
    orders = [*product(dict.fromkeys(job.precisions), job.formats)]
    tell = request.on_progress or (lambda _done, _total: None)
    tell(0, len(orders))
    with signals_kept() as check_signals:
        for done, (precision, name) in enumerate(orders, 1):
            begun = time.monotonic()
            for made in _export(job, name, precision, check_signals):
                ended = time.monotonic()
                is_work = made.status != "skipped"
                files.append(replace(made, seconds=ended - begun) if is_work else made)
                begun = ended
                if request.on_file is not None:
                    request.on_file(files[-1])
            tell(done, len(orders))
    _tell_of_others(folder, files, request.weights.sha256)
    return ExportReport(
        name=job.contract.name,
        input_size=(job.contract.input.height, job.contract.input.width),
        files=tuple(files),
    )


@dataclass(frozen=True, eq=False)
class _Job:
    """What all formats of one export share.

    Attributes:
        impossible: By format, why it cannot hold this architecture.
        by_name: Whether the user named the formats.
    """

    network: Network
    contract: Contract
    folder: Path
    formats: Sequence[str]
    precisions: Sequence[Precision]
    impossible: dict[str, str]
    with_nms: bool
    by_name: bool
    reference: Reference | None


def _job(request: ExportRequest) -> _Job:
    """Check the request, and prepare what the formats share."""
    from ..models.nncf_hooks import is_quantized, masked
    from ..models.weights import build_network
    from ..tasks.describe import contract_for
    from .onnx import example_for
    from .place import check_kept
    from .verify import reference_for

    check_asked(request.formats, request.precisions)
    if request.input_size is not None:
        check_pair(request.input_size)
    weights = request.weights
    named = () if request.formats is None or ALL in request.formats else request.formats
    formats = _formats(request.formats, weights.template)
    quantized = is_quantized(weights.hooks)
    if quantized and "fp32" not in request.precisions:
        raise UserError(
            f"precision {', '.join(request.precisions)}: {weights.path} was quantized during "
            "training, and its files are int8; expected fp32, which is the default"
        )
    stored: Sequence[Precision] = ["int8"] if quantized else list(request.precisions)
    for name in named:
        _check_format(name, stored, request, quantized=quantized)
    check_kept(weights, Path(request.folder), "--save-model-to", formats=formats, precisions=stored)
    height, width = request.input_size or (None, None)
    contract = contract_for(weights.template, weights=weights, height=height, width=width)
    if request.with_nms and task_of(contract.task).rules.suppression(contract) is None:
        raise UserError(f"NMS inside: {contract.name} finds no boxes; expected a face detector")
    if request.with_nms and not set(formats) & set(WITH_NMS):
        raise UserError(
            f"NMS inside: formats {', '.join(formats)} cannot hold it; expected some of "
            f"{', '.join(WITH_NMS)} among them"
        )
    network = build_network(weights)
    if weights.hooks is not None and not quantized:
        network = masked(network, {"images": example_for(contract)})
    reference = None
    if request.verify:
        reference = reference_for(network, contract, photos=request.photos)
    return _Job(
        network=network,
        contract=contract,
        folder=Path(request.folder),
        formats=formats,
        precisions=stored,
        impossible=weights.template.architecture.impossible_formats(),
        with_nms=request.with_nms,
        by_name=bool(named),
        reference=reference,
    )


def _check_format(
    name: str, stored: Sequence[Precision], request: ExportRequest, *, quantized: bool
) -> None:
    """Refuse a format that the user named if it has none of the precisions."""
    able = EXPORTERS[name].precisions
    if quantized and "int8" not in able:
        raise UserError(
            f"{request.weights.path}: quantized during training: format {name} cannot hold that; "
            "expected openvino",
            hint="`compress --nncf-quantization` writes int8 files of the others as it ends",
        )
    if not set(stored) & set(able):
        raise UserError(
            f"precision {', '.join(request.precisions)}: format {name} has only {', '.join(able)}"
        )


def _formats(formats: Sequence[str] | None, template: Template) -> list[str]:
    if formats is None:
        wanted = [name for name, is_wanted in template.output_format if is_wanted]
        if not wanted:
            raise UserError(
                f"no format to export: output_format of template {template.name} has none",
                hint=f"name some of {', '.join(EXPORTERS)} with --formats",
            )
        return wanted
    if ALL in formats:
        return list(EXPORTERS)
    return list(dict.fromkeys(formats))


def _export(
    job: _Job, name: str, precision: Precision, check_signals: Callable[[], None]
) -> Iterator[ExportedFile]:
    """Write and place the files of one format; an entry without a path says what failed and why."""
    exporter = EXPORTERS[name]
    missing = missing_of(exporter.packages)
    if missing is not None:
        yield ExportedFile(name, precision, "skipped", reason=str(missing))
        return
    if precision not in exporter.precisions:
        reason = f"expected {' or '.join(exporter.precisions)} in this format"
        if precision == "int8":
            reason = "cannot hold what was quantized during training"
        yield ExportedFile(name, precision, "skipped", reason=reason)
        return
    if name in job.impossible:
        yield ExportedFile(name, precision, _missed(job.by_name), reason=job.impossible[name])
        return
    contract = job.contract if exporter.free_size else job.contract.of_fixed_size()
    # Inside the folder, so that files only have to be renamed at the end.
    with scratch_folder(job.folder) as scratch:
        writer = writer_of(name)
        paths: list[Path] | None = None
        try:
            paths = writer.convert(
                Order(
                    network=job.network,
                    contract=contract.model_copy(update={"precision": precision}),
                    folder=scratch,
                    stem=stem_of(precision),
                    with_nms=job.with_nms,
                )
            )
            for path in paths:
                check_signals()
                yield _finish(job, name, precision, writer, path)
            check_signals()
        except UserError as error:
            # If the format cannot hold the network, that is a failure only if the user named the
            # format. If a file was made, it always is.
            missed = job.by_name or paths is not None
            reason = str(error).replace(str(scratch), str(job.folder))
            yield ExportedFile(name, precision, _missed(missed), reason=reason)
        except Exception as error:  # converters raise any kind of exception
            if isinstance(error, OSError) and error.errno is not None:
                raise  # from the system (disk full, no permission), not a library failing to load
            raise_if_full(job.folder, error)
            check_signals()
            _log.debug("%s", name, exc_info=True)
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
            yield ExportedFile(name, precision, "failed", reason=reason)


def _missed(is_missed: bool) -> Literal["failed", "skipped"]:
    return "failed" if is_missed else "skipped"


def _finish(job: _Job, name: str, precision: Precision, writer: Writer, path: Path) -> ExportedFile:
    """Verify a new file, write the result into its contract, and move it to its place."""
    from .place import move_model

    size = sum(part.stat().st_size for part in model_files(path))
    if job.reference is None:
        file = move_model(path, job.folder)
        return ExportedFile(name, precision, "unchecked", file=file, size=size)
    from .certificate import write_certificate
    from .verify import check

    contract, certificate = check(path, job.reference)
    writer.embed(path, contract.model_copy(update={"parity": certificate.summary()}))
    if certificate.status == "failed":
        path = _mark_failed(path)
    write_certificate(path, certificate)
    return ExportedFile(
        name,
        precision,
        certificate.status,
        file=move_model(path, job.folder),
        size=size,
        certificate=certificate,
        reason=certificate.reason,
    )


def _mark_failed(path: Path) -> Path:
    from .place import failed

    for part in [path] if path.is_dir() else model_files(path):
        part.rename(failed(part))
    return failed(path)


def _tell_of_others(folder: Path, files: Sequence[ExportedFile], checkpoint: str) -> None:
    """Warn about files of another checkpoint beside the new ones."""
    from .certificate import SUFFIX, read_certificate

    new = {one.file for one in files}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        file = path.with_name(path.name.removesuffix(SUFFIX))
        if file in new or not file.exists():
            continue
        with suppress(ModelFileError):
            found = read_certificate(file)
            if found is not None and found.checkpoint_sha256 != checkpoint:
                _log.warning("%s is of another checkpoint than the files written now", file)
