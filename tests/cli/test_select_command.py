"""`pocketface select`: percentages as everything else prints them, and no results yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

RESULTS = Path(__file__).parents[2] / "docs" / "reports" / "benchmarks" / "results.json"
SELECT = ("select", "--task", "face-detection", "--runtime", "openvino", "--results", RESULTS)


def chosen(output: str) -> tuple[str, str]:
    """The head and the first row of the table, after what is said of the machine, if anything."""
    lines = output.splitlines()
    _, _, heads, _, row, *_ = lines[lines.index("chosen") :]
    return heads, row


@pytest.mark.parametrize("least", ["86", "86%", "86.0", ".86"])
def test_a_percentage_or_a_share(run: Run, least: str) -> None:
    result = run(*SELECT, "--min-ap-easy", least)
    assert (result.code, result.err) == (0, "")
    heads, row = chosen(result.out)
    assert "wider_easy %" in heads
    assert row.startswith("face-detection-m")
    assert " 86." in row


@pytest.mark.parametrize("least", ["750", "-1", "101%", "nan", "much"])
def test_what_is_no_percentage(run: Run, least: str) -> None:
    result = run(*SELECT, f"--min-ap-medium={least}")
    assert (result.code, result.out) == (2, "")
    error = result.err.splitlines()[0]
    expected = "number" if least == "much" else "percentage from 0 to 100"
    assert error.endswith(f"--min-ap-medium: expected a {expected}, found {least!r}")


def test_what_is_printed_is_what_is_compared(run: Run) -> None:
    result = run(*SELECT, "--min-ap50", "2")
    heads, row = chosen(result.out)
    shown = row.split()[-1]
    assert heads.endswith("ap50 %")
    assert row in run(*SELECT, "--min-ap50", shown).out.splitlines()


def test_a_shortfall_is_in_percent(run: Run) -> None:
    result = run(*SELECT, "--min-ap-medium", "99")
    assert result.code == 3
    assert " %, not 99 %" in result.err


@pytest.mark.parametrize("where", [(), ("--results", ".")])
def test_without_results_it_says_how_to_make_some(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("select", "--task", "face-detection", *where)
    assert (result.code, result.out) == (2, "")
    error, hint = result.err.splitlines()
    path = "results.json" if where else "report/results.json"
    assert error == f"pocketface: error: {path}: no such file: there are no results to choose from"
    assert "pocketface benchmark " in hint


def test_a_score_is_no_percentage(run: Run) -> None:
    result = run("visualize", "--video", "0", "--score-threshold", "40")
    assert result.code == 2
    assert "expected a number from 0 to 1, found '40'; 40 % is 0.4\n" in result.err
