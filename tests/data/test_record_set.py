"""The account of a set's records: what is said, and when it is too much."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pocketface.data.record_set import RecordSet, named
from pocketface.errors import DataError


@pytest.mark.parametrize(("kept", "lost", "fails"), [(0, 0, 0), (2, 2, 0), (2, 3, 1), (0, 1, 1)])
def test_more_than_half(kept: int, lost: int, fails: int) -> None:
    tally = RecordSet().tally(Path("a/b.csv"), "faces", "line {}")
    tally.kept = kept
    for place in range(lost):
        tally.lose("odd", place + 7)
    if fails:
        message = rf"a/b\.csv: {lost} of {kept + lost} faces cannot be used: {lost} x odd \(first: "
        with pytest.raises(DataError, match=message + r"line 7 of b\.csv\)"):
            tally.check()
    else:
        tally.check()


def test_what_is_said(caplog: pytest.LogCaptureFixture) -> None:
    records = RecordSet()
    one = records.tally(Path("one.json"), "images", "images[{}]")
    two = records.tally(Path("two.json"), "labels", "annotations[{}]")
    with caplog.at_level(logging.WARNING):
        records.report()
        assert not caplog.records
        two.lose("odd", 3)
        two.lose("odd", 4)
        one.lose("odd", 9)
        one.note("half", 1)
        two.mend("bent", 2)
        records.report()
    assert [record.getMessage() for record in caplog.records] == [
        "skipped 4 bad records: 3 x odd (first: images[9] of one.json); 1 x half (first: images[1] "
        "of one.json)",
        "mended 1 records: 1 x bent (first: annotations[2] of two.json)",
    ]


def test_names_are_shortened() -> None:
    assert named(["a", "b"]) == "a, b"
    assert named(list("abcdef")) == "a, b, c, d, e, ..."
    assert named(["x" * 1000]) == "x" * 80 + "..."
