"""A benchmark within the process of the tests, for what does not depend on processes.

Each of them would import its runtime anew, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Self

import cv2
import pytest

from pocketface.benchmarks import measure as room
from pocketface.benchmarks import worker


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cases are measured here, and the machine's peak speed is made up."""
    without_processes(monkeypatch)


def without_processes(patch: pytest.MonkeyPatch) -> None:
    probe = SimpleNamespace(measure=lambda: {"fp32": 100.0, "int8": 100.0})
    patch.setattr(room, "_Processes", _Here)
    patch.setattr(room, "Probe", lambda _: probe)
    patch.setattr(room, "_WARM_UP", 0.0)
    patch.setattr(cv2, "setNumThreads", lambda _: None)  # it would stay so after the test


class _Here:
    """Stands for `_Processes`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, job: Callable[[], Any]) -> Any:
        return JobHere(job)


class JobHere:
    """Stands for `_Process`."""

    def __init__(self, job: Callable[[], Any]) -> None:
        self.made = job()

    def call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.made, method)(*arguments)
        except Exception as error:
            raise worker._told(error) from error

    def end(self) -> None:
        pass
