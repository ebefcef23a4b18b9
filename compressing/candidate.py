"""Compress one float file: quantize it, restore float layers, measure and judge it."""

from __future__ import annotations

import logging
import statistics
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from ..evaluation.figures import Figures
from ..evaluation.latency import interleaved, speedup
from ..evaluation.report import metrics_of
from ..exporting.formats import writer_of
from ..model_templates.contract import Compression, Contract, Precision
from ..runtimes.seal import model_files
from ..runtimes.session import Session
from ..tasks.load import load, model_of
from ..tasks.measuring import Measured
from .calibration import Calibration
from .formats import FLOAT
from .promise import Loss, Promise
from .quantizers import Quantizer, Restoring, Tuned, method_of
from .report import FASTER, SMALLER, CompressedFile, FileMeasured, Goal
from .sensitivity import most_guilty_first

_log = logging.getLogger(__name__)

TUNED = "tuned"
"""Folder beside the float files, for the files of the tuned weights."""

_SMALL = "small"
_SENSITIVITY_PHOTOS = 16


@dataclass(frozen=True, eq=False)
class Job:
    """What all files of one network share.

    Attributes:
        promise: The limits on lost accuracy.
        tuned: The tuned weights that files are made from; None for the weights as trained.
        calibration: Inputs to measure ranges on.
        goal: What compressed files must improve.
    """

    promise: Promise
    tuned: Tuned | None
    calibration: Calibration
    goal: Goal


class Timing(NamedTuple):
    """Median milliseconds of two files, and the second one's speedup; see `Speedup`."""

    before_ms: float
    after_ms: float
    faster: float
    surely: float


@dataclass(frozen=True, eq=False)
class FloatFile:
    """A float file to compress.

    Attributes:
        format: Name of its format.
        path: The file.
        measured: Its figures, and what it says of each sample.
    """

    format: str
    path: Path
    measured: Measured


