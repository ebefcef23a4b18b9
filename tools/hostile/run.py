"""Open hostile model files in child processes, and judge what became of them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pocketface.tools.hostile.commands import MEMORY

SECONDS = 30.0
"""Most seconds of waiting for one file, beside the first of a child, which loads the runtime."""

_CHILD = Path(__file__).with_name("child.py")
_SECONDS_TO_START = 180.0

CLEAN = ("refused", "same answer", "other answer, sealed anew")


@dataclass(frozen=True)
class Job:
    """A model file to open.

    Attributes:
        path: The file.
        what: What is wrong with it.
        resealed: Whether its seal fits the damage.
        runtime: See `pocketface.load`.
    """

    path: Path
    what: str
    resealed: bool
    runtime: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a file: `kind` is one of `CLEAN`, or what is wrong."""

    job: Job
    kind: str
    message: str
    seconds: float
    memory: int


class Child:
    """A process that opens files, started anew after each death."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, job: Job) -> dict[str, Any]:
        """Have a file opened; a crash or a hang costs the process."""
        seconds = SECONDS
        if self._process is None:
            seconds = _SECONDS_TO_START
            self._process = subprocess.Popen(
                [sys.executable, str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"path": str(job.path), "runtime": job.runtime}) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        line = process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self.close()
        if not ready:
            return {"kind": "hang", "message": f"no answer in {seconds:.0f} s"}
        return {"kind": "crash", "message": f"the process ended with {code}"}

    def close(self) -> int:
        """End the process."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        with process:  # closes its streams
            assert process.stdin is not None
            process.stdin.close()
            try:
                return process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


def opened(sound: Job, jobs: Iterable[Job]) -> Iterator[Outcome]:
    """Open files, one after the other, in one child.

    Args:
        sound: The model as it was written.
        jobs: Its damaged copies.

    Raises:
        RuntimeError: The sound model does not open.
    """
    child = Child()
    try:
        reference = child.ask(sound)
        if reference["kind"] != "opened":
            raise RuntimeError(f"{sound.path}: {reference}")
        for job in jobs:
            found = child.ask(job)
            kind = _judged(found, reference["answer"], job)
            yield Outcome(
                job,
                kind,
                found.get("message", ""),
                found.get("seconds", 0.0),
                found.get("memory", 0),
            )
    finally:
        child.close()


def _judged(found: dict[str, Any], reference: dict[str, list[float]], job: Job) -> str:
    if found.get("memory", 0) > MEMORY:
        return "memory"
    if found["kind"] != "opened":
        return str(found["kind"])
    answer = found["answer"]
    if answer.keys() == reference.keys() and all(
        np.shape(answer[name]) == np.shape(values)
        and np.allclose(answer[name], values, atol=1e-3, equal_nan=True)
        for name, values in reference.items()
    ):
        return "same answer"
    return "other answer, sealed anew" if job.resealed else "other answer"
