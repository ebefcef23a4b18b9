"""From scores to probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pocketface.errors import DataError
from pocketface.evaluation.verification import STEP, counted
from pocketface.evaluation.verification_calibration import calibrate


def test_as_scikit_learn_has_it() -> None:
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(0.5, 0.1, 400), rng.normal(0.2, 0.15, 30000)
    found = calibrate(counted(genuine), counted(impostor))
    # Platt's targets as weights of both answers, and equal weights of both kinds.
    likely, unlikely = 401 / 402, 1 / 30002
    scores = np.r_[genuine, genuine, impostor, impostor][:, None]
    labels = np.repeat([1, 0, 1, 0], [400, 400, 30000, 30000])
    weights = np.repeat(
        [likely / 400, (1 - likely) / 400, unlikely / 30000, (1 - unlikely) / 30000],
        [400, 400, 30000, 30000],
    )
    model = LogisticRegression(C=1e12, tol=1e-10, max_iter=10000)
    model.fit(scores, labels, sample_weight=weights * 1e4)
    assert found.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert found.offset == pytest.approx(model.intercept_[0], rel=1e-3)


def test_kinds_have_equal_weight_however_many_there_are() -> None:
    few = calibrate(counted(np.full(100, 0.5)), counted(np.full(100, 0.0)))
    many = calibrate(counted(np.full(100, 0.5)), counted(np.full(10000, 0.0)))
    for found in (few, many):
        assert found.probability(np.array([0.5, 0.0])) == pytest.approx([0.99, 0.01], abs=0.011)
    middle = -few.offset / few.slope
    assert middle == pytest.approx(0.25 + STEP / 2, abs=1e-6)


def test_a_higher_score_is_never_less_likely() -> None:
    found = calibrate(counted(np.array([0.2, 0.6])), counted(np.array([0.5, 0.1, -0.2])))
    grid = np.linspace(-1, 1, 101)
    assert (np.diff(found.probability(grid)) > 0).all()
    assert found.probability(np.array([-1e6, 1e6])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("genuine", "impostor", "message"),
    [
        ([], [0.5], "0 pairs of one person and 1 of two: expected some of both"),
        ([0.5], [], "1 pairs of one person and 0 of two: expected some of both"),
        ([0.1], [0.5], "pairs of one person do not score higher than pairs of two"),
        ([0.5] * 9, [0.5] * 9, "do not score higher"),
        ([0.5] * 90, [0.5] * 9, "do not score higher"),
    ],
)
def test_what_tells_nothing(genuine: list[float], impostor: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        calibrate(counted(np.array(genuine)), counted(np.array(impostor)))
