"""The smallest file within a budget, or what would have to give."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pocketface.benchmarks.results import Measurement
from pocketface.benchmarks.select import LIMITS, budgets, select
from pocketface.errors import UserError

MakeRow = Callable[..., Measurement]


@pytest.fixture
def rows(make_row: MakeRow) -> list[Measurement]:
    return [
        make_row("large", ms=5.0, bytes=4_000_000, figures={"wider_medium": 0.9}),
        make_row("small", ms=9.0, bytes=1_000_000, figures={"wider_medium": 0.8}),
        make_row("small", ms=30.0, runtime="torch", bytes=1_000_000, figures={"wider_medium": 0.8}),
        make_row("middle", ms=7.0, bytes=2_000_000, figures={"wider_medium": 0.85}),
        make_row("others", ms=1.0, bytes=10_000, peer=True, figures={"wider_medium": 0.95}),
        make_row("small", ms=1.0, batch=8, bytes=1_000_000, figures={"wider_medium": 0.8}),
    ]


def chosen(rows: list[Measurement], **wishes: float) -> list[tuple[str, str]]:
    limits = {key: value for key, value in wishes.items() if key in LIMITS}
    figures = {key: value for key, value in wishes.items() if key not in LIMITS}
    choice = select(rows, task="face-detection", limits=limits, figures=figures)
    return [(row.name, row.runtime) for row in choice.fitting]


def test_the_smallest_file_first_each_once_and_as_fast_as_it_can_be_run(
    rows: list[Measurement],
) -> None:
    assert chosen(rows, max_ms=50) == [
        ("small", "openvino"),
        ("middle", "openvino"),
        ("large", "openvino"),
    ]


def test_every_wish_counts(rows: list[Measurement]) -> None:
    assert chosen(rows, max_ms=8) == [("middle", "openvino"), ("large", "openvino")]
    assert chosen(rows, max_mb=1.5, max_ms=50) == [("small", "openvino")]
    assert chosen(rows, wider_medium=0.86) == [("large", "openvino")]
    assert chosen(rows, max_memory=100) == []


def test_what_just_meets_a_wish_fits(rows: list[Measurement]) -> None:
    assert chosen(rows, max_ms=9.0, wider_medium=0.8)[0] == ("small", "openvino")
    assert chosen(rows, max_mb=1.0) == [("small", "openvino")]
    assert chosen(rows, wider_medium=0.9) == [("large", "openvino")]
    assert ("small", "openvino") in chosen(rows, max_memory=200)


def test_a_figure_is_compared_as_tables_print_it(make_row: MakeRow) -> None:
    rows = [make_row("file", figures={"wider_medium": 0.82996})]
    assert chosen(rows, wider_medium=0.83) == [("file", "openvino")]
    assert chosen(rows, wider_medium=0.8301) == []


def test_what_can_be_asked_for() -> None:
    """Flags of `pocketface select`, and the figures that they ask a least value of."""
    assert {flag: figure.key for flag, figure in budgets().items()} == {
        "min-ap-easy": "wider_easy",
        "min-ap-medium": "wider_medium",
        "min-ap-hard": "wider_hard",
        "min-ap50": "ap50",
        "min-accuracy": "balanced_accuracy",
        "min-iou": "iou",
        "min-tar": "tar_1e-3",
    }


def test_peers_only_if_asked_for(rows: list[Measurement]) -> None:
    choice = select(rows, task="face-detection", limits={}, figures={}, peers=True)
    assert choice.fitting[0].name == "others"


def test_the_nearest_miss_says_what_would_have_to_give(rows: list[Measurement]) -> None:
    choice = select(
        rows,
        task="face-detection",
        limits={"max_ms": 6.5, "max_mb": 2.5},
        figures={"wider_medium": 0.85},
    )
    assert not choice.fitting
    assert choice.nearest is not None
    row, misses = choice.nearest
    assert row.name == "middle"
    assert [str(miss) for miss in misses] == ["ms is 7 ms, not 6.5 ms"]
    assert misses[0].short == pytest.approx(7 / 6.5 - 1)


def test_what_was_not_measured_is_no_fit(rows: list[Measurement]) -> None:
    choice = select(rows, task="face-detection", limits={}, figures={"ap50": 0.1})
    assert choice.nearest is not None
    assert str(choice.nearest[1][0]) == "ap50 was not measured"


def test_a_mode_is_of_its_runtime(rows: list[Measurement], make_row: MakeRow) -> None:
    rows = [*rows, make_row("tiny", runtime="torch:script", bytes=1)]
    choice = select(rows, task="face-detection", limits={}, figures={}, runtime="torch")
    assert [row.name for row in choice.fitting] == ["tiny", "small"]


def test_says_what_there_is(rows: list[Measurement]) -> None:
    with pytest.raises(UserError, match="there are: face-detection, openvino, cpu, 1 threads; "):
        select(rows, task="face-detection", limits={}, figures={}, threads=3)
