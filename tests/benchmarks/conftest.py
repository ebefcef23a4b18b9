"""Rows of results, made up; files to measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketface.benchmarks.cases import Case, Target
from pocketface.benchmarks.results import Estimate, Latency, Measurement, Results
from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates import template_path
from pocketface.models.weights import read_weights

WEIGHTS = template_path("face-detection-n").with_name("weights.safetensors")
GLASSES = template_path("glasses-n").with_name("weights.safetensors")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """face-detection-n as model.onnx and model.xml, of a small input."""
    folder = tmp_path_factory.mktemp("exported")
    export_model(
        ExportRequest(
            weights=read_weights(WEIGHTS),
            folder=folder,
            formats=["openvino", "onnx"],
            input_size=(160, 160),
            verify=False,
        )
    )
    return folder


def case_of(path: Path, runtime: str, **changes: Any) -> Case:
    about = {"provider": "cpu", "device": "cpu", "threads": 1, "batch": 1} | changes
    return Case(Target(path.name, path), runtime, **about)


def latency(ms: float, spread: float = 0.05) -> Latency:
    """All quantiles alike."""
    one = Estimate(value=ms, low=ms * (1 - spread), high=ms * (1 + spread))
    return Latency(p50=one, p90=one, p99=one)


@pytest.fixture
def make_row() -> Callable[..., Measurement]:
    """A row of a detector; arguments change it."""

    def make(name: str = "a/model.xml", *, ms: float = 10.0, **changes: Any) -> Measurement:
        content: dict[str, Any] = {
            "name": name,
            "peer": False,
            "model": name,
            "task": "face-detection",
            "precision": "fp32",
            "runtime": "openvino",
            "device": "cpu",
            "threads": 1,
            "batch": 1,
            "input": "640x640 letterbox",
            "bytes": 1_000_000,
            "sha256": "0" * 64,
            "load_ms": 100.0,
            "first_ms": 20.0,
            "steps": {
                "decode": latency(2.0),
                "prepare": latency(0.1 * ms),
                "network": latency(0.8 * ms),
                "finish": latency(0.1 * ms),
                "predict": latency(ms),
                "end_to_end": latency(ms + 2.0),
            },
            "resident": None,
            "throughput": 1e3 / ms,
            "cpu_ms": ms,
            "memory": 200 * 2**20,
            "gflops": 1.0,
            "peak_share": 0.2,
            "figures": {"ap50": 0.5, "wider_medium": 0.8},
            "rounds": (ms,) * 10,
            "runs": 300,
            "group": 0,
        }
        return Measurement(**(content | changes))

    return make


@pytest.fixture
def make_results() -> Callable[..., Results]:
    """Results of some rows; arguments change them."""

    def make(*rows: Measurement, **changes: Any) -> Results:
        content: dict[str, Any] = {
            "finished": True,
            "command": "pocketface benchmark a",
            "date": "2026-11-21T12:00:00+00:00",
            "host": {"cpu": "a CPU", "cores": "2, 2 threads"},
            "protocol": {"timing": "3 s"},
            "probes": {"fp32, 1": (100.0,) * 10},
            "rows": rows,
            "absent": (),
        }
        return Results(**(content | changes))

    return make
