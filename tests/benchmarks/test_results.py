"""Quantiles and their uncertainty, places, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketface.benchmarks.results import (
    Estimate,
    Measurement,
    Results,
    latency_of,
    places,
    read_results,
    write_results,
)
from pocketface.errors import DataError


def test_quantiles_are_in_milliseconds() -> None:
    runs = np.arange(1, 1002) / 1e3
    found = latency_of([runs] * 5)
    assert [found.p50.value, found.p90.value, found.p99.value] == pytest.approx([501, 901, 991])


def test_a_machine_that_is_slow_for_whole_rounds_is_less_certain_than_one_that_jitters() -> None:
    generator = np.random.default_rng(0)
    jitter = generator.uniform(0.01, 0.02, (10, 200))
    by_rounds = np.sort(jitter.ravel()).reshape(10, 200)  # the same runs, the slow ones together
    steady, moody = latency_of(list(jitter)).p50, latency_of(list(by_rounds)).p50
    assert steady.value == pytest.approx(moody.value)
    assert steady.low < 15.0 < steady.high
    assert moody.high - moody.low > 5 * (steady.high - steady.low)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(50):
        levels = generator.normal(20, 1, 10)
        rounds = [generator.normal(level, 0.2, 30) / 1e3 for level in levels]
        one = latency_of(rounds).p50
        held += one.low <= 20 <= one.high
    assert held > 0.8 * 50  # of ten rounds, a bootstrap's 95 % are a little less


def test_places_are_ranges_where_intervals_overlap() -> None:
    def between(low: float, high: float) -> Estimate:
        return Estimate(value=(low + high) / 2, low=low, high=high)

    found = places([between(5, 7), between(1, 2), between(6, 9), between(6.5, 7.5)])
    assert found == [(2, 4), (1, 1), (2, 4), (2, 4)]
    assert places([between(1, 2), between(1.9, 3), between(2.5, 4)]) == [(1, 2), (1, 3), (2, 3)]


def test_results_come_back_as_they_were(
    tmp_path: Path, make_row: Callable[..., Measurement], make_results: Callable[..., Results]
) -> None:
    results = make_results(make_row(), make_row("b", figures={"ap50": None}))
    write_results(results, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == results


@pytest.mark.parametrize(
    ("version", "reason"),
    [(1, "an older pocketface: version 1"), (3, "a newer pocketface: version 3")],
)
def test_results_of_another_version_are_refused(
    version: int,
    reason: str,
    tmp_path: Path,
    make_row: Callable[..., Measurement],
    make_results: Callable[..., Results],
) -> None:
    path = tmp_path / "results.json"
    content = make_results(make_row()).model_dump(mode="json")
    # Whatever else is another in it, its version is the reason.
    content |= {"results_version": version, "rows": [{"name": "a"}], "more": 1}
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as refused:
        read_results(path)
    assert str(refused.value) == f"{path}: results of {reason}, expected 2"
    assert refused.value.hint is not None
    assert "pocketface benchmark" in refused.value.hint


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "Invalid JSON"), ("{}", "finished: Field required"), ('{"rows": 3}', "finished")],
)
def test_refuses_what_is_no_result(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"results\.json: no results of .*{reason}"):
        read_results(path)
    with pytest.raises(DataError, match=r"nothing\.json: cannot be read: No such file"):
        read_results(tmp_path / "nothing.json")
