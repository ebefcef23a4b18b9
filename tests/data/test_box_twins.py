"""The same box again, but for rounding."""

from __future__ import annotations

import time

import pytest

from pocketface.data.box_twins import twins
from pocketface.data.coco_boxes import Box

A, B = (10.4, 20.6, 40.2, 60.1), (50.0, 5.0, 70.0, 30.0)


@pytest.mark.parametrize(
    "again",
    [
        (10.404, 20.604, 40.204, 60.104),
        (10.0, 21.0, 40.0, 61.0),  # x, y, width and height rounded
        (10.4, 20.6, 40.7, 60.1),
    ],
)
def test_the_same_box_but_for_rounding(again: Box) -> None:
    assert twins([A, B, again]) == {2: 0}
    assert twins([again, B, A]) == {2: 0}
    assert twins([B, again, A, (*B[:3], 30.2)]) == {2: 1, 3: 0}


@pytest.mark.parametrize(
    ("box", "other"),
    [
        ((205.47, 114.06, 212.5, 124.22), (205.47, 114.06, 213.28, 123.44)),  # of WIDER FACE
        ((10, 10, 40, 40), (10, 10, 40, 41)),
        ((10, 10, 40, 40), (11, 10, 41, 40)),
        ((10, 10, 11, 11), (10.4, 10.4, 11.4, 11.4)),
        ((10, 10, 11, 11), (10.9, 10, 12, 11)),
    ],
)
def test_boxes_of_their_own(box: Box, other: Box) -> None:
    assert twins([box, other]) == twins([other, box]) == {}


def test_three_in_a_row() -> None:
    row: list[Box] = [(10 + 0.4 * step, 10, 40 + 0.4 * step, 40) for step in range(3)]
    assert twins(row) == {1: 0}
    assert twins([row[1], row[0], row[2]]) == {1: 0, 2: 0}
    assert twins([row[0], row[2], row[1]]) == {2: 0}


def test_many_boxes_in_one_column_take_no_time() -> None:
    start = time.perf_counter()
    assert twins([(0.0, 0.0, 10.0, 10.0 + place) for place in range(20_000)]) == {}
    assert time.perf_counter() - start < 5
