"""How long model files take, side by side."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

_WARM_UP = 3
_SURELY = 1.645
"""Standard deviations of a normal distribution below which 95 % lie."""


class Speedup(NamedTuple):
    """How many times as fast one is as another.

    Attributes:
        median: Of the ratios of runs in turn.
        at_least: With 95 % confidence, the median of many more: by its order statistics.
    """

    median: float
    at_least: float


def interleaved(runs: Sequence[Callable[[], object]], *, rounds: int = 30) -> list[list[float]]:
    """Time some functions in turn: a machine that is busy for a while slows them all alike.

    Args:
        runs: Each does the same work in its own way.
        rounds: Of all of them.

    Returns:
        Seconds of each run, by function.
    """
    for run in [*runs] * _WARM_UP:
        run()
    seconds: list[list[float]] = [[] for _ in runs]
    for index in range(rounds):
        turn = list(zip(runs, seconds, strict=True))
        for run, kept in turn if index % 2 else reversed(turn):
            begun = time.perf_counter()
            run()
            kept.append(time.perf_counter() - begun)
    return seconds


def speedup(slow: Sequence[float], fast: Sequence[float]) -> Speedup:
    """Of two functions' seconds, as `interleaved` gives them."""
    ratios = sorted(one / other for one, other in zip(slow, fast, strict=True))
    count = len(ratios)
    rank = math.floor(count / 2 - _SURELY * math.sqrt(count) / 2)
    return Speedup(statistics.median(ratios), ratios[max(0, rank)])
