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
