"""Two runs side by side: what got faster or slower beyond noise."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

from .results import Estimate, Measurement, Results

Verdict = Literal["faster", "slower", "not told apart"]


@dataclass(frozen=True)
class Change:
    """Of one row that is in both runs.

    Attributes:
        before: In the first.
        after: In the second.
        ratio: Of the medians: 2 where the second takes half the time.
        verdict: By the intervals of both, at the speed that the probe had in each run.
        moved: Accuracy that is not the same, in points, by figure; where both runs measured it on
            the same labels.
    """

    before: Measurement
    after: Measurement
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
    speeds = probe_ratios(first, second)
    return [
        _change(
            before[row.key],
            row,
            speed=speeds.get(f"fp32, {row.threads}", 1.0) if row.device == "cpu" else 1.0,
            same_labels=_labels(first, row) == _labels(second, row),
        )
        for row in second.rows
        if row.key in before
    ]


def probe_ratios(first: Results, second: Results) -> dict[str, float]:
    """How many times as fast the probe was in the second run, by "precision, threads"."""
    return {
        key: statistics.median(values) / statistics.median(first.probes[key])
        for key, values in second.probes.items()
        if values and first.probes.get(key)
    }


def _labels(results: Results, row: Measurement) -> str | None:
    return results.protocol.get(row.task)


def _change(before: Measurement, after: Measurement, *, speed: float, same_labels: bool) -> Change:
    """`speed`: of the machine in the second run, in the first one's."""
    ms = after.ms
    then = Estimate(value=ms.value * speed, low=ms.low * speed, high=ms.high * speed)
    verdict: Verdict = "not told apart"
    if then.surely_below(before.ms):
        verdict = "faster"
    elif before.ms.surely_below(then):
        verdict = "slower"
    moved = {}
    for key, value in after.figures.items() if same_labels else ():
        old = before.figures.get(key)
        if old is not None and value is not None and abs(value - old) >= 5e-5:
            moved[key] = 100 * (value - old)
    return Change(before, after, before.ms.value / ms.value, verdict, moved)
