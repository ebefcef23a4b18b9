"""Compare the latency of functions that run in turn."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

_WARM_UP = 3


class Speedup(NamedTuple):
    """How many times as fast one function is as another.

    Attributes:
        median: Median of the ratios of paired runs.
        at_least: Lower bound of the true median with 95 % confidence, by order statistics; of
            fewer than five runs the least ratio.
    """

    median: float
    at_least: float


def interleaved(runs: Sequence[Callable[[], object]], *, rounds: int = 30) -> list[list[float]]:
    """Time functions in turn, so that a machine that is busy for a while slows all alike.

    Args:
        runs: The functions to time.
        rounds: Number of runs of each function.

    Returns:
        For each function, the seconds of each run.
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
    """Speedup of `fast` over `slow`, from the seconds that `interleaved` gives."""
    ratios = sorted(one / other for one, other in zip(slow, fast, strict=True))
    count = len(ratios)
    # Each ratio is as likely below the true median as above it.
    below = itertools.accumulate(math.comb(count, one) for one in range(count))
    rank = sum(20 * ways <= 2**count for ways in below) - 1
    return Speedup(statistics.median(ratios), ratios[max(0, rank)])
