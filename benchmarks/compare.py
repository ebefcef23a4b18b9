"""Compare two runs: what got faster or slower beyond noise."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

from .results import Estimate, Measurement, Results

Verdict = Literal["faster", "slower", "not told apart"]


@dataclass(frozen=True)
class Change:
    """The change of one row that is in both runs.

    Attributes:
        before: The row in the first run.
        after: The row in the second run.
        ratio: First median over second: 2 if the second run takes half the time.
        verdict: Verdict from both intervals, corrected by the probe's speed in each run.
        moved: Change of accuracy in percentage points, by figure; only figures that changed and
            that both runs measured on the same labels.
    """

    before: Measurement
    after: Measurement
    ratio: float
    verdict: Verdict
    moved: dict[str, float]


def compare(first: Results, second: Results) -> list[Change]:
    """The changes of rows that are in both runs, in the order of the second.

    Args:
        first: The earlier run.
        second: The later run.
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
    """The probe's speed in the second run over that in the first, by "precision, threads"."""
    return {
        key: statistics.median(values) / statistics.median(first.probes[key])
        for key, values in second.probes.items()
        if values and first.probes.get(key)
    }


def _labels(results: Results, row: Measurement) -> str | None:
    return results.protocol.get(row.task)


def _change(before: Measurement, after: Measurement, *, speed: float, same_labels: bool) -> Change:
    """Compare two rows; `speed` is the machine's speed in the second run over the first."""
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
