"""False matches by group."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.evaluation.verification_groups import GroupMatches, differential, false_matches


def test_by_hand() -> None:
    angles = np.radians([0, 10, 90, 95, 200, 0, 180])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    people = np.array([0, 1, 2, 2, 3, -1, -1])
    found = false_matches(
        rows, people, ["a", "a", "a", "a", "a", "b", "b"], threshold=np.cos(np.radians(20))
    )
    # Of a's ten pairs, one is of one person; only 0 and 10 degrees are close.
    assert found == [GroupMatches("a", 5, 9, 1), GroupMatches("b", 2, 1, 0)]
    assert found[0].fmr == pytest.approx(1 / 9)
    assert found[1].fmr == 0
    (one,) = false_matches(rows[:2], people[:2], [None, "a"], threshold=0.5)
    assert (one.pairs, one.fmr) == (0, None)


def test_unknown_people_are_strangers_to_each_other() -> None:
    rows = np.ones((3, 1), np.float32)
    (one,) = false_matches(rows, np.array([-1, -1, 0]), ["a"] * 3, threshold=1)
    assert (one.pairs, one.matched) == (3, 3)


@pytest.mark.parametrize(
    ("groups", "ratio"),
    [
        ([(100, 2), (200, 1), (0, 0)], 4),
        ([(100, 2)], None),
        ([(100, 2), (100, 0)], None),
    ],
)
def test_differential(groups: list[tuple[int, int]], ratio: float | None) -> None:
    assert differential([GroupMatches("a", 9, *each) for each in groups]) == ratio
