"""What commands print while a bar runs on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

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
        assert LONG.encode() in shown
    else:
        assert printed == f"{LONG}\n".encode()
