"""Of a detector of two stages the first is quantized, and what looks at its boxes stays float."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import pocketface
from pocketface.compressing import onnx as onnx_quantizer
from pocketface.compressing import openvino as quantizer
from pocketface.compressing.request import CompressRequest
from pocketface.compressing.run import compress
from pocketface.data.pictures import check_photos
from pocketface.errors import UserError
from pocketface.exporting import ExportRequest, export_model
from pocketface.models.weights import read_weights
from pocketface.tasks.measuring import Labels

from ..exporting.test_anchor_heads import text_of
from ..tiny_network import write_tiny_weights
from .conftest import export, needs_nncf

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


def test_of_onnx_likewise(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    weights = read_weights(write_tiny_weights(tmp_path, text_of("two_stage")))
    path = export(weights, tmp_path, "onnx")
    contract = pocketface.load(path).contract.of_fixed_size()
    contract = contract.model_copy(update={"precision": "int8"})
    pictures = np.random.default_rng(0).uniform(0, 255, (3, 1, 3, 64, 96)).astype(np.float32)
    target = tmp_path / "model_int8.onnx"
    onnx_quantizer.quantize(path, target, contract, list(pictures))

    graph = onnx.load(target).graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    kinds = {"Conv": 0, "Gemm": 0}
    for node in graph.node:
        if node.op_type in kinds:
            kinds[node.op_type] += made.get(node.input[0]) == "DequantizeLinear"
    assert kinds == {"Conv": len(onnx_quantizer.layers(path)), "Gemm": 0}
    for picture in pictures:
        expected, found = (pocketface.load(one).raw(picture)["scores"] for one in (path, target))
        assert np.abs(np.sort(expected) - np.sort(found)).max() < 0.01


@pytest.fixture
def request_of_all(tmp_path: Path) -> CompressRequest:
    """Of tiny random weights, with two photos to measure on, and without formats' names."""
    (tmp_path / "photos").mkdir()
    content: dict[str, Any] = {"categories": [{"id": 1, "name": "face"}]}
    content |= {"images": [], "annotations": []}
    for index, photo in enumerate(check_photos()[:2]):
        small = cv2.resize(photo.pixels, (96, 64), interpolation=cv2.INTER_AREA)
        assert cv2.imwrite(str(tmp_path / "photos" / f"{index}.png"), small)
        box = {"image_id": index, "category_id": 1, "bbox": [30, 10, 30, 30], "area": 900}
        content["annotations"].append({"id": index, "iscrowd": 0, **box})
        content["images"].append(
            {"id": index, "file_name": f"{index}.png", "width": 96, "height": 64}
        )
    (tmp_path / "faces.json").write_text(json.dumps(content))
    labels = Labels([tmp_path / "faces.json"], [tmp_path / "photos"])
    return CompressRequest(
        weights=read_weights(write_tiny_weights(tmp_path, text_of("two_stage"))),
        train=labels,
        validation=labels,
        folder=tmp_path / "out",
        post_training=True,
        goal="size",
    )


def test_without_names_the_formats_are_those_that_it_can_have(
    request_of_all: CompressRequest,
) -> None:
    report = compress(request_of_all)
    assert [(row.format, row.status) for row in report.rows] == [
        ("openvino", "float"),
        ("onnx", "float"),
    ]
    # Made and measured, but of so few weights that nothing is gained.
    assert all("of the size; expected less" in str(row.reason) for row in report.rows)


@pytest.mark.parametrize("head", ["two_stage", "probabilistic_two_stage"])
def test_quantization_during_training_is_refused_in_one_line(
    request_of_all: CompressRequest, tmp_path: Path, head: str
) -> None:
    weights = read_weights(write_tiny_weights(tmp_path, text_of(head)))
    asked = replace(request_of_all, weights=weights, post_training=False, quantization=True)
    with pytest.raises(UserError, match=r"^--nncf-quantization: tiny has a head of two stages"):
        compress(asked)
    assert not request_of_all.folder.exists()


def test_another_format_is_refused_before_anything_is_read(
    request_of_all: CompressRequest,
) -> None:
    asked = replace(request_of_all, formats=["onnx", "coreml"])
    with pytest.raises(UserError, match=r"^format coreml: a head of two stages crops"):
        compress(asked)
    assert not request_of_all.folder.exists()
