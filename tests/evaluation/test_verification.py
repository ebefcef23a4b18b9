"""Figures of verification: hand-computed, and beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from pocketface.errors import DataError
from pocketface.evaluation import verification
from pocketface.evaluation.verification import (
    STEP,
    all_pairs,
    best_threshold,
    counted,
    equal_error_rate,
    fold_accuracy,
    roc_auc,
    similarities,
    tar_at_far,
    threshold_at,
)

Floats = NDArray[np.float64]


def scores_of(*values: float) -> NDArray[np.int64]:
    return counted(np.array(values))


@pytest.fixture
def many() -> tuple[Floats, Floats]:
    """Genuine and impostor scores that overlap, and have ties."""
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(0.5, 0.15, 3000), rng.normal(0.1, 0.15, 20000)
    # On the grid, so that scikit-learn sees the same ties.
    return tuple(np.floor(some.clip(-1, 1) * 64) / 64 for some in (genuine, impostor))  # type: ignore[return-value]


def unit(rows: Floats) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_similarities() -> None:
    rows = np.array([[1, 0], [0.6, 0.8], [np.nan, np.nan]], np.float32)
    found = similarities(rows, np.array([[0, 1, 7], [1, 1, 7], [0, 2, 7]]))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [0.6, 1, np.nan], atol=1e-7)


def test_all_pairs_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_BLOCK", 7)
    rng = np.random.default_rng(1)
    rows, people = unit(rng.normal(size=(40, 8))), rng.integers(-1, 6, 40)
    rows[3] = np.nan
    genuine, impostor = all_pairs(rows, people)
    for counts, same in ((genuine, True), (impostor, False)):
        pairs = [
            (one, other)
            for one in range(40)
            for other in range(one + 1, 40)
            if min(people[[one, other]]) >= 0 and (people[one] == people[other]) == same
        ]
        expected = counted(similarities(rows, np.array(pairs)))
        assert counts.sum() == len(pairs)
        # float32 may round a score to the neighbouring bin.
        assert np.abs(np.cumsum(counts) - np.cumsum(expected)).max() <= 1


@pytest.mark.parametrize(
    ("far", "threshold", "tar"),
    [
        (0.1, 0.75 + STEP, 0.5),  # 1 of 10: the tie at 0.75 would be 3
        (0.29, 0.75 + STEP, 0.5),
        (0.3, 0.5 + STEP, 0.75),
        (1.0, -1.0, 1.0),
        (0.09, None, None),
    ],
)
def test_tar_at_far(far: float, threshold: float | None, tar: float | None) -> None:
    genuine = scores_of(0.5, 0.75, 0.875, 1.0)
    impostor = scores_of(0.875, 0.75, 0.75, 0.5, *np.linspace(-0.5, 0.25, 6))
    assert threshold_at(impostor, far) == threshold
    assert tar_at_far(genuine, impostor, far) == tar


def test_a_threshold_above_all_impostors() -> None:
    assert threshold_at(scores_of(*[1.0] * 10), 0.1) == 1 + STEP
    assert tar_at_far(scores_of(1.0), scores_of(*[1.0] * 10), 0.1) == 0


def test_a_pair_without_a_face_is_refused() -> None:
    assert tar_at_far(scores_of(1, np.nan), scores_of(0, 0), 0.5) == 0.5
    assert threshold_at(scores_of(np.nan, 0.5), 0.5) == STEP - 1


def test_nothing_to_measure() -> None:
    none, some = scores_of(), scores_of(0.5)
    assert tar_at_far(none, some, 1) is None
    assert equal_error_rate(some, none) is None
    assert roc_auc(none, some) is None


def test_as_scikit_learn_has_it(many: tuple[Floats, Floats]) -> None:
    genuine, impostor = many
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    scores = np.concatenate(many)
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    counts = counted(genuine), counted(impostor)
    for far in (1e-1, 1e-2, 1e-3):
        assert tar_at_far(*counts, far) == pytest.approx(true[false <= far].max(), abs=1e-12)
    assert tar_at_far(*counts, 1e-5) is None
    assert roc_auc(*counts) == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    equal = equal_error_rate(*counts)
    assert equal is not None
    grid = np.linspace(0, 1, 1_000_001)
    expected = grid[np.argmin(np.abs(1 - np.interp(grid, false, true) - grid))]
    assert equal == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    ("genuine", "impostor", "rate"),
    [
        ([0.5, 0.75], [0.0, 0.25], 0.0),
        ([0.0, 0.25], [0.5, 0.75], 1.0),
        ([0.0, 0.5, 0.5, 0.5], [0.25, -0.5, -0.5, -0.5], 0.25),
        ([0.5], [0.5], 0.5),
    ],
)
def test_equal_error_rate(genuine: list[float], impostor: list[float], rate: float) -> None:
    assert equal_error_rate(scores_of(*genuine), scores_of(*impostor)) == rate


def test_the_threshold_is_of_the_other_folds() -> None:
    # Fold 1 alone is right with 0.7, 2 and 3 with 0.4: each is judged by what the others want.
    scores = np.array([0.8, 0.6, 0.5, 0.6, 0.3, 0.2, 0.5, 0.3, 0.1])
    same = np.array([1, 0, 0, 1, 0, 0, 1, 0, 0], bool)
    found = fold_accuracy(scores, same, np.repeat([1, 2, 3], 3))
    assert found.folds == pytest.approx((1 / 3, 2 / 3, 2 / 3))
    assert found.thresholds == pytest.approx((0.4, 0.7, 0.7))
    assert found.mean == pytest.approx(5 / 9)
    assert found.error == pytest.approx(1 / 9)  # deviation of the folds sqrt(1 / 27), by sqrt(3)


def test_pairs_without_an_answer_are_wrong() -> None:
    scores = np.array([0.9, np.nan, 0.1, np.nan, 0.9, 0.8, 0.1, 0.2])
    same = np.array([1, 1, 0, 0, 1, 1, 0, 0], bool)
    assert fold_accuracy(scores, same, np.repeat([1, 2], 4)).folds == (0.5, 1.0)


def test_one_fold_is_none() -> None:
    with pytest.raises(DataError, match="pairs of 1 folds: expected two or more"):
        fold_accuracy(np.array([0.5]), np.array([True]), np.array([1]))


@pytest.mark.parametrize(
    ("scores", "same", "threshold"),
    [
        ([0.0, 1.0], [False, True], 0.5),
        ([0.0, 0.5, 1.0], [False, False, False], 1.0 + STEP),
        ([0.5, 0.5], [True, True], 0.5),
        ([0.0, 0.25, 0.75], [False, True, True], 0.125),
        ([0.5, 0.5, 0.5], [True, True, False], 0.5),  # a tie is accepted or refused as one
    ],
)
def test_best_threshold(scores: list[float], same: list[bool], threshold: float) -> None:
    assert best_threshold(np.array(scores), np.array(same)) == threshold
