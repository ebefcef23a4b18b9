"""What trials say, and on which samples they are made."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.apps.verdict import gain_bounds, interval, some_of, verdict_of


@pytest.mark.parametrize(
    ("best", "gain", "verdict"),
    [
        (0.9, (0.0, -0.02, 0.01), "as declared"),
        (0.9, (0.009, 1e-4, 0.02), "as declared"),
        (0.9, (0.02, -1e-4, 0.04), "undecided"),
        (0.9, (0.02, 1e-4, 0.04), "mismatch"),
        (0.9, None, "undeclared"),
        (0.04, (0.03, 0.02, 0.04), "useless"),
        (0.04, None, "useless"),
    ],
)
def test_verdicts(best: float, gain: tuple[float, float, float] | None, verdict: str) -> None:
    assert verdict_of(best, gain, margin=0.01, samples=10) == verdict
    few = "undecided" if verdict == "mismatch" else verdict
    assert verdict_of(best, gain, margin=0.01, samples=9) == few


def test_bounds_grow_with_the_number_of_alternatives() -> None:
    draws = np.random.default_rng(0).permutation(np.linspace(0, 1, 2001))
    assert interval(draws) == pytest.approx((0.025, 0.975))
    for alternatives, risk in ((1, 0.05), (10, 0.005)):
        found = gain_bounds(draws + 2, np.full(2001, 0.5), alternatives=alternatives)
        assert found == pytest.approx((1.5 + risk, 2.5 - risk))


@pytest.mark.parametrize(
    ("limit", "expected"), [(3, [0, 3, 6]), (9, [*range(9)]), (50, [*range(9)]), (1, [0])]
)
def test_some_are_spread_over_all(limit: int, expected: list[int]) -> None:
    assert some_of(range(9), limit) == expected
