"""Turn weights into compressed files that keep their accuracy and are faster or smaller."""

from __future__ import annotations

import datetime
import logging
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingPackageError, PocketfaceError
from ..exporting import (
    ExportedFile,
    ExportPrecision,
    ExportReport,
    ExportRequest,
    export_model,
)
from ..exporting.certificate import this_host
from ..exporting.place import contract_at, move_model, remove_model
from ..files import scratch_folder
from ..interrupts import signals_kept
from ..models.nncf_hooks import without_hooks
from ..models.weights import Weights, rewritten
from ..tasks.load import load
from ..tasks.measuring import Progress
from ..tasks.parts import Sample
from .calibration import Calibration
from .candidate import TUNED, Candidate, FloatFile, Job, file_measured
from .formats import FLOAT, QUANTIZERS
from .promise import Promise
from .quantizers import Tuned, quantizer_for
from .report import MARKDOWN, CompressedFile, CompressionReport, Goal, read_report

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Wanted:
    """A request for compressed files of one network.

    Attributes:
        weights: The weights that everything is compared with.
        tuned: The tuned weights that files are made from; None for `weights`.
        calibration: Inputs to measure ranges on.
        validation: Samples to measure the figures on.
        folder: Folder for the files; made if missing.
        formats: Names from `QUANTIZERS`.
        precisions: See `formats.chosen`.
        max_drop: See `Promise`.
        goal: What compressed files must improve.
        on_file: See `CompressRequest`.
        on_progress: See `CompressRequest`.
    """

    weights: Weights
    tuned: Tuned | None
    calibration: Calibration
    validation: Sequence[Sample]
    folder: Path
    formats: Sequence[str]
    precisions: Sequence[str]
    max_drop: float
    goal: Goal
    on_file: Callable[[CompressedFile], object] | None = None
    on_progress: Progress | None = None


def compress_files(wanted: Wanted) -> CompressionReport:
    """Write compressed files, and `compression.md` and `.json` with their figures.

    What an earlier run judged in the same way, of the same weights, stays in the report.

    Raises:
        MissingPackageError: A package that a format needs is not installed.
        PocketfaceError: No format has a float file whose answers are the network's.
        OSError: The folder cannot be written.
    """
    folder, precisions = wanted.folder, wanted.precisions
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as place:
        tuned = wanted.tuned
        exported, no_float = _float_files(wanted, place)
        files = [(one.format, one.file) for one in exported if one.file is not None]
        contract = load(files[0][1]).contract
        job = Job(
            promise=Promise(contract, wanted.validation, wanted.max_drop),
            tuned=tuned,
            calibration=wanted.calibration,
            goal=wanted.goal,
        )
        rows: list[CompressedFile] = []
        finished = False
        total = sum(len(_possible(name, precisions)) for name, _ in files)
        tell = wanted.on_progress or (lambda _done, _total: None)
        tell(0, total)
        try:
            with signals_kept() as check_signals:
                for name, path in files:
                    for row in _compressed(job, name, path, precisions, folder):
                        rows.append(row)  # at once, so that an interrupted run still reports it
                        if wanted.on_file is not None:
                            wanted.on_file(row)
                        tell(len(rows), total)
                        check_signals()
            finished = True
        finally:
            report = _report(job, rows, no_float, finished=finished)
            if rows:
                made_of = wanted.weights if tuned is None else tuned.weights
                _with_earlier(report, folder, made_of.sha256).write(folder)
            # Only now, as compressing a file with NMS inside needs the file without.
            _place_float_files([path for _, path in files], rows, folder)
    return report


def _float_files(wanted: Wanted, place: Path) -> tuple[list[ExportedFile], dict[str, str]]:
    """Export all files that are compressed, or compressed ones are compared with.

    Args:
        wanted: The request.
        place: Their folder; those of tuned weights go into its `TUNED`.

    Returns:
        The FP32 files of the weights, of formats that have all; and why others have not.

    Raises:
        PocketfaceError: No format has.
    """
    lost: dict[str, str] = {}

    def export(
        weights: Weights, folder: Path, formats: Sequence[str], precision: ExportPrecision
    ) -> ExportReport:
        report = export_model(
            ExportRequest(
                weights=weights,
                folder=folder,
                formats=[name for name in formats if name not in lost],
                precisions=[precision],
                verify=weights is wanted.weights and precision == "fp32",
            )
        )
        for one in report.failed:
            lost.setdefault(one.format, str(one.reason).replace(f"{folder}{os.sep}", ""))
        if len(lost) == len(wanted.formats):
            raise PocketfaceError("; ".join(f"{name}: {why}" for name, why in lost.items()))
        return report

    weights, tuned, formats = wanted.weights, wanted.tuned, wanted.formats
    exported = export(weights, place, formats, "fp32")
    if tuned is not None:
        plain = place / "plain.safetensors"
        weights = rewritten(plain, tuned.weights, without_hooks(tuned.weights.state_dict))
        place = place / TUNED
        export(weights, place, formats, "fp32")
    half = list(formats) if "fp16" in wanted.precisions else []
    if not half and set(wanted.precisions) != {"fp32"}:
        half = [one for one in formats if one == "coreml" and one not in lost]
    if half:
        export(weights, place, half, "fp16")
    return [one for one in exported.files if one.format not in lost], lost


