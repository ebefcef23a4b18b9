"""Choose the smallest file that meets a budget, by measured figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserError
from ..evaluation.figures import Figure
from ..tasks import TASKS, task_of

if TYPE_CHECKING:
    from .results import Measurement

LIMITS: dict[str, tuple[str, Callable[[Measurement], float], str]] = {
    "max_ms": ("ms", lambda row: row.ms.value, "ms"),
    "max_mb": ("size", lambda row: row.mb, "MB"),
    "max_memory": ("memory", lambda row: row.memory / 2**20, "MiB"),
}
"""By flag: what it limits, how to read that from a row, and its unit."""

_DIGITS = 4
"""Decimals of a figure from 0 to 1 in tables, which show percentages with two."""


def budgets() -> dict[str, Figure]:
    """Figures that a flag can set a minimum for, by the flag without its dashes."""
    figures = [figure for task in TASKS for figure in task_of(task).measure.FIGURES]
    return {figure.budget: figure for figure in figures if figure.budget is not None}


@dataclass(frozen=True)
class Miss:
    """A requirement that a row does not meet.

    Attributes:
        what: What is limited, in words.
        wanted: The limit.
        found: The row's value; None if it was not measured.
        unit: Unit of `wanted` and `found`.
        short: Shortfall as a share of the limit.
    """

    what: str
    wanted: float
    found: float | None
    unit: str
    short: float

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.what} was not measured"
        return f"{self.what} is {self.found:.4g}{self.unit}, not {self.wanted:g}{self.unit}"


@dataclass(frozen=True)
class Choice:
    """The files that meet the budget, or the one that comes nearest.

    Attributes:
        fitting: The fastest row of each file that meets the budget, smallest file first.
        nearest: If none does, the row that fails by least, and its misses; None if there is no
            row at all.
    """

    fitting: Sequence[Measurement]
    nearest: tuple[Measurement, Sequence[Miss]] | None


def select(
    rows: Sequence[Measurement],
    *,
    task: str,
    limits: Mapping[str, float],
    figures: Mapping[str, float],
    runtime: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    peers: bool = False,
) -> Choice:
    """Choose the rows that meet the limits.

    Args:
        rows: Measurements; only those of batch 1 are used.
        task: Name of the task, as in contracts.
        limits: Upper limits by key of `LIMITS`.
        figures: Minimum of each figure, 0 to 1, by its key.
        runtime: Runtime to choose among, with or without a mode; None for all.
        device: Device to choose among; None for all.
        threads: Number of threads to choose among; None for all.
        peers: Whether to include third-party models.

    Raises:
        UserError: No row has this task, runtime, device and number of threads.
    """
    open_ones = [
        row
        for row in rows
        if row.task == task
        and row.batch == 1
        and (runtime is None or row.runtime == runtime or row.runtime.startswith(f"{runtime}:"))
        and device in (None, row.device)
        and threads in (None, row.threads)
        and (peers or not row.peer)
    ]
    if not open_ones:
        have = sorted({f"{r.task}, {r.runtime}, {r.device}, {r.threads} threads" for r in rows})
        asked = {"task": task, "runtime": runtime, "device": device, "threads": threads}
        said = ", ".join(f"--{flag} {one}" for flag, one in asked.items() if one is not None)
        raise UserError(
            f"{said}: nothing was measured of that with a batch of 1; there are: "
            f"{'; '.join(have) or 'none'}"
        )
    misses = [(row, _misses(row, limits, figures)) for row in open_ones]
    fitting = sorted((row for row, none in misses if not none), key=lambda row: row.ms.value)
    if fitting:
        files = {row.name: row for row in reversed(fitting)}
        return Choice(sorted(files.values(), key=lambda row: (row.bytes, row.ms.value)), None)
    return Choice([], min(misses, key=lambda pair: sum(miss.short for miss in pair[1])))


def _misses(
    row: Measurement, limits: Mapping[str, float], figures: Mapping[str, float]
) -> list[Miss]:
    found = []
    for flag, most in limits.items():
        what, value_of, unit = LIMITS[flag]
        value = value_of(row)
        if value > most:
            found.append(Miss(what, most, value, f" {unit}", value / most - 1))
    for key, least in figures.items():
        figure = row.figures.get(key)
        if figure is None:
            found.append(Miss(key, 100 * least, None, " %", 1.0))
        elif round(figure, _DIGITS) < least:  # what is printed is what is compared
            found.append(Miss(key, 100 * least, 100 * figure, " %", 1 - figure / least))
    return found
