"""Functions timed in turn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from pocketface.evaluation.latency import interleaved, speedup


def test_all_run_equally_often_and_first_in_turn() -> None:
    order: list[str] = []
    seconds = interleaved([lambda: order.append("a"), lambda: order.append("b")], rounds=4)
    assert [len(one) for one in seconds] == [4, 4]
    assert "".join(order) == "ababab" + "baabbaab"
    assert min(min(one) for one in seconds) >= 0


def test_a_ratio_that_noise_cannot_explain() -> None:
    fast = np.random.default_rng(0).normal(1.0, 0.02, 100)
    found = speedup(2 * fast, fast)
    assert found.median == pytest.approx(2)
    assert found.at_least == pytest.approx(2)


@pytest.mark.parametrize("count", [5, 9, 10, 29, 30, 200])
def test_the_bound_is_above_the_median_in_one_of_twenty_at_most(count: int) -> None:
    """It is where no more ratios than those before it are below the true median."""
    place = int(speedup(np.arange(1, count + 1), np.ones(count)).at_least) - 1
    wrong = [binom.cdf(one, count, 0.5) for one in (place, place + 1)]
    assert wrong[0] <= 0.05 < wrong[1]


def test_noise_alone_makes_nothing_faster() -> None:
    """Of equal ones, the bound lies above 1 in one of twenty at most."""
    random = np.random.default_rng(1)
    found = [speedup(*random.lognormal(0, 0.3, (2, 30))) for _ in range(1000)]
    assert sum(one.at_least > 1 for one in found) <= 70
    assert sum(one.median > 1 for one in found) > 400
    assert all(one.at_least <= one.median for one in found)
