"""From a score to the probability that two faces are one person's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .verification import BINS, LOWEST, STEP, Counts

_ROUNDS = 100
_CLOSE = 1e-10
"""Newton's method ends where a step lowers the loss by less; it is at most 0.7 at the start."""


@dataclass(frozen=True)
class Calibration:
    """P(same person) = 1 / (1 + exp(-(slope * cosine + offset))), where both are as likely before.

    Attributes:
        slope: Above 0, so that a higher score is never less likely.
        offset: What is added.
    """

    slope: float
    offset: float

    def probability(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """The probability of each score, 0 to 1."""
        return _logistic(self.slope * np.asarray(scores, np.float64) + self.offset)


def calibrate(genuine: Counts, impostor: Counts) -> Calibration:
    """Fit a `Calibration` by maximum likelihood, each kind of pair having half of the weight.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with its targets, which keep
    the slope finite where no score is of both kinds; Newton's method with halved steps as Lin, Lin
    and Weng, "A Note on Platt's Probabilistic Outputs", 2007.

    Args:
        genuine: Scores of genuine pairs.
        impostor: Scores of impostor pairs.

    Raises:
        DataError: There are no pairs of a kind, or genuine pairs do not score higher.
    """
    totals = [int(some.sum()) for some in (genuine, impostor)]
    if not min(totals):
        raise DataError(
            f"{totals[0]} pairs of one person and {totals[1]} of two: expected some of both"
        )
    there = np.flatnonzero(genuine + impostor)
    scores = LOWEST + there * STEP + STEP / 2 * (there < BINS - 1)
    same, others = genuine[there] / (2 * totals[0]), impostor[there] / (2 * totals[1])
    # Platt's targets: of each kind, as if one pair more of either kind had been seen.
    likely, unlikely = (totals[0] + 1) / (totals[0] + 2), 1 / (totals[1] + 2)
    yes = same * likely + others * unlikely
    no = same * (1 - likely) + others * (1 - unlikely)
    both = yes + no
    design = np.stack([scores, np.ones_like(scores)])

    def loss(found: NDArray[np.float64]) -> float:
        margin = found @ design
        return float(yes @ np.logaddexp(0, -margin) + no @ np.logaddexp(0, margin))

    found = np.zeros(2)
    now = loss(found)
    for _ in range(_ROUNDS):
        chance = _logistic(found @ design)
        gradient = design @ (both * chance - yes)
        hessian = (design * (both * chance * (1 - chance))) @ design.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        length = 1.0
        while (then := loss(found - length * step)) > now and length > 1e-10:
            length /= 2
        if then > now - _CLOSE:
            break
        found, now = found - length * step, then
    # The targets alone give a slope where all scores are equal.
    if not (same @ scores > others @ scores and found[0] > 0):
        raise DataError("pairs of one person do not score higher than pairs of two")
    return Calibration(float(found[0]), float(found[1]))


def _logistic(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -margin)))
