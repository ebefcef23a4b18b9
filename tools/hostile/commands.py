"""Run commands on hostile input, each in a process of its own, and judge what they left."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0
"""Most seconds of waiting for one command."""

MEMORY = 1 << 30
"""Most bytes of memory that one command may hold."""

_DOCUMENTED = (0, 1, 2)

_ESCAPED = 70
"""Exit code of a command that let an exception out."""


@dataclass(frozen=True)
class Try:
    """A command on hostile input.

    Attributes:
        what: What is wrong with the input.
        argv: The command's arguments.
        output: What the command writes; None if nothing.
    """

    what: str
    argv: Sequence[str]
    output: Path | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a `Try`; `fault` is empty if that was clean."""

    what: str
    code: int
    fault: str
    seconds: float
    memory: int


def tried(one: Try) -> Verdict:
    """Run a command in a fork of this process, which has loaded what the command needs."""
    from pocketface.cli import main

    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            code = _ESCAPED
            try:
                code = main(one.argv)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        while True:
            ended, status, usage = os.wait4(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() - started > SECONDS:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.005)
        said.seek(0)
        text = said.read().decode(errors="replace")
    code, memory = os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
    found = fault(one, code, text, memory)
    return Verdict(one.what, code, found, time.monotonic() - started, memory)


def fault(one: Try, code: int, text: str, memory: int) -> str:
    """What was not clean about a command; empty if all was.

    Args:
        one: The command.
        code: Its exit code, or minus the signal that ended it.
        text: What it printed.
        memory: The most bytes of memory that it held.
    """
    lines = text.splitlines()
    if code == -signal.SIGKILL:
        return f"no end in {SECONDS:.0f} s"
    if code not in _DOCUMENTED:
        return f"ended with {code}: {text[-300:]}"
    if memory > MEMORY:
        return f"{memory >> 20} MiB"
    if "Traceback" in text or any(not line.isprintable() for line in lines):
        return f"no plain text: {text[-300:]!r}"
    if code == 0:
        missing = one.output is not None and not one.output.exists()
        return "ended with 0, and wrote nothing" if missing else _left(one)
    errors = [line for line in lines if line.startswith("pocketface: error: ")]
    ours = ("pocketface: ", "hint: ", *(word for word in one.argv if os.path.lexists(word)))
    others = [line for line in lines if not line.startswith(ours)]
    if len(errors) != 1 or others:
        return f"no one line: {text[-300:]}"
    if "hint: run again with --debug" in lines[-1]:
        return f"an error that was not foreseen: {errors[0]}"
    if one.output is not None and one.output.exists():
        return f"refused, and wrote {one.output.name}"
    return _left(one)


def _left(one: Try) -> str:
    """A temporary that was left beside the output."""
    if one.output is None or not one.output.parent.is_dir():
        return ""
    left = [path.name for path in one.output.parent.iterdir() if ".pocketface-" in path.name]
    return f"left {left[0]}" if left else ""
