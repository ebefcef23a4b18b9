"""Figures of accuracy, and how each command uses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Figures = dict[str, float | None]
"""Figures by key; 0 to 1 if the unit is "%". None if there is nothing to measure."""


@dataclass(frozen=True)
class Figure:
    """One figure of a task.

    Attributes:
        key: Key in metrics, logs and results.
        title: Name for people.
        unit: Unit; "%" for values from 0 to 1.
        column: Heading of its column in a benchmark's tables; None if it has no column.
        chart: Axis title in a benchmark's chart, which draws the first measured figure that has
            one; None if it is never drawn.
        budget: Flag of `select`, without its dashes, that sets a minimum; None if there is none.
        decisive: Whether training keeps the best epoch, and compression its promise, by it.
        may_drop: Factor on the points that compression may lose; None if nothing is promised.
        compared: Whether it is in the report of a compression.
        followed: Whether each validation of a training logs it.
        needs: What photos must show for it to be measured, in words.
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
    needs: str = "more labelled faces"

    @property
    def name(self) -> str:
        """Short name for a log line."""
        return self.column or self.title


def decisive(figures: Sequence[Figure]) -> Figure:
    """The decisive figure."""
    (found,) = (figure for figure in figures if figure.decisive)
    return found
