"""Groups of faces: the same as scipy's average linkage makes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.apps.recognize_linkage import average_linkage


def faces(count: int, people: int, size: int, noise: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(people, size))[rng.integers(0, people, count)]
    rows += noise * rng.normal(size=rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("count", "people", "size", "noise", "threshold"),
    [
        (300, 40, 8, 0.5, 0.6),
        (400, 60, 16, 0.6, 0.5),
        (300, 5, 4, 0.9, 0.3),
        (200, 200, 3, 1.0, 0.8),
        (50, 5, 8, 0.5, -1.0),
        (50, 5, 8, 0.5, 1.1),
    ],
)
def test_groups_are_those_of_scipy(
    count: int, people: int, size: int, noise: float, threshold: float
) -> None:
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy", reason="needs scipy")
    rows = faces(count, people, size, noise)
    tree = hierarchy.linkage(rows.astype(np.float64), "average", metric="cosine")
    expected = hierarchy.fcluster(tree, 1 - threshold, "distance")
    found = average_linkage(rows, threshold)
    np.testing.assert_array_equal(
        found[:, None] == found, expected[:, None] == expected, strict=True
    )
    sizes = np.bincount(found)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)


def test_the_same_photo_many_times_is_one_group() -> None:
    row = faces(1, 1, 8, 0)
    assert average_linkage(np.repeat(row, 200, axis=0), 0.99).tolist() == [0] * 200


def test_nobody_and_one() -> None:
    assert average_linkage(np.empty((0, 8), np.float32), 0.5).tolist() == []
    assert average_linkage(faces(1, 1, 8, 0), 0.5).tolist() == [0]


def test_faces_of_one_photo_are_together_only_if_they_are_much_alike() -> None:
    turns = np.radians([0, 55, 27.5, 8])
    rows = np.stack([np.cos(turns), np.sin(turns)], 1).astype(np.float32)
    near, apart = rows[:2], rows[[0, 3]]
    assert average_linkage(near, 0.5).tolist() == [0, 0]
    assert average_linkage(near, 0.5, photo_of=[7, 8]).tolist() == [0, 0]
    assert average_linkage(near, 0.5, photo_of=[7, 7]).tolist() == [0, 1]
    assert average_linkage(apart, 0.5, photo_of=[7, 7]).tolist() == [0, 0]  # a mirror
    # The face of another photo goes to one of them, and does not bring both together.
    assert average_linkage(rows[:3], 0.5).tolist() == [0, 0, 0]
    assert sorted(average_linkage(rows[:3], 0.5, photo_of=[7, 7, 8]).tolist()) == [0, 0, 1]


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("photos", [30, 150, 400])
def test_groups_are_those_of_merging_the_nearest_first(photos: int, threshold: float) -> None:
    rows = faces(200, 30, 8, 0.5)
    photo_of = np.random.default_rng(1).integers(0, photos, len(rows))
    groups = [[row] for row in range(len(rows))]
    while True:
        means = np.array([rows[group].astype(np.float64).mean(0) for group in groups])
        cosines = means @ means.T
        seen = [set(photo_of[group]) for group in groups]
        shared = [[bool(one & other) for other in seen] for one in seen]
        cosines -= np.array(shared) * (1 - threshold) / 2
        cosines[np.tril_indices(len(groups))] = -np.inf
        one, other = np.unravel_index(cosines.argmax(), cosines.shape)
        if cosines[one, other] < threshold:
            break
        groups[one] += groups.pop(int(other))
    found = average_linkage(rows, threshold, photo_of=photo_of)
    assert {frozenset(np.flatnonzero(found == label)) for label in set(found)} == {
        frozenset(group) for group in groups
    }
