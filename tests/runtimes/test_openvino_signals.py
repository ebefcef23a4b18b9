"""Signals after OpenVINO's plugins have gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import gc, signal, sys, threading
import pocketface

signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
models = [pocketface.load(path) for path in sys.argv[1:]]

def forget(index):
    models.pop(index)
    gc.collect()

{forget}
assert not models
signal.raise_signal(signal.SIGTERM)
"""
_IN_ORDER = "forget(0); forget(0)"
_BY_A_THREAD = """
for index in (1, 0):
    thread = threading.Thread(target=forget, args=(index,))
    thread.start()
    thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="OpenVINO sets a signal stack on Linux only")
@pytest.mark.parametrize("forget", [_IN_ORDER, _BY_A_THREAD], ids=["in order", "by a thread"])
def test_a_signal_after_openvino_is_handled(exported: Path, forget: str) -> None:
    script = _SCRIPT.format(forget=forget)
    command = [sys.executable, "-c", script, *[str(exported / "model.xml")] * 2]
    _handled(command)


@pytest.mark.skipif(sys.platform != "linux", reason="OpenVINO sets a signal stack on Linux only")
def test_a_signal_after_the_benchmarks_probe_is_handled() -> None:
    pytest.importorskip("openvino")
    script = """
import gc, signal
from pocketface.benchmarks.machine import Probe

signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
probes = [Probe(1), Probe(1)]
for probe in probes:
    probe.measure()
del probe, probes
gc.collect()
signal.raise_signal(signal.SIGTERM)
"""
    _handled([sys.executable, "-c", script])


def _handled(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "handled"), done.stderr
