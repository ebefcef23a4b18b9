"""The report of a compression, as Markdown and JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ..files import atomic_write
from ..model_templates.contract import Precision
from ..model_templates.spec import Spec

MARKDOWN, RECORD = "compression.md", "compression.json"
"""Names of the report's files."""

Goal = Literal["speed", "size"]

FASTER = 1.05
"""Least speedup of a compressed file, with 95 % confidence, if the goal is speed."""

SMALLER = 0.6
"""Largest size of a compressed file as a share of the float file's, if the goal is size."""

_GOALS = {
    "speed": f"the file is, with 95 % confidence, more than {FASTER:g} times as fast",
    "size": f"the file has less than {SMALLER:g} of the size",
}


class FileMeasured(Spec):
    """Size, accuracy and speed of one file.

    Attributes:
        file: Name of the file, also if it is not written.
        precision: Precision of its weights.
        bytes: Size of all its parts together.
        zipped: Size with each part deflated, which shows the effect of sparse weights.
        figures: Figures by key, 0 to 1.
        ms: Median milliseconds of one inference on one core; None if not timed.
    """

    file: str
    precision: Precision
    bytes: int
    zipped: int
    figures: dict[str, float | None]
    ms: float | None = None


class CompressedFile(Spec):
    """The outcome for one float file and one precision.

    Attributes:
        status: "compressed" if that file is written; "float" if it was not good enough and the
            float file is written instead; "failed" if no file could be made.
        reason: Why the file is not compressed.
        goal: What the compressed file had to improve.
        kept_float: Layers kept float for accuracy, those that cost most first.
        before: The float file.
        after: The compressed file, written or not.
        faster: Speedup: median of the ratios of interleaved runs.
        minutes: Minutes that compressing, measuring and judging took.
    """

    format: str
    precision: Precision
    status: Literal["compressed", "float", "failed"]
    goal: Goal
    reason: str | None = None
    kept_float: tuple[str, ...] = ()
    layers: int = 0
    before: FileMeasured
    after: FileMeasured | None = None
    faster: float | None = None
    minutes: float = 0.0

    def __str__(self) -> str:
        """A line that says what became of it."""
        tried = self.before if self.after is None else self.after
        return f"{tried.file}: {self.status}" + (f": {self.reason}" if self.reason else "")

    @property
    def file(self) -> str:
        """Name of the file that is written."""
        if self.status == "compressed":
            assert self.after is not None
            return self.after.file
        return self.before.file


class CompressionReport(Spec):
    """The report for one network.

    Attributes:
        method: What was done to the weights, in words; None if nothing.
        sparsity: Share of zeros reached among the layers' weights, 0 to 1.
        limits: Percentage points that may be lost, by figure; the main figure first.
        goal: What compressed files must improve.
        calibration: Number of photos used to measure ranges; 0 where none were measured.
        unreadable: Number of photos that could not be read.
        asked: Number of photos asked for.
        no_float: Why a format has no float file that could be compressed, by format.
        finished: Whether the run came to its end; older reports lack this key.
    """

    name: str
    method: str | None = None
    sparsity: float | None = None
    input_size: tuple[int, int]
    limits: dict[str, float]
    goal: Goal
    calibration: int
    asked: int
    unreadable: int
    validation: int
    rows: tuple[CompressedFile, ...]
    host: dict[str, str]
    date: str
    no_float: dict[str, str] = Field(default={})
    finished: bool = True

    @property
    def failed(self) -> list[str]:
        """Formats and float files that have no compressed version, and why."""
        lost = [f"{name}: {reason}" for name, reason in self.no_float.items()]
        return lost + [
            f"{row.after.file if row.after else row.before.file}: {row.reason}"
            for row in self.rows
            if row.status != "compressed"
        ]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column headings, and a row for each file, written or not."""
        written = {row.file for row in self.rows}
        lines: dict[str, tuple[FileMeasured, CompressedFile | None]] = {}
        for row in self.rows:
            # The float file was timed again beside each compressed one; the first time is shown.
            lines.setdefault(row.before.file, (row.before, None))
            if row.after is not None:
                lines[row.after.file] = row.after, row
        figures = [one.figures for one, _ in lines.values()]
        keys = list(dict.fromkeys(key for one in figures for key in one))
        head = ["file", "weights", "written", "MB", "zipped", "ms", "faster", *keys, "float layers"]
        return head, [
            [
                one.file,
                one.precision,
                "yes" if one.file in written else "no",
                f"{one.bytes / 1e6:.3f}",
                f"{one.zipped / 1e6:.3f}",
                "" if one.ms is None else f"{one.ms:.2f}",
                f"{row.faster:.2f}" if row and row.faster else "",
                *[_percent(one.figures, key) for key in keys],
                f"{len(row.kept_float)} of {row.layers}" if row else "",
            ]
            for one, row in lines.values()
        ]

    def as_markdown(self) -> str:
        """The report as Markdown: the table, and how it was measured."""
        height, width = self.input_size
        head, cells = self.table()
        limits = [f"{points:g} points of {key}" for key, points in self.limits.items()]
        lines = [f"# {self.name}, compressed", ""]
        if self.method is not None:
            lines += [f"The weights: {self.method}.", ""]
        ranges = ""
        if self.calibration:
            ranges = (
                f"Ranges from {self.calibration} photos ({self.asked} asked for, "
                f"{self.unreadable} unreadable). "
            )
        lines += [
            f"Input {width}x{height} (width x height). {ranges}Figures from {self.validation} "
            "photos. A compressed "
            f"file is written where no more than {' and '.join(limits)} are lost, and "
            f"{_GOALS[self.goal]}. Milliseconds are medians of interleaved runs on one core.",
            "",
            *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)),
            "",
        ]
        lines += [f"- {reason}" for reason in self.failed]
        if not self.finished:
            lines.append("- It was interrupted: files that were asked for are missing.")
        if self.sparsity is not None:
            lines.append(f"- {100 * self.sparsity:.1f} % of the weights of layers are zero.")
        for row in self.rows:
            if row.kept_float and row.after:
                lines.append(f"- {row.after.file}: float again: {', '.join(row.kept_float)}")
            if row.goal != self.goal and row.after:
                lines.append(f"- {row.after.file}: judged by size, as it cannot be timed here")
        if any("_nms" in row.before.file for row in self.rows):
            lines.append(
                "- Files with NMS inside (`_nms`) know no faces below their own threshold: their "
                "figures are of fewer faces than those of the others."
            )
        minutes = sum(row.minutes for row in self.rows)
        lines.append(f"- It took {minutes:.1f} minutes.")
        host = ", ".join(f"{key} {value}" for key, value in self.host.items())
        return "\n".join([*lines, "", f"{self.date}; {host}"]) + "\n"

    def is_like(self, other: CompressionReport) -> bool:
        """Whether another run judged files in the same way, so that rows of both compare."""
        unlike = {"rows": (), "no_float": {}, "date": "", "calibration": 0}
        return self.model_copy(update=unlike) == other.model_copy(update=unlike)

    def write(self, folder: Path) -> None:
        """Write `compression.json` and `compression.md`."""
        for name, text in (
            (RECORD, self.model_dump_json(indent=1) + "\n"),
            (MARKDOWN, self.as_markdown()),
        ):
            with atomic_write(folder / name, "w") as handle:
                handle.write(text)


def read_report(folder: Path) -> CompressionReport | None:
    """The report of an earlier run into a folder; None if there is none that can be read."""
    try:
        return CompressionReport.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def _percent(figures: dict[str, float | None], key: str) -> str:
    value = figures.get(key)
    return "" if value is None else f"{100 * value:.2f}"
