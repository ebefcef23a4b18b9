"""Of a detector of two stages the first is quantized, and what looks at its boxes stays float."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.compressing import openvino as quantizer
from pocketface.exporting import ExportRequest, export_model
from pocketface.models.weights import read_weights

from ..exporting.test_anchor_heads import text_of
from ..tiny_network import write_tiny_weights
from .conftest import needs_nncf

pytestmark = needs_nncf


def test_only_what_convolutions_follow_is_rounded(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    weights = read_weights(write_tiny_weights(tmp_path, text_of("two_stage")))
    request = ExportRequest(weights=weights, folder=tmp_path, formats=["openvino"], verify=False)
    (path,) = export_model(request).paths
    model = pocketface.load(path)
    contract = model.contract.of_fixed_size().model_copy(update={"precision": "int8"})
    pictures = np.random.default_rng(0).uniform(0, 255, (3, 1, 3, 64, 96)).astype(np.float32)
    target = tmp_path / "model_int8.xml"
    quantizer.quantize(path, target, contract, list(pictures))

    kinds = {"Convolution": 0, "MatMul": 0, "ROIAlign": 0}
    for op in openvino.Core().read_model(target).get_ops():
        kind = op.get_type_name()
        if kind in kinds:
            kinds[kind] += _is_rounded(op)
    assert kinds == {"Convolution": len(quantizer.layers(path)), "MatMul": 0, "ROIAlign": 0}

    for picture in pictures:
        expected, found = model.raw(picture), pocketface.load(target).raw(picture)
        assert np.abs(np.sort(expected["scores"]) - np.sort(found["scores"])).max() < 0.01


def _is_rounded(op: Any) -> bool:
    return any(one.get_node().get_type_name() == "FakeQuantize" for one in op.input_values())
