"""Photos that stand for all are from all of them."""

from __future__ import annotations

import itertools

import pytest

from pocketface.tools.deface_finds import spread

ITEMS = list(range(500))


@pytest.mark.parametrize("count", [1, 100, 250])
def test_every_nth_where_there_is_one(count: int) -> None:
    assert spread(ITEMS, count) == ITEMS[:: 500 // count]


def test_the_last_part_is_not_left_out() -> None:
    some = spread(ITEMS, 200)
    assert len(set(some)) == 200
    assert {later - one for one, later in itertools.pairwise(some)} == {2, 3}
    assert some[-1] == 497


@pytest.mark.parametrize("count", [None, 500, 501])
def test_all(count: int | None) -> None:
    assert spread(ITEMS, count) == ITEMS
