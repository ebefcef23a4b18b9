"""Two runs side by side: what got faster or slower beyond noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .results import Results, Row

Verdict = Literal["faster", "slower", "not told apart"]


@dataclass(frozen=True)
class Change:
    """Of one row that is in both runs.

    Attributes:
        before: In the first.
        after: In the second.
        ratio: Of the medians: 2 where the second takes half the time.
        verdict: By the intervals of both.
        moved: Accuracy that is not the same, in points, by figure.
    """

    before: Row
    after: Row
    ratio: float
    verdict: Verdict
    moved: dict[str, float]


def compare(first: Results, second: Results) -> list[Change]:
    """Rows that are in both runs, in the order of the second.

    Args:
        first: Before.
        second: After.
    """
    before = {row.key: row for row in first.rows}
    return [_change(before[row.key], row) for row in second.rows if row.key in before]


def _change(before: Row, after: Row) -> Change:
    verdict: Verdict = "not told apart"
    if after.ms.surely_below(before.ms):
        verdict = "faster"
    elif before.ms.surely_below(after.ms):
        verdict = "slower"
    moved = {}
    for key, value in after.figures.items():
        old = before.figures.get(key)
        if old is not None and value is not None and abs(value - old) >= 5e-5:
            moved[key] = 100 * (value - old)
    return Change(before, after, before.ms.value / after.ms.value, verdict, moved)
