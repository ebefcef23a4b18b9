"""What all commands have in common."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import pocketface
from pocketface import cli
from pocketface.cli.parser import paths
from pocketface.errors import PocketfaceError, UserError

Run = Callable[..., Any]
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def test_help_lists_every_command_with_its_summary(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    assert result.err == ""
    for verb, (_, summary) in cli.COMMANDS.items():
        assert verb in result.out
        assert summary in result.out


@pytest.mark.parametrize("verb", cli.COMMANDS)
def test_every_command_explains_itself(run: Run, verb: str) -> None:
    result = run(verb, "--help")
    assert result.code == 0
    assert result.err == ""
    assert f"usage: pocketface {verb}" in result.out


def test_version(run: Run) -> None:
    assert run("--version").out == f"pocketface {pocketface.__version__}\n"


def test_python_m(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pocketface", "data", "split", "none.json", "--output", "."],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("pocketface: error: none.json: ")
    assert done.stderr.count("\n") == 1


def test_control_characters_of_a_name_do_not_reach_the_terminal(run: Run) -> None:
    result = run("data", "split", "\x1b]0;x\x07\x9b31m.json", "--output", ".")
    assert result.code == 2
    assert r"\x1b]0;x\x07\x9b31m.json: cannot be read" in result.err


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_leave_the_cores_to_others_unless_the_user_says_otherwise(
    run: Run, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if before is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    seen = []

    def load(*_: str) -> _Command:  # OpenMP reads it as it loads
        seen.append(os.environ.get("OMP_WAIT_POLICY"))
        return _Command()

    monkeypatch.setattr("importlib.import_module", load)
    run("init")
    assert seen == [after]


class _Command:
    """Stands in for a command's module."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error

    @staticmethod
    def add_arguments(parser: Any) -> None:
        parser.add_argument("--word", default="none")

    def run(self, args: Any) -> None:
        logging.getLogger("pocketface.somewhere").debug("a detail")
        logging.getLogger("pocketface.somewhere").info("a remark")
        logging.getLogger("pocketface.somewhere").warning("a\r\nwarning")
        print(args.word)
        if self._error is not None:
            raise self._error


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes `pocketface init` do something else."""

    def install(error: BaseException | None = None) -> None:
        monkeypatch.setattr("importlib.import_module", lambda *_: _Command(error))

    return install


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (UserError("a: wrong", hint="do so"), 2, ["error: a: wrong", "hint: do so"]),
        (PocketfaceError("it broke"), 1, ["error: it broke"]),
        (UserError("two\n  lines"), 2, ["error: two lines"]),
        (
            ValueError("odd"),
            1,
            ["error: ValueError: odd", "hint: run again with --debug for the traceback"],
        ),
        (PermissionError(13, "Denied", "/x"), 2, ["error: /x: Denied"]),
        (PermissionError(13, "Denied"), 1, ["error: system: Denied"]),
        (OSError(28, "No space left on device", "/x"), 1, ["error: /x: No space left on device"]),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            [
                "error: the package 'torch' is not installed: needs "
                "`pip install 'pocketface[train]'`"
            ],
        ),
        (KeyboardInterrupt(), 130, ["interrupted"]),
        (KeyboardInterrupt("go on so"), 130, ["interrupted; go on so"]),
    ],
)
def test_errors_are_one_line_and_a_code(
    run: Run, install: Callable[..., None], error: BaseException, code: int, lines: list[str]
) -> None:
    install(error)
    result = run("init")
    assert result.code == code
    said = result.err.replace("pocketface: ", "").splitlines()
    assert said == ["a remark", "warning: a warning", *lines]


@pytest.mark.parametrize("arguments", [("--debug", "init"), ("init", "--debug")])
def test_debug_shows_the_traceback_before_and_behind_the_verb(
    run: Run, install: Callable[..., None], arguments: tuple[str, str]
) -> None:
    install(ValueError("odd"))
    result = run(*arguments)
    assert result.code == 1
    assert "Traceback (most recent call last)" in result.err


@pytest.mark.parametrize(
    "arguments", [("-v", "init"), ("init", "-v"), ("--verbose", "init", "--word", "x")]
)
def test_verbose_shows_details(
    run: Run, install: Callable[..., None], arguments: tuple[str, ...]
) -> None:
    install()
    result = run(*arguments)
    assert result.code == 0
    assert "a detail" in result.err


def test_a_long_message_of_somebody_else_is_cut(run: Run, install: Callable[..., None]) -> None:
    install(ValueError("[1.5, 2.5, 3.5]\n" * 1000))
    error = run("init").err.splitlines()[-2]
    assert error.startswith("pocketface: error: ValueError: [1.5,")
    assert len(error) < 350


def test_logging_is_left_as_it_was(run: Run, install: Callable[..., None]) -> None:
    logger = logging.getLogger("pocketface")
    before = (list(logger.handlers), logger.level, logger.propagate)
    install()
    run("init")
    assert (logger.handlers, logger.level, logger.propagate) == before


def test_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pocketface", "--help"],
            stdout=writer,
            stderr=subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        )
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_closed_stdout_is_no_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"{sys.executable} -m pocketface init face-detection-0202 work >&-"
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    # What Python makes of it; a table, and a bar.
    monkeypatch.setattr("sys.stdout", None)
    for command in (["templates"], ["classify", HOPPER]):
        result = run(*command)
        assert (result.code, result.err) == (0, "")


def test_letters_that_a_code_page_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pocketface", "init", "face-detection-0202", "фото"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u0444" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("init", "a", "b", "--forec"), "did you mean --force? see `pocketface init --help`"),
        (("templates", "--qwxyz"), "see `pocketface templates --help`"),
        (("data", "label", "a", "--output", "b", "c"), "see `pocketface data label --help`"),
    ],
)
def test_a_misspelt_flag_leads_to_the_help_of_its_command(
    run: Run, arguments: tuple[str, ...], hint: str
) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert "error: unrecognized arguments: " in result.err
    assert f"hint: {hint}\n" in result.err


def test_a_comma_inside_a_name_is_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Rome, 2024").mkdir()
    assert paths(["Rome, 2024", "a,b"]) == [Path("Rome, 2024"), Path("a"), Path("b")]
