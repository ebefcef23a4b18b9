"""Who is it, among people in a gallery?"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from pocketface.errors import DataError
from pocketface.evaluation import identification
from pocketface.evaluation.identification import open_set, rank_one


def at(*degrees: float) -> NDArray[np.float32]:
    """Unit vectors by their angle; NaN stays NaN."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_rank_one_by_hand() -> None:
    # 0: their photos are next to each other; 1: one of two lies closer to 0's; 2 has one photo.
    rows = at(0, 10, 25, 90, 180)
    people = np.array([0, 0, 1, 1, 2])
    assert rank_one(rows, people) == 0.75
    assert rank_one(rows, np.array([0, 1, 2, 3, 4])) is None
    # An unknown person's photo is looked among, not for.
    assert rank_one(at(0, 20, 8), np.array([0, 0, -1])) == 0
    assert rank_one(at(0, 20, 180), np.array([0, 0, -1])) == 1
    assert rank_one(at(0, 180, np.nan, 0), np.array([0, -1, 0, 0])) == pytest.approx(2 / 3)
    assert rank_one(at(0, 0, 0), np.array([0, 0, 1])) == 0  # a tie is wrong


def test_rank_one_as_scikit_learn_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identification, "_BLOCK", 16)
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 5)
    rows = rng.normal(size=(20, 6))[people] + rng.normal(0, 0.7, (100, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = KNeighborsClassifier(2, metric="cosine", algorithm="brute").fit(rows, people)
    second = nearest.kneighbors(rows, return_distance=False)[:, 1]
    expected = float((people[second] == people).mean())
    assert 0.2 < expected < 0.98
    assert rank_one(rows, people) == pytest.approx(expected)


def test_open_set_by_hand() -> None:
    # Two people with three photos each, close together; whoever is the stranger scores cos 90.
    rows = at(0, 0, 0, 90, 90, 90)
    found = open_set(rows, np.array([5, 5, 5, 7, 7, 7]), [0.5, 0.1])
    assert (found.people, found.known, found.strangers) == (1, 2, 3)
    assert found.rate == (1.0, None)
    assert found.thresholds[1] is None
    assert found.thresholds[0] == pytest.approx(0, abs=1e-6)


def test_strangers_that_score_as_high_hide_all() -> None:
    found = open_set(at(0, 0, 0, 0, 0, 0), np.array([0, 0, 0, 1, 1, 1]), [0.5, 1.0])
    assert found.rate == (0.0, 1.0)


def test_a_high_score_of_the_wrong_person_is_not_found() -> None:
    # Photos of a person are opposite each other, so that anybody else's is closer.
    rows = at(0, 180, 30, 210, 60, 240, 90, 270)
    found = open_set(rows, np.repeat(np.arange(4), 2), [1.0])
    assert (found.people, found.known, found.strangers) == (2, 2, 4)
    assert found.rate == (0.0,)


def test_more_photos_in_the_gallery_help() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(60), 6)
    rows = rng.normal(size=(60, 16))[people] + rng.normal(0, 0.9, (360, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    one, three = (open_set(rows, people, [0.1, 0.01], gallery=size) for size in (1, 3))
    assert (one.known, three.known) == (150, 90)
    for few, many in zip(one.rate, three.rate, strict=True):
        assert few is not None
        assert many is not None
        assert many > few + 0.05
    assert one.rate[0] > one.rate[1]  # type: ignore[operator]
    assert open_set(rows, people, [0.1]) == open_set(rows, people, [0.1])
    assert open_set(rows, people, [0.1]) != open_set(rows, people, [0.1], seed=1)


def test_photos_without_a_face_are_not_found() -> None:
    rows = at(0, 0, np.nan, 90, 90, np.nan)
    people = np.array([0, 0, 0, 1, 1, 1])
    rates = {open_set(rows, people, [1.0], seed=seed).rate[0] for seed in range(12)}
    assert rates == {0.0, 0.5}  # without a face is the gallery's photo, or one of two probes


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([0, 0, 0], "1 people, 1 of them with more than 1 photos"),
        ([0, 1, 2], "3 people, 0 of them with more than 1 photos"),
    ],
)
def test_too_few_people(people: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_set(at(0, 1, 2), np.array(people), [0.1])
