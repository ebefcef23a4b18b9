"""NMS inside an ONNX graph: the faces that a runtime around it would find, and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import pocketface
from pocketface.exporting.nms import append_nms
from pocketface.runtimes import open_session

MakeModel = Callable[..., Path]

# x1, y1, x2, y2; of the first two, IoU is 0.9.
BOXES = [
    [0.0, 0.0, 20.0, 20.0],
    [0.0, 2.0, 20.0, 20.0],
    [40.0, 0.0, 60.0, 20.0],
    [80.0, 0.0, 99.0, 20.0],
    [110.0, 0.0, 130.0, 20.0],
]
WHITE = np.full((1, 3, 80, 160), 255, np.float32)


def faces_of(path: Path, runtime: str, tmp_path: Path) -> dict[str, np.ndarray]:
    """What the graph with NMS inside answers."""
    graph, contract = append_nms(onnx.load(path), pocketface.load(path).contract)
    assert contract.rules["nms"] == "graph"
    onnx.checker.check_model(graph, full_check=True)
    del graph.metadata_props[:]  # it has the seal of the other file
    onnx.save(graph, tmp_path / "nms.onnx")
    return open_session(tmp_path / "nms.onnx", runtime=runtime).run(WHITE)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_score_equal_to_the_threshold_is_a_face(
    make_model: MakeModel, tmp_path: Path, runtime: str
) -> None:
    pytest.importorskip(runtime)
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    path = make_model(BOXES, [0.75, 0.25, 0.5, below, 1.0])
    wanted = pocketface.load(path).predict(np.full((80, 160, 3), 255, np.uint8))
    np.testing.assert_array_equal(wanted.scores, np.array([1, 0.75, 0.5], np.float32))
    found = faces_of(path, runtime, tmp_path)
    np.testing.assert_array_equal(found["scores"][0], wanted.scores)
    np.testing.assert_array_equal(found["boxes"][0], wanted.boxes)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(("iou", "kept"), [(0.89, [4, 0, 2]), (0.91, [4, 0, 1, 2])])
def test_the_better_of_two_that_overlap_is_kept(
    make_model: MakeModel, tmp_path: Path, runtime: str, iou: float, kept: list[int]
) -> None:
    pytest.importorskip(runtime)
    scores = [0.875, 0.75, 0.625, 0.25, 1.0]
    landmarks: Any = [[[10.0 * index + point, point] for point in range(5)] for index in range(5)]
    path = make_model(BOXES, scores, landmarks, rules={"nms_iou": iou})
    found = faces_of(path, runtime, tmp_path)
    np.testing.assert_array_equal(found["scores"][0], np.array(scores, np.float32)[kept])
    np.testing.assert_array_equal(found["landmarks"][0], np.array(landmarks, np.float32)[kept])
