"""Shared fixtures, and which tests run."""

from __future__ import annotations

import gc
import os
import random
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketface.exporting import EXPORTERS

from .made_once import made_once

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


LONGEST = (
    "exporting/test_matrix.py",
    "benchmarks/test_measure.py",
    "exporting/test_masks.py",
    "apps/archive/test_ray.py",
    "compressing/test_coreml.py",
    "tools/test_hostile_models.py",
    "cli/test_benchmark_command.py",
    "docs/test_contributing.py",
    "cli/test_quiet.py",
    "cli/test_blur_command.py",
    "api/test_functions.py",
    "docs/test_python_guide.py",
    "compressing/test_post_training.py",
    "apps/test_diagnose.py",
    "compressing/test_float_layers.py",
    "compressing/test_fine_tuning.py",
    "exporting/test_shipped_weights.py",
    "cli/test_compress_command.py",
    "training/test_trackers.py",
    "training/test_processes.py",
    "compressing/test_promise.py",
    "models/test_networks.py",
    "compressing/test_fewer_weights.py",
    "cli/test_bot_command.py",
    "training/test_resume.py",
    "cli/test_serve_command.py",
    "apps/test_sent_photos.py",
    "cli/test_glasses_commands.py",
    "exporting/test_export.py",
    "examples/test_names.py",
    "cli/test_other_commands.py",
    "exporting/test_tensorflow.py",
    "training/test_fit_recipes.py",
    "apps/test_service.py",
    "tools/test_trust.py",
    "exporting/test_verify.py",
    "apps/bot/test_bot.py",
    "apps/bot/test_failures.py",
    "test_packaging.py",
    "exporting/test_failures.py",
)
"""Files that take more than ten seconds, the longest first. They begin first, so that at the end no
process works alone for long; `make test-fast` leaves them out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; leave out `full` tests unless POCKETFACE_TEST_ALL=1 is set."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    full = os.environ.get("POCKETFACE_TEST_ALL") == "1"
    skip = pytest.mark.skip(reason="one of many alike; `make test-all` runs them all")
    for item in items:
        if item.path in places:
            item.add_marker(pytest.mark.slow)
        if not full and item.get_closest_marker("full") is not None:
            item.add_marker(skip)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Make random values the same in each run, before the fixtures of a test are made."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photos beside the clone; the test is skipped where it is not."""
    if not _SHARED.is_dir():
        pytest.skip(f"needs the photos of {_SHARED}")
    return _SHARED


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes an ONNX file into the test's folder; see `constant_model.write_model`."""
    from .constant_model import write_model

    def make(*arguments: Any, name: str = "constant.onnx", **options: Any) -> Path:
        return write_model(tmp_path / name, *arguments, **options)

    return make


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """weights.safetensors of the network of `tiny_template.yaml`."""
    from .tiny_network import write_tiny_weights

    return made_once(tmp_path_factory, "tiny", write_tiny_weights) / "weights.safetensors"


@pytest.fixture(scope="session")
def converted(
    tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The folder with the tiny network's files of a format, verified, in each precision.

    They are for all tests: to be changed in a copy alone.
    """
    from .tiny_network import export_tiny

    def folder_of(name: str) -> Path:
        for package in EXPORTERS[name].packages:
            pytest.importorskip(package, reason=f"needs {package}")

        def make(part: Path) -> None:
            export_tiny(tiny_weights, part, name)
            gc.collect()  # what converters leave behind warns of it as it goes

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return made_once(tmp_path_factory, f"tiny-{name}", make)

    return folder_of


@pytest.fixture(scope="session")
def exported(
    tiny_weights: Path,
    converted: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tiny network as weights.safetensors, weights.pth, model.onnx, .xml and .pt."""
    from pocketface.models.weights import read_weights, write_weights

    folder = tmp_path_factory.mktemp("exported")
    shutil.copy(tiny_weights, folder)
    read = read_weights(tiny_weights)
    write_weights(
        folder / "weights.pth",
        template_text=read.template_text,
        state_dict=read.state_dict,
        epochs=read.epochs,
        data=read.data,
        seed=read.seed,
    )
    for name in ("openvino", "onnx", "torchscript"):
        for path in converted(name).glob("model.*"):
            shutil.copy(path, folder)
    return folder
