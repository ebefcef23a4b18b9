"""Other people's outputs: padding is no answer, and does not tell shares from pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pocketface.results import Detections
from pocketface.tasks.detection.foreign import open_detector
from pocketface.tasks.detection.preprocessing import Preprocessing

SIDE = 64
BOXES = np.array([[10, 8, 30, 32], [40, 20, 60, 44]], np.float32)
SCORES = np.array([0.9, 0.6], np.float32)
Find = Callable[..., Detections]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """What a file finds that gives the same outputs for any photo of 64x64."""

    def find(**outputs: NDArray[Any]) -> Detections:
        path = tmp_path / "constant.onnx"
        value = onnx.helper.make_tensor_value_info
        nodes = [
            onnx.helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))
            for name, array in outputs.items()
        ]
        given = [
            value(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in outputs.items()
        ]
        image = value("image", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])
        graph = onnx.helper.make_graph(nodes, "constant", [image], given)
        opset = [onnx.helper.make_opsetid("", 18)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
        photo = np.zeros((SIDE, SIDE, 3), np.uint8)
        way = Preprocessing.parse("bgr,0-255,letterbox")
        return open_detector(path).find(photo, way, score_threshold=0.02, nms_iou=0.45)

    return find


def padded(array: NDArray[Any], value: float, *, rows: int = 100) -> NDArray[Any]:
    return np.concatenate([array, np.full((rows, *array.shape[1:]), value, array.dtype)])[None]


@pytest.mark.parametrize("scale", [1.0, 1 / SIDE], ids=["pixels", "shares"])
@pytest.mark.parametrize(
    ("box", "score"),
    [(0, 0), (-1, -1), (-1, 0), (np.nan, np.nan), (np.nan, 0), (7, 0), (0.01, 0), (5000, 0.0005)],
)
def test_rows_that_fill_up_say_nothing(find: Find, scale: float, box: float, score: float) -> None:
    found = find(boxes=padded(BOXES * np.float32(scale), box), scores=padded(SCORES, score))
    np.testing.assert_allclose(found.boxes, BOXES, atol=0.01)
    np.testing.assert_array_equal(found.scores, SCORES)


@pytest.mark.parametrize(
    "more",
    [
        {"num_detections": np.array([[2]], np.int32)},
        {"valid_count": np.array([2], np.float32)},
        {"labels": padded(np.zeros(2, np.int64), -1)},
        {"classes": padded(np.zeros(2, np.float32), -1)},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_a_graph_says_is_no_answer(find: Find, more: dict[str, NDArray[Any]]) -> None:
    """Though its leftovers have scores."""
    found = find(boxes=padded(BOXES, 0.5), scores=padded(SCORES, 0.8), **more)
    np.testing.assert_allclose(found.boxes, BOXES, atol=0.01)


def test_shares_that_lie_a_little_outside(find: Find) -> None:
    boxes = np.array([[-0.1, -0.2, 1.1, 1.2]], np.float32)
    found = find(boxes=padded(boxes, 0), scores=padded(np.array([0.9], np.float32), 0))
    np.testing.assert_allclose(found.boxes, [[0, 0, SIDE, SIDE]])


def test_landmarks_are_of_the_same_unit(find: Find) -> None:
    points = np.repeat(BOXES, 5, axis=0)[:, :2].reshape(2, 10)
    for scale in (1.0, 1 / SIDE):
        found = find(
            boxes=padded(BOXES * np.float32(scale), 0),
            scores=padded(SCORES, 0),
            landmarks=padded(points * np.float32(scale), 0),
        )
        assert found.landmarks is not None
        np.testing.assert_allclose(found.landmarks.reshape(2, 10), points, atol=0.01)


ROWS = np.array([[0, 1, 0.9, 0.1, 0.1, 0.4, 0.5], [0, 1, 0.8, 0.6, 0.1, 0.9, 0.5]], np.float32)


@pytest.mark.parametrize(
    ("first", "faces"), [((0, 0, 0), 2), ((0, -1, 0), 1), ((-1, 0, 0), 0), ((-1, -1, -1), 0)]
)
def test_the_end_mark_of_detection_output(find: Find, first: tuple[int, ...], faces: int) -> None:
    rows = np.concatenate([ROWS, np.zeros((1, 7), np.float32)])
    rows[:, 0] = first
    assert len(find(detection_out=rows[None, None])) == faces
