"""The first run of a process with OpenVINO has one thread: two can wait for each other for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

openvino_runtime = pytest.importorskip("pocketface.runtimes.openvino")
openvino = pytest.importorskip("openvino")


class Compiled:
    """Counts how many threads infer at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.meeting: threading.Barrier | None = None

    def create_infer_request(self) -> Compiled:
        return self

    def infer(self, batch: dict[int, NDArray[np.float32]], **_: object) -> Any:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        if self.meeting is None:
            time.sleep(0.05)
        else:
            self.meeting.wait()
        with self.lock:
            self.now -= 1
        return {0: batch[0]}


def test_the_first_run_is_alone_and_later_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "_has_run", threading.Event())
    parameter = openvino.op.Parameter(openvino.Type.f32, openvino.Shape([1]))
    model = openvino.Model([parameter.output(0)], [parameter])
    compiled = Compiled()
    run = openvino_runtime.session_of(compiled, model, device="CPU").run
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, [np.zeros(1, np.float32)] * 2))
        assert compiled.most == 1
        compiled.meeting = threading.Barrier(2, timeout=20)
        list(pool.map(run, [np.zeros(1, np.float32)] * 2))
    assert compiled.most == 2
