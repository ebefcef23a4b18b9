"""What compression made of each file, for people and for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..files import atomic_write

Goal = Literal["speed", "size"]

FASTER = 1.05
"""Times as fast an int8 file must be where speed is asked for."""

SMALLER = 0.6
"""Of the float file's size that it may have where size is asked for."""

_GOALS = {
    "speed": f"the file is more than {FASTER:g} times as fast",
    "size": f"the file has less than {SMALLER:g} of the size",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Measured(_Frozen):
    """Of one file.

    Attributes:
        bytes: Of all its parts.
        figures: By metric; shares of 1.
        ms: Median of one inference on one core; None where it was not timed.
    """

    bytes: int
    figures: dict[str, float | None]
    ms: float | None = None


class Row(_Frozen):
    """Of one format.

    Attributes:
        status: "int8" where that file is written; "float" where it would have broken a promise, and
            the float file is written; "failed" where nothing could be made.
        reason: Why not int8.
        file: What is written.
        kept_float: Layers given back for the sake of accuracy, the most guilty first.
        before: The float file.
        after: The int8 file, written or not.
        faster: Median of the ratios of interleaved runs.
        minutes: All of it took.
    """

    format: str
    status: Literal["int8", "float", "failed"]
    reason: str | None = None
    file: str | None = None
    kept_float: tuple[str, ...] = ()
    layers: int = 0
    before: Measured | None = None
    after: Measured | None = None
    faster: float | None = None
    minutes: float = 0.0

    @property
    def figures(self) -> list[str]:
        """Keys of what was measured."""
        return [key for one in (self.before, self.after) if one for key in one.figures]


class CompressionReport(_Frozen):
    """Of one network.

    Attributes:
        metric: Key of the figure that the promise is about.
        max_drop: Points of it that may be lost.
        goal: What int8 must be better at.
        calibration: Photos that were used.
        unreadable: Photos that could not be.
        asked: How many there should have been.
    """

    name: str
    input_size: tuple[int, int]
    metric: str
    max_drop: float
    goal: Goal
    calibration: int
    asked: int
    unreadable: int
    validation: int
    rows: tuple[Row, ...]
    host: dict[str, str]
    date: str

    @property
    def failed(self) -> list[str]:
        """Formats that are not int8, and why."""
        return [f"{row.format}: {row.reason}" for row in self.rows if row.status != "int8"]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column heads, and a row for each file, written or not."""
        keys = list(dict.fromkeys(key for row in self.rows for key in row.figures))
        head = ["file", "written as", "MB", "ms", "faster", *keys, "float layers", "minutes"]
        return head, [
            [
                f"{row.format} {kind}",
                (row.file or "") if row.status == kind else "",
                f"{one.bytes / 1e6:.2f}",
                "" if one.ms is None else f"{one.ms:.2f}",
                f"{row.faster:.2f}" if one is row.after and row.faster else "",
                *[_percent(one.figures, key) for key in keys],
                f"{len(row.kept_float)} of {row.layers}" if one is row.after else "",
                f"{row.minutes:.1f}" if one is row.after else "",
            ]
            for row in self.rows
            for kind, one in (("float", row.before), ("int8", row.after))
            if one is not None
        ]

    def as_markdown(self) -> str:
        """The table, and what is behind it."""
        height, width = self.input_size
        head, cells = self.table()
        lines = [
            f"# {self.name}: int8 by post-training quantization",
            "",
            f"Input {width}x{height}. Ranges from {self.calibration} photos ({self.asked} asked "
            f"for, {self.unreadable} unreadable), figures from {self.validation}. An int8 file is "
            f"written where {self.metric} drops by no more than {self.max_drop:g} points and "
            f"{_GOALS[self.goal]}. Milliseconds are medians of interleaved runs on one core.",
            "",
            *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)),
            "",
        ]
        lines += [f"- {row.format}: {row.reason}" for row in self.rows if row.reason]
        lines += [
            f"- {row.format}: float again: {', '.join(row.kept_float)}"
            for row in self.rows
            if row.kept_float
        ]
        host = ", ".join(f"{key} {value}" for key, value in self.host.items())
        return "\n".join([*lines, "", f"{self.date}; {host}"]) + "\n"

    def write(self, folder: Path) -> None:
        """Write `compression.json` and `compression.md`."""
        for name, text in (
            ("compression.json", self.model_dump_json(indent=1) + "\n"),
            ("compression.md", self.as_markdown()),
        ):
            with atomic_write(folder / name, "w") as handle:
                handle.write(text)


def _percent(figures: dict[str, float | None], key: str) -> str:
    value = figures.get(key)
    return "" if value is None else f"{100 * value:.2f}"
