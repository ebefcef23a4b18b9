"""A figure of accuracy, and what each stage makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Figures = dict[str, float | None]
"""By key; shares of 1 where the unit is "%". None: nothing to measure it on."""


@dataclass(frozen=True)
class Figure:
    """One figure of a task.

    Attributes:
        key: In metrics, logs and results.
        title: For people.
        unit: "%" for a share of 1.
        column: Head of its column in a benchmark's tables; None where it is in none.
        chart: What it is called on the axis of a benchmark's chart; of a task's figures the first
            one that has such a name, and was measured, is drawn. None where it is never drawn.
        budget: Flag of `select`, without its dashes, that asks for a least value.
        decisive: The one by which training keeps the best epoch, and compression its promise.
        may_drop: Times the points that compression may lose; None where nothing is promised.
        compared: It stands in the report of a compression.
        followed: It is logged at each validation of a training.
    """

    key: str
    title: str
    unit: str = "%"
    column: str | None = None
    chart: str | None = None
    budget: str | None = None
    decisive: bool = False
    may_drop: float | None = None
    compared: bool = False
    followed: bool = False

    @property
    def name(self) -> str:
        """In short, for a line of a log."""
        return self.column or self.title


def decisive(figures: Sequence[Figure]) -> Figure:
    """The one that decides."""
    (found,) = (figure for figure in figures if figure.decisive)
    return found
