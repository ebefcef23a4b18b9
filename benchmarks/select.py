"""The smallest file that meets a budget, by measured figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UserError
from ..evaluation.figures import Figure
from ..tasks import TASKS, task_of
from .results import Measurement

LIMITS: dict[str, tuple[str, Callable[[Measurement], float], str]] = {
    "max_ms": ("ms", lambda row: row.ms.value, "ms"),
    "max_mb": ("size", lambda row: row.mb, "MB"),
    "max_memory": ("memory", lambda row: row.memory / 2**20, "MiB"),
}
"""Flag: what it limits, where that is in a row, and its unit."""


def budgets() -> dict[str, Figure]:
    """Flag, without its dashes: the figure of some task that it asks a least value of."""
    figures = [figure for task in TASKS for figure in task_of(task).measure.FIGURES]
    return {figure.budget: figure for figure in figures if figure.budget is not None}


@dataclass(frozen=True)
class Miss:
    """A wish that a row does not meet.

    Attributes:
        what: In words.
        wanted: The limit.
        found: What it is; None where it was not measured.
        unit: Of both.
        short: By how much of the limit it fails.
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
    """What meets the budget, or comes nearest.

    Attributes:
        fitting: The files that meet it, the smallest first; of each the row that is fastest.
        nearest: Where none does: the row that fails by least, and its misses; None where there
            is no row at all.
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
    """Choose.

    Args:
        rows: Measured; those of a batch of 1 count.
        task: As contracts name it.
        limits: By key of `LIMITS`.
        figures: Least values by key of a figure, 0 to 1.
        runtime: Only this one, with or without its mode.
        device: Only this one.
        threads: Only so many.
        peers: Other people's files too.

    Raises:
        UserError: No row is of this task, runtime, device and threads.
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
            found.append(Miss(key, least, None, "", 1.0))
        elif figure < least:
            found.append(Miss(key, least, figure, "", 1 - figure / least))
    return found
