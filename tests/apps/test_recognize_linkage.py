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