def _compressed(
    job: Job, name: str, path: Path, precisions: Sequence[str], folder: Path
) -> Iterator[CompressedFile]:
    """Compress a float file, measure and judge it; good files are moved to their place."""
    file = FloatFile(name, path, job.promise.measure(load(path)))
    metric, figures = job.promise.metric, file.measured.figures
    job.promise.check(figures)
    if not figures[metric]:
        _log.warning("%s of %s is 0: there is nothing to lose", metric, path.name)
    for precision in _possible(name, precisions):
        quantizer = quantizer_for(name, precision, job.tuned)
        begun = time.monotonic()
        work = Candidate(job, file, quantizer, precision)
        row = CompressedFile(
            format=name,
            precision=work.contract.precision,
            status="float",
            goal=job.goal,
            before=file_measured(path, "fp32", figures),
            layers=len(work.layers),
        )
        try:
            kept_float, found = work.within_promise()
            judged = work.judge(row, kept_float, found.figures)
            if judged.status == "compressed":
                work.embed(kept_float, found)
                move_model(work.target, folder)
        except MissingPackageError:
            raise
        except Exception as error:  # quantizers, and runtimes on their files, raise anything
            _log.debug("%s", name, exc_info=True)
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
            row = row.model_copy(update={"status": "failed", "reason": reason})
        else:
            row = judged
        if row.status != "compressed":
            _remove_earlier(folder / work.target.name)
        _log.info("%s: %s%s", work.target.name, row.status, f": {row.reason}" if row.reason else "")
        minutes = (time.monotonic() - begun) / 60
        yield row.model_copy(update={"minutes": minutes})


def _possible(name: str, precisions: Sequence[str]) -> list[str]:
    """Those of the precisions that files of a format can have."""
    return [one for one in precisions if one in (*FLOAT, *QUANTIZERS[name].precisions)]


def _place_float_files(files: Sequence[Path], rows: Sequence[CompressedFile], folder: Path) -> None:
    """Write float files that have an uncompressed row; warn if others left an older file."""
    for path in files:
        stays = [row.file == path.name for row in rows if row.before.file == path.name]
        if any(stays):
            move_model(path, folder)
        elif stays and (folder / path.name).exists():
            older = contract_at(folder / path.name)
            made_of = load(path).contract.provenance.checkpoint_sha256
            if older is None or older.provenance.checkpoint_sha256 != made_of:
                _tell_of_other(folder / path.name)


def _with_earlier(report: CompressionReport, folder: Path, sha256: str) -> CompressionReport:
    """The report with an earlier one's rows of other files, which are still there.

    Args:
        report: Of this run.
        folder: Of both runs.
        sha256: Of the weights that this run's files are made of.
    """
    earlier = read_report(folder)
    if earlier is None:
        return report
    new = {row.file for row in report.rows} | {row.before.file for row in report.rows}
    kept = []
    for row in earlier.rows:
        there = None if row.file in new else contract_at(folder / row.file)
        if there is None:
            continue
        if there.provenance.checkpoint_sha256 != sha256:
            _tell_of_other(folder / row.file)
        elif report.is_like(earlier):
            kept.append(row)
        else:
            _log.warning(
                "%s was judged otherwise than now: %s no longer has it", folder / row.file, MARKDOWN
            )
    return report.model_copy(update={"rows": (*kept, *report.rows)})


def _tell_of_other(path: Path) -> None:
    _log.warning("%s is of other weights than the files written now", path)


def _remove_earlier(path: Path) -> None:
    """Remove an earlier run's file, which could be mistaken for this run's."""
    earlier = contract_at(path)
    if earlier is not None and earlier.compression is not None:
        remove_model(path)
        _log.warning("%s of an earlier run is removed", path)


def _report(
    job: Job, rows: Sequence[CompressedFile], no_float: dict[str, str], *, finished: bool
) -> CompressionReport:
    contract = job.promise.contract
    quantizers = [quantizer_for(row.format, row.precision, job.tuned) for row in rows]
    measures = any(one.MEASURES for one in quantizers)
    return CompressionReport(
        name=contract.name,
        method=job.tuned.method if job.tuned else None,
        sparsity=job.tuned.sparsity if job.tuned else None,
        input_size=(contract.input.height, contract.input.width),
        limits=job.promise.limits,
        goal=job.goal,
        calibration=len(job.calibration.batches) if measures else 0,
        asked=job.calibration.asked,
        unreadable=job.calibration.unreadable,
        validation=len(job.promise.validation),
        rows=tuple(rows),
        host=this_host(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        no_float=no_float,
        finished=finished,
    )
