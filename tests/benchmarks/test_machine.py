"""What the machine can do at best."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from pocketface.benchmarks import machine
from pocketface.benchmarks.machine import Probe
from pocketface.interrupts import signal_stack_kept


def test_the_probe_counts_the_operations_of_its_fastest_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.accumulate(itertools.cycle([0.0, 0.5, 0.0, 0.25]))
    monkeypatch.setattr(machine, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    product = 2e-9 * machine._SIDE**3
    assert Probe(1).measure() == {"fp32": product / 0.25, "int8": product / 0.25}


def test_its_products_are_of_the_precision_that_they_name() -> None:
    found = {}
    with signal_stack_kept():
        products = machine._products(1)
    for precision, run in products.items():
        program: Any = run.__self__.get_compiled_model().get_runtime_model()  # type: ignore[attr-defined]
        facts = [operation.get_rt_info() for operation in program.get_ops()]
        (found[precision],) = (
            one["runtimePrecision"].astype(str)
            for one in facts
            if one["layerType"].astype(str) == "FullyConnected"
        )
    assert found["fp32"] == "f32"
    if "vnni" in machine.fingerprint()["flags"]:
        assert found["int8"] == "u8"
