"""What commands print: beside a bar on a terminal, and of names with control characters."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from pocketface.cli.console import print_table, tell

LONG = "photos/" + "long/" * 40 + "photo of mine.jpg"
PRINTING = f"""
from pocketface.cli.console import progress
with progress("photos") as done:
    done(1, 2)
    print({LONG!r}, flush=True)
    done(2, 2)
"""


@pytest.mark.parametrize("both", [False, True], ids=["stderr", "stdout and stderr"])
def test_paths_are_printed_whole_beside_a_bar(both: bool) -> None:
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTING],
        stdout=terminal if both else subprocess.PIPE,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(terminal)
    printed, _ = process.communicate(timeout=60)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the terminal is closed
            break
    os.close(ours)
    assert process.returncode == 0
    assert b"2/2" in shown  # the bar
    if both:
        assert b"\r" + LONG.encode() in shown  # not after the bar, on its line
    else:
        assert printed == f"{LONG}\n".encode()


def test_control_characters_are_printed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    tell("written: \x1b[31ma\nb\x9b\u202e.jpg")
    print_table("\x07title", ("file",), [("\x1b[31m.onnx",)])
    out = capsys.readouterr().out
    assert out.startswith("written: \\x1b[31ma\\x0ab\\x9b\\u202e.jpg\n\\x07title\n")
    assert "\\x1b[31m.onnx" in out
    assert "\x1b" not in out
