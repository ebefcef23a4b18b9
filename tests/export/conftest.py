"""Networks to export: the tiny one of `tiny_template.yaml`, with each kind of head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pocketface.export import EXPORTERS, ExportReport, ExportRequest, export_model
from pocketface.models.network import Network
from pocketface.models.weights import write_weights
from pocketface.tasks.templates import parse_template
from pocketface.tasks.weights import open_weights

TEMPLATE = (Path(__file__).parents[1] / "tiny_template.yaml").read_text()
# The same network with the other heads, scores and input rules that templates have.
SSD = """\
  head:
    type: ssd
    anchors:
      - {stride: 8, widths: [8, 12.5], heights: [10, 20]}
      - {stride: 16, widths: [30], heights: [40]}
      - {stride: 32, widths: [60, 70, 80], heights: [60, 90, 80]}
"""
SSD = TEMPLATE[: TEMPLATE.index("  head:")] + SSD + TEMPLATE[TEMPLATE.index("inference:") :]
FCOS = (
    TEMPLATE.replace("norm: batch", "norm: group")
    .replace("shared: false", "shared: true\n    centerness: true")
    .replace("    landmarks: true\n", "")
    .replace(", landmark_weight: 0.1", "")
    .replace("resize: letterbox, multiple_of: 32", "resize: stretch")
)


def write_tiny_weights(folder: Path, text: str = TEMPLATE, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = Network(parse_template(text, source="test").architecture)
    # Far from the small numbers of initialisation, as trained networks are.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
    for name, parameter in network.head.named_parameters():
        if name.endswith("weight") and parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=0.1)
        elif name.endswith("classes.bias"):
            torch.nn.init.zeros_(parameter)
    path = folder / "weights.safetensors"
    write_weights(
        path,
        template_text=text,
        state_dict=network.state_dict(),
        epochs=3,
        data="nothing",
        seed=seed,
    )
    return path


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
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the dense tiny network."""
    return write_tiny_weights(tmp_path_factory.mktemp("weights"))
