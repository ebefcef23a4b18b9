"""The script that tries hostile input: what it calls clean, and a few inputs of each kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pocketface.tools.hostile import kills, served
from pocketface.tools.hostile.commands import MEMORY, Try, fault

TRUST = Path(__file__).resolve().parents[2] / "tools" / "trust.py"
LINE = "pocketface: error: a.json: not JSON: Expecting value\n"


@pytest.mark.parametrize(
    ("code", "text", "memory", "says"),
    [
        (2, LINE, 0, ""),
        (1, LINE + "hint: try it\n", 0, ""),
        (2, "pocketface: warning: left out b.jpg\n" + LINE, 0, ""),
        (0, "", 0, "wrote nothing"),
        (3, LINE, 0, "ended with 3"),
        (-11, "", 0, "ended with -11"),
        (-9, "", 0, "no end"),
        (2, LINE, MEMORY + 1, "1024 MiB"),
        (2, "", 0, "no one line"),
        (2, LINE + LINE, 0, "no one line"),
        (2, "libtiff: error 0x7\n" + LINE, 0, "no one line"),
        (2, "Traceback (most recent call last):\n" + LINE, 0, "no plain text"),
        (2, LINE.replace("a.json", "\x1b[31ma.json"), 0, "no plain text"),
        (1, LINE + "hint: run again with --debug for the traceback\n", 0, "not foreseen"),
    ],
)
def test_what_is_clean(tmp_path: Path, code: int, text: str, memory: int, says: str) -> None:
    found = fault(Try("", ["data", "split"], tmp_path / "out"), code, text, memory)
    assert (says in found) if says else not found


def test_half_written_is_not_clean(tmp_path: Path) -> None:
    one = Try("", ["data", "split"], tmp_path / "out")
    left = tmp_path / ".out.pocketface-0123456789ab"
    left.touch()
    assert fault(one, 2, LINE, 0) == f"left {left.name}"
    one.output.touch()  # type: ignore[union-attr]
    assert fault(one, 0, "", 0) == f"left {left.name}"
    left.unlink()
    assert fault(one, 0, "", 0) == ""
    assert fault(one, 2, LINE, 0) == "refused, and wrote out"


def test_some_of_each_kind_are_clean() -> None:
    kinds = ["images", "videos", "templates", "annotations"]
    done = subprocess.run(
        [sys.executable, TRUST, "--count", "2", "--kinds", *kinds], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[2:4] for row in rows[1:]] == [[" 2 ", " 2 "]] * 4


def test_a_service_that_dies_is_a_fault() -> None:
    this = psutil.Process()
    others = set(this.children())  # of other tests
    found = served.requests(2)
    assert next(found).fault == ""
    (service,) = set(this.children()) - others
    service.kill()
    second, end = list(found)
    assert second.fault.startswith("the service is gone: ")
    assert end.fault
    assert set(this.children()) <= others


SCRIPT = """\
import pathlib, sys, time
count = pathlib.Path(sys.argv[1])
runs = len(count.read_text()) if count.exists() else 0
count.write_text("x" * (runs + 1))
time.sleep(0.5 if runs < int(sys.argv[2]) else 0)
"""
"""Sleeps in so many runs."""


def test_kills_fall_into_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "COMMAND", (sys.executable, "-c", SCRIPT))

    def one(sleeps: str) -> kills.Killed:
        argv = [str(tmp_path / f"runs{sleeps}"), sleeps]
        return kills.Killed("sleep", argv, lambda _: None, lambda _: argv)

    (verdict,) = kills.killed(one("100"), tmp_path / "long", 1)
    assert (verdict.code, verdict.fault) == (-9, "")
    (verdict,) = kills.killed(one("2"), tmp_path / "shorter", 1)  # from the third run on
    assert (verdict.code, verdict.fault) == (-9, "")
    ends = iter([0.1, None])
    monkeypatch.setattr(kills, "_ended", lambda *_: next(ends))
    (verdict,) = kills.killed(one("4"), tmp_path / "sooner", 1)  # one that ended gives the time
    assert (verdict.fault, verdict.seconds) == ("", pytest.approx(0.05))
    monkeypatch.setattr(kills, "_ended", lambda *_: 0.1)
    (verdict,) = kills.killed(one("3"), tmp_path / "never", 1)
    assert verdict.fault == "ended before it was killed, 5 times"
