"""Weights to small files that are as good as promised, and faster or smaller."""

from __future__ import annotations

import datetime
import importlib
import logging
import statistics
import tempfile
import textwrap
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, PocketfaceError, UserError
from ..evaluation.latency import interleaved, speedup
from ..evaluation.report import metrics_of
from ..export import ExportPrecision, ExportReport, export_model
from ..export.certificate import this_host
from ..export.place import move_model
from ..files import sha256_file
from ..model_templates.contract import Compression, Contract, Precision
from ..models.nncf_hooks import without_hooks
from ..models.weights import read_weights, rewritten
from ..runtimes import load, model_of
from ..runtimes.seal import model_files
from ..runtimes.session import Session
from .calibration import Calibration, Sample
from .promise import Figures, Loss, Promise
from .quantizers import Quantizer, Restoring, Tuned, method_of, quantizer_for
from .report import FASTER, SMALLER, CompressionReport, Goal, Measured, Row
from .sensitivity import most_guilty_first

_log = logging.getLogger(__name__)

_TUNED, _SMALL = "tuned", "small"
_SENSITIVITY_PHOTOS = 16


def compress_files(
    *,
    weights: Path,
    template: str | Path | None,
    tuned: Tuned | None,
    calibration: Calibration,
    validation: Sequence[Sample],
    folder: Path,
    formats: Sequence[str],
    precisions: Sequence[str],
    max_drop: float,
    goal: Goal,
) -> CompressionReport:
    """Write compressed files, and `compression.md` and `.json`, which say what they are worth.

    Args:
        weights: What all is compared with: a `.safetensors` or `.pth` file.
        template: As for `export_model`.
        tuned: What the files are made of; None for `weights`.
        calibration: For the ranges.
        validation: For the figures.
        folder: Where to; made if missing.
        formats: Of `QUANTIZERS`.
        precisions: See `check_precisions`; and "fp32", to leave the tuned weights as they are.
        max_drop: See `Promise`.
        goal: What compressed files must be better at.

    Raises:
        UserError: The folder cannot be written.
        MissingPackageError: A package that a format needs is not installed.
        PocketfaceError: A float file does not answer as the network does.
    """
    half = list(formats) if "fp16" in precisions else [one for one in formats if one == "coreml"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".compress-") as scratch:
            place = Path(scratch)
            exported = _exported(weights, template, place, formats, "fp32", verify=True)
            if tuned is not None:
                found = read_weights(tuned.weights)
                weights, template = place / "plain.safetensors", None
                rewritten(weights, found, without_hooks(found.state_dict))
                place = place / _TUNED
                _exported(weights, template, place, formats, "fp32")
            if half:
                _exported(weights, template, place, half, "fp16")
            job = _Job(
                promise=Promise(load(exported.files[0]).contract, validation, max_drop),
                tuned=tuned,
                calibration=calibration,
                goal=goal,
            )
            rows = [
                row
                for one in exported.rows
                if one.file is not None
                for row in _compressed(job, one.format, one.file, precisions, folder)
            ]
        report = job.report(rows)
        report.write(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return report


def _exported(
    weights: Path,
    template: str | Path | None,
    folder: Path,
    formats: Sequence[str],
    precision: ExportPrecision,
    *,
    verify: bool = False,
) -> ExportReport:
    report = export_model(
        weights=weights,
        template=template,
        folder=folder,
        formats=formats,
        precisions=[precision],
        verify=verify,
    )
    for failed in report.failed:
        raise PocketfaceError(f"{failed.format}: {failed.reason}")
    return report


@dataclass(frozen=True, eq=False)
class _Job:
    """What all formats of one network share."""

    promise: Promise
    tuned: Tuned | None
    calibration: Calibration
    goal: Goal

    def report(self, rows: Sequence[Row]) -> CompressionReport:
        contract = self.promise.contract
        return CompressionReport(
            name=contract.name,
            method=self.tuned.method if self.tuned else None,
            sparsity=self.tuned.sparsity if self.tuned else None,
            input_size=(contract.input.height, contract.input.width),
            limits=self.promise.limits,
            goal=self.goal,
            calibration=len(self.calibration.batches),
            asked=self.calibration.asked,
            unreadable=self.calibration.unreadable,
            validation=len(self.promise.validation),
            rows=tuple(rows),
            host=this_host(),
            date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )


def _compressed(
    job: _Job, name: str, path: Path, precisions: Sequence[str], folder: Path
) -> list[Row]:
    """A float file made small, measured and judged; what is worth it is moved to its place."""
    figures, labels = job.promise.figures(load(path))
    rows = []
    for precision in precisions:
        quantizer = quantizer_for(name, precision, job.tuned)
        if precision not in quantizer.PRECISIONS:
            continue
        begun = time.monotonic()
        work = _Candidate(job, name, path, quantizer, precision, figures, labels)
        row = Row(
            format=name,
            precision=work.contract.precision,
            status="float",
            goal=job.goal,
            before=_measured(path, "fp32", figures),
            layers=len(work.layers),
        )
        try:
            kept_float, found = work.within_promise()
        except UserError:
            raise
        except Exception as error:  # quantizers raise whatever they like
            _log.debug("%s", name, exc_info=True)
            reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
            row = row.model_copy(update={"status": "failed", "reason": reason})
        else:
            row = work.judge(row, kept_float, found)
            if row.status == "compressed":
                work.embed(kept_float, found)
                move_model(work.target, folder)
        _log.info("%s: %s%s", work.target.name, row.status, f": {row.reason}" if row.reason else "")
        minutes = (time.monotonic() - begun) / 60
        rows.append(row.model_copy(update={"minutes": minutes}))
    if any(row.status != "compressed" for row in rows):
        move_model(path, folder)
    return rows


class _Candidate:
    """The compressed files that are tried for one float file; the last one is at `target`."""

    def __init__(
        self,
        job: _Job,
        name: str,
        path: Path,
        quantizer: Quantizer,
        precision: str,
        figures: Figures,
        labels: NDArray[np.bool_] | None,
    ) -> None:
        self.job = job
        self.path = path
        self.quantizer = quantizer
        tuned = job.tuned
        made_of = path if tuned is None else path.parent / _TUNED / path.name
        # The arithmetic of an ML Program is typed: a small one starts from FP16.
        small = precision == "fp16" or (path.suffix == ".mlpackage" and precision != "fp32")
        self.source = _named(made_of, "fp16") if small else made_of
        suffix = tuned.name if tuned is not None and precision == "fp32" else precision
        # In a folder of its own: the exporter's FP16 files have such names too.
        self.target = _named(path.parent / _SMALL / path.name, suffix)
        self.target.parent.mkdir(exist_ok=True)
        self.layers = quantizer.layers(self.source)
        self._writer = importlib.import_module(f"..export.{name}", __package__)
        self._before = figures
        self._labels = labels
        by = method_of(quantizer, precision)
        self.compression = Compression(
            method=f"{tuned.method}; {by}" if tuned else by,
            photos=job.calibration.photos,
            seed=job.calibration.seed,
            metric=job.promise.metric,
        )
        # Of the file that the user has, not of a plain copy.
        self._sha256 = sha256_file(tuned.weights) if tuned else None
        self.contract = self._contract_of(self.source, precision)

    def _contract_of(self, path: Path, precision: str) -> Contract:
        changes: dict[str, Any] = {"precision": precision, "parity": None, "metrics": ()}
        contract = load(path).contract
        if self._sha256 is not None:
            provenance = contract.provenance.model_copy(update={"checkpoint_sha256": self._sha256})
            changes["provenance"] = provenance
        return contract.model_copy(update={**changes, "compression": self.compression})

    def within_promise(self) -> tuple[list[str], Figures]:
        """Quantize, and give layers back until the drop is within the promise, or all are float.

        Returns:
            Those that stay float, and the figures of the file.
        """
        found = self._try([])
        lost = self._loss(found)
        if lost.share <= 1 or not self.layers:
            return [], found
        at_first = 0.0
        if self.job.tuned is not None:
            as_float, _ = self.job.promise.figures(load(self.source))
            at_first = self._loss(as_float).share
            if at_first > 1:
                return [], found  # it was not the rounding
        _log.info(
            "%.2f points of %s lost: looking for the layers that cost most",
            lost.points,
            lost.figure,
        )
        if isinstance(self.quantizer, Restoring):
            return self._restored(self.quantizer, 1 - at_first)
        batches = self.job.calibration.batches[:_SENSITIVITY_PHOTOS]
        # The layers of a file with NMS inside are those of the one without.
        plain = self.source.with_stem(self.source.stem.replace("_nms", ""))
        contract = self._contract_of(plain, self.contract.precision)
        guilty = most_guilty_first(self.quantizer, plain, contract, batches)
        count = 1
        while True:
            kept_float = guilty[:count]
            found = self._try(kept_float)
            lost = self._loss(found)
            _log.info("%d of %d float: %.2f points lost", count, len(guilty), lost.points)
            if lost.share <= 1 or count >= len(guilty):
                return kept_float, found
            count = min(2 * count, len(guilty))

    def _restored(self, quantizer: Restoring, max_loss: float) -> tuple[list[str], Figures]:
        """Likewise, by the library's own search."""
        promise = self.job.promise

        def loss(session: Session, indices: Sequence[int]) -> float:
            model = model_of(session, self.contract, path=self.target)
            try:
                found, _ = promise.figures(model, [promise.validation[one] for one in indices])
            except DataError:
                return 0.0  # a single photo that cannot be read
            return self._loss(found).share

        kept_float = quantizer.restore(
            self.source,
            self.target,
            self.contract,
            self.job.calibration.batches,
            loss=loss,
            count=len(promise.validation),
            max_loss=max_loss,
        )
        return kept_float, self._figures()

    def judge(self, row: Row, kept_float: Sequence[str], found: Figures) -> Row:
        """Is the compressed file worth it? Its row says so."""
        batch = self.job.calibration.batches[0]
        models = [load(one, threads=1) for one in (self.path, self.target)]
        before, after = row.before, _measured(self.target, row.precision, found)
        faster = surely = None
        goal: Goal = "size"
        # The reference interpreter says nothing of an Apple device's speed.
        if models[0].session.runtime != "coreml-reference":
            goal = self.job.goal
            seconds = interleaved([partial(model.raw, batch) for model in models])
            before_ms, after_ms = (statistics.median(one) * 1e3 for one in seconds)
            before = before.model_copy(update={"ms": before_ms})
            after = after.model_copy(update={"ms": after_ms})
            faster, surely = speedup(*seconds)
        # Zeros are stored like other numbers: what they save shows when files are packed.
        sparse = self.job.tuned is not None and self.job.tuned.sparsity is not None
        share = after.zipped / before.zipped if sparse else after.bytes / before.bytes
        reason = None
        lost = self._loss(found)
        if lost.share > 1:
            reason = (
                f"{lost.figure} drops by {lost.points:.2f} points at best; expected no more than "
                f"{lost.allowed:g}"
            )
        elif goal == "speed" and surely is not None and surely <= FASTER:
            reason = (
                f"{faster:.2f} times as fast, at least {surely:.2f}; expected more than {FASTER:g}"
            )
        elif goal == "size" and share >= SMALLER:
            reason = f"{share:.2f} of the size; expected less than {SMALLER:g}"
        return row.model_copy(
            update={
                "status": "float" if reason else "compressed",
                "reason": reason,
                "goal": goal,
                "kept_float": tuple(kept_float),
                "before": before,
                "after": after,
                "faster": faster,
            }
        )

    def embed(self, kept_float: Sequence[str], found: Figures) -> None:
        """Write into the file what it is worth."""
        metric = self.job.promise.metric
        drop = 100 * ((self._before[metric] or 0.0) - (found[metric] or 0.0))
        compression = self.compression.model_copy(
            update={"kept_float": tuple(kept_float), "drop": round(drop, 4)}
        )
        figures = {key: found[key] for key in self._before}
        protocol = f"{len(self.job.promise.validation)} validation photos of `compress`"
        metrics = tuple(metrics_of(figures, protocol=protocol))
        contract = self.contract.model_copy(update={"compression": compression, "metrics": metrics})
        self._writer.embed(self.target, contract)

    def _try(self, kept_float: Sequence[str]) -> Figures:
        batches = self.job.calibration.batches
        self.quantizer.quantize(self.source, self.target, self.contract, batches, kept_float)
        return self._figures()

    def _figures(self) -> Figures:
        figures, labels = self.job.promise.figures(load(self.target))
        if labels is not None and self._labels is not None:
            figures["same_label"] = float((labels == self._labels).mean())
        return figures

    def _loss(self, found: Figures) -> Loss:
        return self.job.promise.loss(self._before, found)


def _named(path: Path, precision: str) -> Path:
    """As the exporters name it: `model_nms` is `model_int8_nms`."""
    return path.with_stem(path.stem.replace("model", f"model_{precision}", 1))


def _measured(path: Path, precision: Precision, figures: Figures) -> Measured:
    parts = [part.read_bytes() for part in model_files(path)]
    return Measured(
        file=path.name,
        precision=precision,
        bytes=sum(map(len, parts)),
        zipped=sum(len(zlib.compress(part)) for part in parts),
        figures=figures,
    )
