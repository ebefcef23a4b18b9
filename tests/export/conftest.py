"""Networks to export: the tiny one of `tiny_template.yaml`, with each kind of head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketface.export import EXPORTERS, ExportReport, ExportRequest, export_model
from pocketface.tasks.weights import open_weights

from ..tiny_network import FCOS, SSD, TEMPLATE, write_tiny_weights

MakeWeights = Callable[..., Path]
FORMATS = ["openvino", "onnx"]
FILES = ["model.bin", "model.onnx", "model.onnx.parity.json", "model.xml", "model.xml.parity.json"]


def run(
    weights: Path | None, folder: Path, *, template: str | Path | None = None, **options: Any
) -> ExportReport:
    read = open_weights(None if template is None else str(template), weights)
    return export_model(
        ExportRequest(weights=read, folder=folder, **{"formats": FORMATS} | options)
    )


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Template texts by kind of head."""
    return {"dense": TEMPLATE, "ssd": SSD, "fcos": FCOS}


@pytest.fixture(scope="session")
def two_formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny template, file, that wants `FORMATS` and no other."""
    formats = ", ".join(f"{name}: {str(name in FORMATS).lower()}" for name in EXPORTERS)
    path = tmp_path_factory.mktemp("two_formats") / "template.yaml"
    path.write_text(TEMPLATE.replace("{openvino: true, onnx: true}", f"{{{formats}}}"))
    return path


@pytest.fixture(scope="session")
def make_weights() -> MakeWeights:
    """Writes weights.safetensors of a template's text into a folder."""
    return write_tiny_weights


@pytest.fixture(scope="session")
def weights(tiny_weights: Path) -> Path:
    """Of the dense tiny network."""
    return tiny_weights
