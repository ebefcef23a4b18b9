"""Which validation samples a training's logs show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pocketface.training.pictures import _some


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (6, [1, 3, 5]), (32, [1, 5, 9, 13, 19, 23, 27, 31])],
)
def test_eight_are_spread_over_those_with_something_to_find(
    count: int, expected: list[int]
) -> None:
    task: Any = SimpleNamespace(samples=SimpleNamespace(can_be_lost=lambda one: one % 2 == 1))
    assert _some(task, range(count)) == expected
