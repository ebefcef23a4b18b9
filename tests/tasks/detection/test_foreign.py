"""Other people's files: which are refused, and which sizes they may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pocketface.errors import ModelFileError, UserError
from pocketface.tasks.detection.foreign import open_detector
from pocketface.tasks.detection.preprocessing import ALL_PREPROCESSINGS


def identity(
    path: Path, shape: list[Any], kind: int = onnx.TensorProto.FLOAT, output: str = "mask"
) -> Path:
    """A file that answers with its input."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], [output])],
        "identity",
        [value("image", kind, shape)],
        [value(output, kind, shape)],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([1, 3, 8, 8], r"outputs .*mask.*: expected those of boxes and scores; coordinates"),
        ([1, 8, 8, 5], r"inputs .*image.*: expected one image, \(B, 3, H, W\) or"),
        ([2, 3, 8, 8], "takes 2 images at once; expected 1 or any number"),
    ],
)
def test_what_is_no_detector_is_refused(tmp_path: Path, shape: list[int], message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        open_detector(identity(tmp_path / "m.onnx", shape))


def test_a_graph_that_takes_other_arrays_is_refused(tmp_path: Path) -> None:
    detector = open_detector(identity(tmp_path / "m.onnx", [1, 3, 1, 7], onnx.TensorProto.UINT8))
    with pytest.raises(ModelFileError, match=r"m\.onnx: does not answer a float32 image as SSD"):
        detector.find(
            np.zeros((9, 9, 3), np.uint8), ALL_PREPROCESSINGS[0], score_threshold=0.5, nms_iou=0.5
        )


@pytest.mark.parametrize(
    ("sides", "asked", "message"),
    [
        (["h", "w"], (100, 101), "--input-size 100x101: expected positive multiples of 32"),
        (["h", "w"], (0, 0), "--input-size 0x0: expected positive multiples of 32"),
        (
            ["h", "w"],
            (99968, 99968),
            "--input-size 99968x99968: above the limit of 64,000,000 pixels",
        ),
        ([64, 64], (32, 32), r"--input-size 32x32: .*m\.onnx has a fixed input of 64x64"),
    ],
)
def test_input_sizes(
    tmp_path: Path, sides: list[Any], asked: tuple[int, int], message: str
) -> None:
    path = identity(tmp_path / "m.onnx", [1, 3, *sides])
    with pytest.raises(UserError, match=message):
        open_detector(path, input_size=asked)


def test_ours_take_the_sizes_of_their_contract() -> None:
    name = Path("face-detection-n")
    detector = open_detector(name, input_size=(96, 160), threads=1)
    assert detector.contract is not None
    assert detector.contract.input.multiple_of == 32
    assert (detector.height, detector.width) == (96, 160)
    assert detector.contract.input.shape[2:] == (96, 160)
    (shape,) = detector.session.input_shapes.values()
    assert shape[2:] == (96, 160)
    with pytest.raises(
        UserError, match=r"--input-size 100x160 .*\.onnx takes positive multiples of 32"
    ):
        open_detector(name, input_size=(100, 160), threads=1)


def test_centerface_is_decoded(tmp_path: Path) -> None:
    scores, offset = np.zeros((8, 16)), np.zeros((2, 8, 16))
    scores[2, 5] = 0.75  # the cell of y 8 to 12, x 20 to 24
    sides = np.log(np.stack([np.full((8, 16), 4.0), np.full((8, 16), 2.0)]))  # 16 high, 8 wide
    offset[:, 2, 5] = 0.25, -0.25  # centre at y 11, x 21
    shares = np.zeros((10, 8, 16))
    shares[2:4, 2, 5] = 0.25, 0.75  # the second point: y 3 + 4, x 17 + 6
    maps = (scores[None], sides, offset, shares)
    value = onnx.helper.make_tensor_value_info
    nodes, outputs = [], []
    for name, array in zip(("537", "538", "539", "540"), maps, strict=True):
        tensor = onnx.numpy_helper.from_array(array[None].astype(np.float32))
        nodes.append(onnx.helper.make_node("Constant", [], [f"c{name}"], value=tensor))
        # The sum over the image times 0 ties the answer to the input.
        nodes.append(onnx.helper.make_node("Add", [f"c{name}", "none"], [name]))
        outputs.append(value(name, onnx.TensorProto.FLOAT, [1, *array.shape]))
    zero = onnx.numpy_helper.from_array(np.float32(0), "zero")
    nodes.insert(0, onnx.helper.make_node("ReduceMax", ["image"], ["most"], keepdims=0))
    nodes.insert(1, onnx.helper.make_node("Mul", ["most", "zero"], ["none"]))
    image = value("image", onnx.TensorProto.FLOAT, [1, 3, 32, 64])
    graph = onnx.helper.make_graph(nodes, "centerface", [image], outputs, [zero])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "c.onnx"
    )
    detector = open_detector(tmp_path / "c.onnx", runtime="onnxruntime", threads=1)
    assert detector.kind == "CenterFace"
    found = detector.find(
        np.zeros((32, 64, 3), np.uint8), ALL_PREPROCESSINGS[0], score_threshold=0.5, nms_iou=0.5
    )
    assert found.scores.tolist() == [0.75]
    np.testing.assert_allclose(found.boxes, [[17, 3, 25, 19]], rtol=1e-5)
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks[0, 1], [23, 7], rtol=1e-5)
    np.testing.assert_allclose(found.landmarks[0, 0], [17, 3], rtol=1e-5)
