"""Each exit code, of real processes; docs/reference/errors.md and --help have the same table."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POCKETFACE = (sys.executable, "-m", "pocketface")
RESULTS = ROOT / "docs" / "reports" / "benchmarks" / "results.json"


def documented() -> list[int]:
    text = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    return [int(code) for code in re.findall(r"(?m)^\| (\d+) \|", text)]


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        (0, ("templates",), ""),
        (1, ("verify", "model/model.onnx"), "error: 0 of 1 files passed"),
        (2, ("visualize", "--video", "none.jpg"), "error: none.jpg: no such file or folder"),
        (2, ("init", "face-detection-n"), "error: the following arguments are required: WORK_DIR"),
        (
            3,
            ("select", "--task", "face-detection", "--min-ap50", "99", "--results", str(RESULTS)),
            "error: none of the files measured meets this",
        ),
    ],
)
def test_how_a_command_ends(place: Path, code: int, arguments: Sequence[str], says: str) -> None:
    (place / "model" / "model.onnx.parity.json").unlink()
    done = subprocess.run([*POCKETFACE, *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert says in done.stderr
    assert code in documented()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    pipe = tmp_path / "results.json"
    os.mkfifo(pipe)
    line = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    line += "import sys, pocketface.cli; sys.exit(pocketface.cli.main())"
    process = subprocess.Popen(
        [sys.executable, "-c", line, "select", "--task", "face-detection", "--results", str(pipe)],
        stderr=subprocess.PIPE,
    )
    with open(pipe, "wb"):  # waits until the command opens it
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    # A shell adds 128 to the number of the signal that ended a process.
    ended = process.returncode if process.returncode >= 0 else 128 - process.returncode
    assert ended == code
    assert said == (b"pocketface: interrupted\n" if number == signal.SIGINT else b"")
    assert code in documented()


def test_a_reader_that_is_gone() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*POCKETFACE, "templates", "--json"], stdout=writer, stderr=-1)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
    assert 141 in documented()


def test_help_has_the_same_codes() -> None:
    done = subprocess.run([*POCKETFACE, "--help"], capture_output=True, text=True)
    table = done.stdout.partition("exit codes:\n")[2]
    assert [int(code) for code in re.findall(r"(?m)^  (\d+) ", table)] == documented()
