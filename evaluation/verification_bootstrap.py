"""How sure the figures of verification are: people drawn with replacement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]


def tar_intervals(
    scores: NDArray[np.floating],
    people: NDArray[np.integer],
    fars: Sequence[float],
    *,
    rounds: int = 1000,
    share: float = 0.95,
    seed: int = 0,
) -> list[Interval | None]:
    """Intervals of TAR at each FAR, by people drawn with replacement.

    People are drawn, and not pairs, as all pairs of a person hang together. A pair counts as often
    as its people are drawn: a genuine one as often as its person, an impostor one that number times
    the other's (Bolle, Ratha, Pankanti, "Error analysis of pattern recognition systems: the subsets
    bootstrap", 2004; Efron's percentiles). The threshold is found anew in each draw.

    Args:
        scores: Scores (P,); NaN without an answer, which is refused.
        people: Persons of both photos of each pair, (P, 2), by any numbers.
        fars: Shares of impostor pairs accepted, above 0 and below 1.
        rounds: Number of draws.
        share: Share of the draws within the interval.
        seed: Seed of the draws.

    Returns:
        For each FAR the ends of the interval; None where the impostor pairs are too few, as in
        `verification.threshold_at`, or there are no genuine ones.
    """
    numbers, index = np.unique(people, return_inverse=True)
    one, other = index.reshape(-1, 2).T
    filled = np.nan_to_num(np.asarray(scores, np.float64), nan=-np.inf)
    genuine, order = one == other, np.argsort(-filled, kind="stable")
    of_one = order[genuine[order]]
    of_two = order[~genuine[order]]
    # For each impostor pair the number of genuine ones that score higher.
    better = np.searchsorted(-filled[of_one], -filled[of_two], side="left")
    rng = np.random.default_rng(seed)
    found: list[list[float]] = [[] for _ in fars]
    for _ in range(rounds):
        times = np.bincount(rng.integers(len(numbers), size=len(numbers)), minlength=len(numbers))
        first = np.concatenate([[0], np.cumsum(times[one[of_one]])])
        second = np.cumsum(times[one[of_two]] * times[other[of_two]])
        if not first[-1] or not len(second) or not second[-1]:
            continue
        for place, far in enumerate(fars):
            # The best impostor pair that may not be accepted: only what scores higher may.
            refused = int(np.argmax(second > far * second[-1] + 1e-9))
            found[place].append(float(first[better[refused]] / first[-1]))
    return [
        _interval(some, share) if some and len(of_two) * far + 1e-9 >= 1 else None
        for far, some in zip(fars, found, strict=True)
    ]


def _interval(values: Sequence[float], share: float) -> Interval:
    low, high = np.percentile(values, (50 * (1 - share), 50 * (1 + share)))
    return float(low), float(high)
