"""Intervals of TAR by people drawn with replacement."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.evaluation.verification import counted, tar_at_far
from pocketface.evaluation.verification_bootstrap import tar_intervals


def all_pairs_of(
    people: int, photos: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores of all pairs, of which some people's are low, and their people."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), photos)
    one, other = np.triu_indices(len(who), 1)
    pairs = np.stack([who[one], who[other]], axis=1)
    same = pairs[:, 0] == pairs[:, 1]
    easy = rng.uniform(0.2, 0.8, people)[pairs[:, 0]]
    scores = np.where(same, easy, 0) + rng.normal(0, 0.15, len(pairs))
    return scores.clip(-1, 1), pairs


def test_it_is_around_the_figure_and_as_wide_as_other_people_vary() -> None:
    figures = []
    for seed in range(40):
        scores, pairs = all_pairs_of(25, 4, seed)
        same = pairs[:, 0] == pairs[:, 1]
        figures.append(tar_at_far(counted(scores[same]), counted(scores[~same]), 0.01))
    (interval,) = tar_intervals(*all_pairs_of(25, 4, 0), [0.01], rounds=400)
    assert interval is not None
    low, high = interval
    assert figures[0] is not None
    assert low < figures[0] < high
    deviation = float(np.std(np.array(figures, float)))
    assert (high - low) / (2 * 1.96) == pytest.approx(deviation, rel=0.5)


def test_people_without_difference_leave_no_doubt() -> None:
    pairs = np.array([[0, 0], [1, 1], [2, 2], [0, 1], [0, 2], [1, 2]])
    scores = np.array([0.9, 0.9, 0.9, 0.1, 0.1, 0.1])
    assert tar_intervals(scores, pairs, [0.5], rounds=50) == [(1.0, 1.0)]
    # Ties are all refused.
    assert tar_intervals(np.full(6, 0.5), pairs, [0.5], rounds=50) == [(0.0, 0.0)]
    without = np.where(scores > 0.5, np.nan, scores)
    assert tar_intervals(without, pairs, [0.5], rounds=50) == [(0.0, 0.0)]


def test_a_person_counts_as_often_as_drawn() -> None:
    # Only person 0 is accepted: TAR is their share of three draws, a third in half of those that
    # have two people, and none or two thirds in a quarter each.
    pairs = np.array([[0, 0], [1, 1], [2, 2], [0, 1], [0, 2], [1, 2]])
    scores = np.array([0.9, 0.2, 0.2, 0.5, 0.5, 0.5])
    (interval,) = tar_intervals(scores, pairs, [0.5], rounds=500, share=0.3)
    assert interval == pytest.approx((1 / 3, 1 / 3))
    (whole,) = tar_intervals(scores, pairs, [0.5], rounds=500, share=1)
    assert whole == pytest.approx((0, 2 / 3))


@pytest.mark.parametrize(("far", "tar"), [(0.25, 0.0), (0.5, 0.5), (0.75, 1.0)])
def test_no_more_impostors_are_accepted_than_the_far_allows(far: float, tar: float) -> None:
    # Of two people every draw with impostor pairs is the whole.
    pairs = np.array([[0, 0], [1, 1], *[[0, 1]] * 4])
    scores = np.array([0.5, 0.3, 0.8, 0.6, 0.4, 0.2])
    assert tar_intervals(scores, pairs, [far], rounds=20) == [(tar, tar)]


def test_too_few_to_tell() -> None:
    pairs = np.array([[0, 0], [1, 1], [0, 1]])
    scores = np.array([0.9, 0.8, 0.1])
    assert tar_intervals(scores, pairs, [0.9], rounds=20) == [None]
    assert tar_intervals(scores[:2], pairs[:2], [0.5], rounds=20) == [None]
