"""What trials of a model on labelled photos say about the way in which it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Sample = TypeVar("Sample")

USELESS = 0.05
"""Figure, 0 to 1, below which a model is called useless."""

FEW = 10
"""Samples below which nothing is called a mismatch: the bootstrap of few has hardly a spread, and
that of one has none."""

_LEVEL = 0.05
"""Chance of a false alarm, over all alternatives together (Bonferroni)."""


def verdict_of(
    best: float, gain: tuple[float, float, float] | None, *, margin: float, samples: int
) -> str:
    """Judge a model by its best trial.

    Args:
        best: The best trial's figure, 0 to 1.
        gain: That figure minus the declared way's, with its bounds; None if no way is declared.
        margin: Gain above which another way is reported if it is significant.
        samples: Number of photos that the figures are of.

    Returns:
        "as declared", "mismatch", "undecided" (another way is better, but not surely, or
        there are fewer than `FEW` samples), "undeclared" or "useless".
    """
    if best < USELESS:
        return "useless"
    if gain is None:
        return "undeclared"
    if gain[0] < margin:
        return "as declared"
    return "mismatch" if gain[1] > 0 and samples >= FEW else "undecided"


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a figure's bootstrap draws, (draws,)."""
    return _within(draws, 0.025)


def gain_bounds(
    best: NDArray[np.float64], declared: NDArray[np.float64], *, alternatives: int
) -> tuple[float, float]:
    """Bounds of what the best way gains, corrected for the number of alternatives.

    Args:
        best: Bootstrap draws of the best way's figure, (draws,).
        declared: The declared way's, from the same photos.
        alternatives: Number of ways beside the declared one.
    """
    return _within(best - declared, _LEVEL / alternatives)


def some_of(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """As many samples at most, spread evenly over all."""
    count = min(limit, len(samples))
    return [samples[place * len(samples) // count] for place in range(count)]


def _within(draws: NDArray[np.float64], risk: float) -> tuple[float, float]:
    """The quantiles that draws are below, and above, with a probability of `risk` each."""
    low, high = np.quantile(draws, (risk, 1 - risk)).tolist()
    return low, high
