"""Turn weights into compressed files that keep their accuracy and are faster or smaller."""

from __future__ import annotations

import datetime
import logging
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingPackageError, PocketfaceError
from ..exporting import ExportPrecision, ExportReport, ExportRequest, export_model
from ..exporting.certificate import this_host
from ..exporting.place import move_model, remove_model
from ..files import scratch_folder
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
from .report import CompressedFile, CompressionReport, Goal

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

    Raises:
        MissingPackageError: A package that a format needs is not installed.
        PocketfaceError: A float file's answers differ from the network's.
        OSError: The folder cannot be written.
    """
    folder, formats, precisions = wanted.folder, wanted.formats, wanted.precisions
    half = list(formats) if "fp16" in precisions else []
    if not half and set(precisions) != {"fp32"}:
        half = [one for one in formats if one == "coreml"]
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as place:
        weights, tuned = wanted.weights, wanted.tuned
        exported = _exported(weights, place, formats, "fp32", verify=True)
        if tuned is not None:
            plain = place / "plain.safetensors"
            weights = rewritten(plain, tuned.weights, without_hooks(tuned.weights.state_dict))
            place = place / TUNED
            _exported(weights, place, formats, "fp32")
        if half:
            _exported(weights, place, half, "fp16")
        contract = load(exported.paths[0]).contract
        job = Job(
            promise=Promise(contract, wanted.validation, wanted.max_drop),
            tuned=tuned,
            calibration=wanted.calibration,
            goal=wanted.goal,
        )
        rows: list[CompressedFile] = []
        files = [(one.format, one.file) for one in exported.files if one.file is not None]
        total = sum(len(_possible(name, precisions)) for name, _ in files)
        tell = wanted.on_progress or (lambda _done, _total: None)
        tell(0, total)
        try:
            for name, path in files:
                for row in _compressed(job, name, path, precisions, folder):
                    rows.append(row)  # at once, so that an interrupted run still reports it
                    if wanted.on_file is not None:
                        wanted.on_file(row)
                    tell(len(rows), total)
        finally:
            # Only now, as compressing a file with NMS inside needs the file without.
            _place_float_files([path for _, path in files], rows, folder)
            report = _report(job, rows)
            if rows:
                report.write(folder)
    return report


def _exported(
    weights: Weights,
    folder: Path,
    formats: Sequence[str],
    precision: ExportPrecision,
    *,
    verify: bool = False,
) -> ExportReport:
    report = export_model(
        ExportRequest(
            weights=weights,
            folder=folder,
            formats=formats,
            precisions=[precision],
            verify=verify,
        )
    )
    for failed in report.failed:
        raise PocketfaceError(f"{failed.format}: {failed.reason}")
    return report


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
        except MissingPackageError:
            raise
        except Exception as error:  # quantizers, and runtimes on their files, raise anything
            _log.debug("%s", name, exc_info=True)
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
            row = row.model_copy(update={"status": "failed", "reason": reason})
        else:
            row = judged
        if row.status == "compressed":
            move_model(work.target, folder)
        else:
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
        elif stays and not _same_network(folder / path.name, path):
            _log.warning("%s is of other weights than the files written now", folder / path.name)


def _same_network(older: Path, path: Path) -> bool:
    if not older.exists():
        return True
    try:
        made_of = [load(one).contract.provenance.checkpoint_sha256 for one in (older, path)]
    except PocketfaceError:
        return False
    return made_of[0] == made_of[1]


def _remove_earlier(path: Path) -> None:
    """Remove an earlier run's file, which could be mistaken for this run's."""
    if path.exists():
        remove_model(path)
        _log.warning("%s of an earlier run is removed", path)


def _report(job: Job, rows: Sequence[CompressedFile]) -> CompressionReport:
    contract = job.promise.contract
    return CompressionReport(
        name=contract.name,
        method=job.tuned.method if job.tuned else None,
        sparsity=job.tuned.sparsity if job.tuned else None,
        input_size=(contract.input.height, contract.input.width),
        limits=job.promise.limits,
        goal=job.goal,
        calibration=len(job.calibration.batches),
        asked=job.calibration.asked,
        unreadable=job.calibration.unreadable,
        validation=len(job.promise.validation),
        rows=tuple(rows),
        host=this_host(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
