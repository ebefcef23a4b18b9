"""Detectors of two stages, and RetinaNet's head, in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import pocketface
from pocketface.exporting import EXPORTERS
from pocketface.model_templates import template_path
from pocketface.models.network import make_network
from pocketface.models.weights import build_network, read_weights, write_weights
from pocketface.results import pairwise_iou
from pocketface.tasks.templates import parse_template

from ..tiny_network import HEADS, TEMPLATE, write_tiny_weights
from .conftest import run

FORMATS = ["onnx", "openvino", "torchscript"]
FILES = ["model.onnx", "model_nms.onnx", "model.xml", "model_nms.xml", "model.pt"]


def text_of(head: str) -> str:
    start, end = TEMPLATE.index("  head:"), TEMPLATE.index("inference:")
    return TEMPLATE[:start] + HEADS[head] + TEMPLATE[end:]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two stages; all proposals' points are counted, as in Detectron2."""
    folder = tmp_path_factory.mktemp("two_stage")
    text = text_of("two_stage").replace("sampling_ratio: 2", "sampling_ratio: 0")
    report = run(write_tiny_weights(folder, text), folder, formats=FORMATS, with_nms=True)
    assert [one.file and one.file.name for one in report.files] == FILES
    assert {(one.status, one.reason) for one in report.files} == {("passed", None)}
    return folder


@pytest.mark.parametrize("size", [None, (128, 64)])
@pytest.mark.parametrize("name", FILES)
def test_files_find_what_the_network_finds_at_any_size(
    exported: Path, name: str, size: tuple[int, int] | None
) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    expected = pocketface.load(exported / "weights.safetensors", input_size=size).predict(photo)
    assert len(expected) > 3
    model = pocketface.load(exported / name, input_size=size)
    one, other = model.predict_batch([photo, photo])
    for found in (one, other):
        assert len(found) == len(expected)
        assert pairwise_iou(expected.boxes, found.boxes).max(1).min() > 0.999
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    if "nms" not in name:
        assert model.contract.outputs[0].shape == (-1, 32, 4)


def test_a_dense_first_stage_gives_its_landmarks_in_files_too(tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path, text_of("probabilistic_two_stage"))
    report = run(weights, tmp_path, formats=FORMATS)
    assert {(one.status, one.reason) for one in report.files} == {("passed", None)}
    photo = np.random.default_rng(1).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    size = (128, 64)
    expected = pocketface.load(weights, input_size=size).predict(photo)
    assert len(expected) > 3
    assert expected.landmarks is not None
    for one in report.files:
        assert one.file is not None
        found = pocketface.load(one.file, input_size=size).predict(photo)
        same = pairwise_iou(expected.boxes, found.boxes).argmax(1)
        assert found.landmarks is not None
        np.testing.assert_allclose(found.boxes[same], expected.boxes, atol=0.01)
        np.testing.assert_allclose(found.landmarks[same], expected.landmarks, atol=0.01)


@pytest.mark.parametrize("min_score", [0.5, 0.9999])
def test_files_look_at_no_more_than_they_have_to(tmp_path: Path, min_score: float) -> None:
    """Nor at anything, where the first stage finds nothing."""
    import onnx
    import onnxruntime

    text = text_of("probabilistic_two_stage")
    text = text.replace("post_nms_topk: 32}", f"post_nms_topk: 32, min_score: {min_score}}}", 1)
    weights = write_tiny_weights(tmp_path, text)
    report = run(weights, tmp_path, formats=FORMATS)
    assert {(one.status, one.reason) for one in report.files} == {("passed", None)}
    photo = np.random.default_rng(1).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    expected = pocketface.load(weights).predict(photo)
    assert len(expected) == 0 if min_score > 0.9 else len(expected) > 3
    for name in ("model.onnx", "model.xml", "model.pt"):
        assert len(pocketface.load(tmp_path / name).predict(photo)) == len(expected)
    graph = onnx.load(tmp_path / "model.onnx")
    crops = [node.output[0] for node in graph.graph.node if node.op_type == "RoiAlign"]
    for name in crops:
        graph.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    spec = read_weights(weights).template.input
    image = np.random.default_rng(2).uniform(0, 255, (1, 3, spec.height, spec.width))
    found = session.run(crops, {session.get_inputs()[0].name: image.astype(np.float32)})
    with torch.no_grad():
        raw = build_network(read_weights(weights))(torch.from_numpy(image).float(), raw=True)
    assert sum(len(one) for one in found) == raw.proposals.valid.sum()


def test_formats_without_layers_for_it_are_named_and_the_others_made(tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path, text_of("two_stage"))
    without = ["coreml", "litert", "tensorflow"]
    report = run(weights, tmp_path, formats=[*without, "torchscript"], verify=False)
    *refused, made = report.files
    assert [(one.format, one.status) for one in refused] == [(to, "failed") for to in without]
    for one in refused:
        assert one.reason is not None
        assert "RoIAlign" in one.reason
        assert "two stages" in one.reason
    assert made.status == "unchecked"


def test_torchscript_of_a_small_input_is_opened(tmp_path: Path) -> None:
    """Its second stage, of 750 boxes, has more values than are in proportion to such an input."""
    text = template_path("faster-rcnn-m").read_text(encoding="utf-8")
    network = make_network(parse_template(text, source="test").architecture)
    weights = tmp_path / "weights.safetensors"
    state = network.state_dict()
    write_weights(weights, template_text=text, state_dict=state, epochs=0, seed=0)
    run(weights, tmp_path, formats=["torchscript"], verify=False, input_size=(32, 32))
    model = pocketface.load(tmp_path / "model.pt")
    assert model.contract.outputs[0].shape == (-1, 750, 4)


def test_retinanet_goes_where_dense_detectors_go(tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path, text_of("retina"))
    report = run(weights, tmp_path, formats=FORMATS)
    assert {(one.status, one.reason) for one in report.files} == {("passed", None)}


@pytest.mark.full
@pytest.mark.parametrize("to", sorted(EXPORTERS.keys() - set(FORMATS)))
def test_retinanet_goes_to_phones_too(tmp_path: Path, to: str) -> None:
    pytest.importorskip(EXPORTERS[to].packages[0])
    weights = write_tiny_weights(tmp_path, text_of("retina"))
    # Of this size, the coarsest map has one cell.
    report = run(weights, tmp_path, formats=[to], input_size=(32, 32))
    assert {(one.status, one.reason) for one in report.files} == {("passed", None)}
