"""How long model files take, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

_WARM_UP = 3


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
    for _ in range(rounds):
        for run, kept in zip(runs, seconds, strict=True):
            begun = time.perf_counter()
            run()
            kept.append(time.perf_counter() - begun)
    return seconds
