"""Shared fixtures, and which tests run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file go to one process, which makes their fixtures once.

    Those marked `full` are left out unless the environment has POCKETFACE_TEST_ALL=1.
    """
    full = os.environ.get("POCKETFACE_TEST_ALL") == "1"
    skip = pytest.mark.skip(reason="one of many alike; `make test-all` runs them all")
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
        if not full and item.get_closest_marker("full") is not None:
            item.add_marker(skip)


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
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny network as weights.safetensors, weights.pth, model.onnx and .xml."""
    for package in ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "safetensors"):
        pytest.importorskip(package)
    import torch

    from pocketface.export import ExportRequest, export_model
    from pocketface.models.network import Network
    from pocketface.models.weights import read_weights, write_weights
    from pocketface.tasks.templates import parse_template

    folder = tmp_path_factory.mktemp("exported")
    text = (Path(__file__).parent / "tiny_template.yaml").read_text()
    torch.manual_seed(0)
    network = Network(parse_template(text, source="tiny").architecture)
    for suffix in ("safetensors", "pth"):
        write_weights(
            folder / f"weights.{suffix}",
            template_text=text,
            state_dict=network.state_dict(),
            epochs=0,
        )
    request = ExportRequest(
        weights=read_weights(folder / "weights.safetensors"),
        folder=folder,
        formats=["openvino", "onnx"],
        verify=False,
    )
    assert not export_model(request).failed
    return folder
