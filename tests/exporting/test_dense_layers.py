"""FP16 files hold large dense layers in 16 bits, in every format: they are nearly all of some."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pocketface.exporting import EXPORTERS, ExportRequest, export_model
from pocketface.models.network import make_network
from pocketface.models.weights import read_weights, write_weights
from pocketface.tasks.templates import parse_template

from ..tasks.classification.test_suite import TINY_CLASSIFIER

HIDDEN = TINY_CLASSIFIER.replace("channels: [8, 8]", "channels: [8, 128]").replace(
    "{type: classes, classes: 2}", "{type: classes, classes: 2, hidden: 1024}"
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "name", [name for name in EXPORTERS if "fp16" in EXPORTERS[name].precisions]
)
def test_half_the_bits_are_half_the_bytes(name: str, tmp_path: Path) -> None:
    for package in EXPORTERS[name].packages:
        pytest.importorskip(package, reason=f"needs {package}")
    torch.manual_seed(0)
    network = make_network(parse_template(HIDDEN, source="test").architecture)
    path = tmp_path / "weights.safetensors"
    write_weights(path, template_text=HIDDEN, state_dict=network.state_dict(), epochs=0)
    report = export_model(
        ExportRequest(
            weights=read_weights(path),
            folder=tmp_path / "out",
            formats=[name],
            precisions=["fp32", "fp16"],
        )
    )
    assert {(one.status, one.reason) for one in report.files} == {("passed", None)}
    whole, half = (
        {
            one.file.suffix: one.size
            for one in report.files
            if one.file and one.precision == precision
        }
        for precision in ("fp32", "fp16")
    )
    for suffix, size in half.items():
        assert size < 0.6 * whole[suffix], suffix
