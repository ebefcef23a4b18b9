"""Planted faults: the list fits the code, and the tool says which of them no test notices."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "mutants.py"))
MUTANTS = TOOL["read_mutants"]()

CODE = """\
def double(x): return 2 * x
def half(x): return x / 2
"""
TESTS = """\
from pocketface.code import double, half
def test_double(): assert double(3) == 6
def test_half(): half(3)
def test_sick(): assert half(3) == 2
"""
OTHER = """\
from pocketface.code import half
def test_other(): half(3)
"""
LIST = """\
Faults:
- {file: code.py, old: 2 * x, new: 3 * x, why: too much, tests: ["tests/test_code.py::test_double"]}
- {file: code.py, old: x / 2, new: x / 3, why: too little, tests: ["tests/test_code.py::test_half"]}
- {file: code.py, old: x / 2, new: x, why: the same, tests: ["tests/test_code.py"]}
- {file: code.py, old: x / 4, new: x, why: stale, tests: ["tests/test_code.py"]}
- {file: code.py, old: 2 * x, new: 2 *, why: broken, tests: ["tests/test_code.py::test_half"]}
- {file: code.py, old: def half, new: def third, why: gone, tests: ["tests/test_other.py"]}
"""


def test_each_can_still_be_planted() -> None:
    assert [why for why in map(TOOL["stale"], MUTANTS) if why is not None] == []


def test_no_two_are_the_same() -> None:
    assert len({(one.file, one.old, one.new) for one in MUTANTS}) == len(MUTANTS)
    assert all(one.old != one.new for one in MUTANTS)


def test_what_becomes_of_faults(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / "tests").mkdir(parents=True)
    files = {"__init__.py": "", "code.py": CODE, "tests/test_code.py": TESTS, "list.yaml": LIST}
    for name, text in files.items():
        (root / name).write_text(text)
    (root / "tests" / "test_other.py").write_text(OTHER)
    subprocess.run(["git", "init", "-q", root], check=True)
    mutants = TOOL["read_mutants"](root / "list.yaml")
    with TOOL["copy_of"](root) as copy:
        failing = TOOL["failing_without"](copy, mutants[:2])
        outcomes = [TOOL["outcome_of"](mutant, copy, failing) for mutant in mutants]
        assert (copy / "code.py").read_text() == CODE
    broken, gone = outcomes[4:]
    assert broken.kind == gone.kind == "refused"
    assert broken.by.startswith("code.py: does not compile with it: ")
    assert gone.by.startswith("pytest ended with 2: ")  # nothing is imported, nothing tested
    assert [(one.kind, one.by) for one in outcomes[:4]] == [
        ("noticed", "tests/test_code.py::test_double"),
        ("NOT noticed", ""),
        ("refused", "tests/test_code.py::test_sick fails without it, too"),
        ("refused", "code.py: stands there 0 times: 'x / 4' (stale)"),
    ]
    text = TOOL["report"](outcomes)
    assert "6 of 6 (100 %) noticed at first, 1 of 6 (17 %) now." in text
    assert "| `code.py` | too much |  | `tests/test_code.py::test_double` |" in text
    assert "| `code.py` | too little |  | **NOT noticed** |" in text


def test_a_planted_file_is_not_taken_for_the_compiled_one(tmp_path: Path) -> None:
    """Both have one size, and are written within one second; bytecode is known by these two."""
    (mutant,) = TOOL["read_mutants"](_written(tmp_path / "list.yaml", LIST))[:1]
    path = _written(tmp_path / "code.py", CODE)
    before = path.stat()
    with TOOL["planted"](mutant, tmp_path):
        planted = path.stat()
    assert planted.st_size == before.st_size
    assert int(planted.st_mtime) != int(before.st_mtime)
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.read_text() == CODE


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_stale_faults_are_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = TOOL["Mutant"]("group", "cli/eval.py", "no such text", "", "nothing", ())
    monkeypatch.setitem(TOOL["main"].__globals__, "read_mutants", lambda: [made])
    monkeypatch.setattr("sys.argv", ["mutants.py"])
    with pytest.raises(SystemExit):
        TOOL["main"]()
    assert "cli/eval.py: stands there 0 times: 'no such text'" in capsys.readouterr().err
