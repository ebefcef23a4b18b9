"""Work done ahead in threads: in order, and no further ahead than asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pocketface.data.read_ahead import read_ahead
from pocketface.errors import ImageError


def half(number: int) -> float:
    if number == 3:
        raise ImageError("three")
    if number == 6:
        raise ZeroDivisionError("six")
    return number / 2


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (3, 5)])
def test_items_are_taken_no_further_than_ahead(threads: int, ahead: int) -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        for _ in range(20):
            taken += 1
            yield 2

    for count, result in enumerate(read_ahead(half, numbers(), threads=threads, ahead=ahead), 1):
        assert result == 1
        assert taken == min(count + ahead, 20)


def test_errors_come_at_their_turn() -> None:
    found = read_ahead(half, range(9), threads=4, ahead=9)
    first = [next(found) for _ in range(6)]
    assert [str(one) for one in first] == ["0.0", "0.5", "1.0", "three", "2.0", "2.5"]
    assert isinstance(first[3], ImageError)
    with pytest.raises(ZeroDivisionError):
        next(found)