class Candidate:
    """Compressed files tried for one float file; the latest one is at `target`."""

    def __init__(self, job: Job, file: FloatFile, quantizer: Quantizer, precision: str) -> None:
        self.job = job
        self.path = path = file.path
        self.quantizer = quantizer
        tuned = job.tuned
        made_of = path if tuned is None else path.parent / TUNED / path.name
        # The arithmetic of an ML Program is typed, so compressed ones start from FP16.
        small = precision == "fp16" or (path.suffix == ".mlpackage" and precision != "fp32")
        self.source = _named(made_of, "fp16") if small else made_of
        suffix = tuned.name if tuned is not None and precision == "fp32" else precision
        # In a separate folder, as the exporter's FP16 files have the same names.
        self.target = _named(path.parent / _SMALL / path.name, suffix)
        self.target.parent.mkdir(exist_ok=True)
        self.layers = quantizer.layers(self.source)
        self._writer = writer_of(file.format)
        self._before = file.measured
        by = method_of(quantizer, precision)
        self.compression = Compression(
            method=f"{tuned.method}; {by}" if tuned else by,
            photos=job.calibration.photos if quantizer.MEASURES else (),
            seed=job.calibration.seed,
            metric=job.promise.metric,
        )
        # The SHA-256 of the user's file, not of a plain copy.
        self._sha256 = tuned.weights.sha256 if tuned else None
        self.contract = self._contract_of(self.source, precision)

    def _contract_of(self, path: Path, precision: str) -> Contract:
        changes: dict[str, Any] = {"precision": precision, "parity": None, "metrics": ()}
        contract = load(path).contract
        if precision not in FLOAT:  # quantizers may make constants of the size
            contract = contract.of_fixed_size()
        if self._sha256 is not None:
            provenance = contract.provenance.model_copy(update={"checkpoint_sha256": self._sha256})
            changes["provenance"] = provenance
        return contract.model_copy(update={**changes, "compression": self.compression})

    def within_promise(self) -> tuple[list[str], Measured]:
        """Quantize, and make layers float again until the promise holds or all are float.

        Returns:
            The layers that stay float, and what was measured of the file.
        """
        found = self._try([])
        lost = self._loss(found.figures)
        # Float layers do not make a file faster.
        if lost.share <= 1 or not self.layers or self._slow(self._timing()):
            return [], found
        at_first = 0.0
        if self.job.tuned is not None:
            as_float = self.job.promise.measure(load(self.source)).figures
            at_first = self._loss(as_float).share
            if at_first > 1:
                return [], found  # the loss does not come from rounding
        _log.info(
            "%.2f points of %s lost: looking for the layers that cost most",
            lost.points,
            lost.figure,
        )
        if isinstance(self.quantizer, Restoring):
            return self._restored(self.quantizer, 1 - at_first)
        batches = self.job.calibration.batches[:_SENSITIVITY_PHOTOS]
        # A file with NMS inside has the layers of the file without.
        plain = self.source.with_stem(self.source.stem.replace("_nms", ""))
        contract = self._contract_of(plain, self.contract.precision)
        guilty = most_guilty_first(self.quantizer, plain, contract, batches)
        count = 1
        while True:
            kept_float = guilty[:count]
            found = self._try(kept_float)
            lost = self._loss(found.figures)
            _log.info("%d of %d float: %.2f points lost", count, len(guilty), lost.points)
            if lost.share <= 1 or count >= len(guilty):
                return kept_float, found
            count = min(2 * count, len(guilty))

    def _restored(self, quantizer: Restoring, max_loss: float) -> tuple[list[str], Measured]:
        """Do the same as `within_promise` by the library's own search."""
        promise = self.job.promise

        def loss(session: Session, indices: Sequence[int]) -> float:
            model = model_of(session, self.contract, path=self.target)
            try:
                found = promise.measure(model, [promise.validation[one] for one in indices])
            except DataError:
                return 0.0  # the only photo cannot be read
            return self._loss(found.figures).share

        kept_float = quantizer.restore(
            self.source,
            self.target,
            self.contract,
            self.job.calibration.batches,
            loss=loss,
            count=len(promise.validation),
            max_loss=max_loss,
        )
        return kept_float, self._measured()

    def judge(
        self, row: CompressedFile, kept_float: Sequence[str], figures: Figures
    ) -> CompressedFile:
        """Fill in the row: the verdict on the compressed file, and its measurements."""
        before, after = row.before, file_measured(self.target, row.precision, figures)
        timing = self._timing()
        goal: Goal = "size"
        if timing is not None:
            goal = self.job.goal
            before = before.model_copy(update={"ms": timing.before_ms})
            after = after.model_copy(update={"ms": timing.after_ms})
        # Zeros are stored like other numbers, so they save space only in packed files.
        sparse = self.job.tuned is not None and self.job.tuned.sparsity is not None
        share = after.zipped / before.zipped if sparse else after.bytes / before.bytes
        reason = None
        lost = self._loss(figures)
        if timing is not None and self._slow(timing):
            reason = (
                f"{timing.faster:.2f} times as fast, at least {timing.surely:.2f}; "
                f"expected more than {FASTER:g}"
            )
        elif lost.share > 1:
            reason = (
                f"{lost.figure} drops by {lost.points:.2f} points at best; expected no more than "
                f"{lost.allowed:g}"
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
                "faster": timing and timing.faster,
            }
        )

    def _timing(self) -> Timing | None:
        """Time the float file and `target` on one core; None for Core ML files off a Mac."""
        if load(self.target).session.runtime == "coreml-reference":
            return None
        batch = self.job.calibration.batches[0]
        models = [load(one, threads=1) for one in (self.path, self.target)]
        seconds = interleaved([partial(model.raw, batch) for model in models])
        before_ms, after_ms = (statistics.median(one) * 1e3 for one in seconds)
        return Timing(before_ms, after_ms, *speedup(*seconds))

    def _slow(self, timing: Timing | None) -> bool:
        """Whether speed is the goal and is not reached."""
        return self.job.goal == "speed" and timing is not None and timing.surely <= FASTER

    def embed(self, kept_float: Sequence[str], found: Measured) -> None:
        """Write what was measured and the layers that stay float into the file's contract."""
        metric = self.job.promise.metric
        before, after = self._before.figures[metric], found.figures[metric]
        assert before is not None
        assert after is not None
        drop = 100 * (before - after)
        compression = self.compression.model_copy(
            update={"kept_float": tuple(kept_float), "drop": round(drop, 4)}
        )
        promise = self.job.promise
        figures = {key: found.figures[key] for key in self._before.figures}
        protocol = promise.protocol(self.contract)
        metrics = tuple(metrics_of(promise.known, figures, protocol=protocol))
        changes = {
            "compression": compression,
            "metrics": metrics,
            "rules": {**self.contract.rules, **found.settled},
        }
        self._writer.embed(self.target, self.contract.model_copy(update=changes))

    def _try(self, kept_float: Sequence[str]) -> Measured:
        batches = self.job.calibration.batches
        self.quantizer.quantize(self.source, self.target, self.contract, batches, kept_float)
        return self._measured()

    def _measured(self) -> Measured:
        found = self.job.promise.measure(load(self.target))
        if found.verdicts is None or self._before.verdicts is None:
            return found
        said = np.isfinite(found.verdicts)  # the other samples have no verdict
        same = float((found.verdicts == self._before.verdicts)[said].mean())
        return replace(found, figures={**found.figures, "same_label": same})

    def _loss(self, found: Figures) -> Loss:
        return self.job.promise.loss(self._before.figures, found)


def _named(path: Path, precision: str) -> Path:
    """The exporters' name for a precision: `model_nms` becomes `model_int8_nms`."""
    return path.with_stem(path.stem.replace("model", f"model_{precision}", 1))


def file_measured(path: Path, precision: Precision, figures: Figures) -> FileMeasured:
    """Size and figures of a file that was not timed yet."""
    parts = [part.read_bytes() for part in model_files(path)]
    return FileMeasured(
        file=path.name,
        precision=precision,
        bytes=sum(map(len, parts)),
        zipped=sum(len(zlib.compress(part)) for part in parts),
        figures=figures,
    )
