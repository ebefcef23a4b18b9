"""A segmenter's file for tests of what is done with it: its answer is the colour of each pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.model_templates.contract import CONTRACT_KEY
from pocketface.runtimes.seal import BLANK_SEAL, SEAL_KEY, seal

from .segmenter_contract import segmenter_contract

SIDE = 64


def write_colour_model(path: Path, *classes: str) -> Path:
    """Write an ONNX file whose mask is its input / 255.

    Args:
        path: Of the file.
        classes: One, by default "face", is green; three are blue, red, green.
    """
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    classes = classes or ("face",)
    planes = [1] if len(classes) == 1 else [0, 2, 1]
    contract = segmenter_contract(*classes, side=SIDE)
    tensors = {"planes": np.array(planes), "full": np.array(255, np.float32)}
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["image", "planes"], ["chosen"], axis=1),
            helper.make_node("Div", ["chosen", "full"], ["mask"]),
        ],
        "colour",
        [helper.make_tensor_value_info("image", floats, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("mask", floats, ["batch", len(classes), SIDE, SIDE])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key=CONTRACT_KEY, value=contract.to_json())
    model.metadata_props.add(key=SEAL_KEY, value=BLANK_SEAL)
    onnx.save(model, path)
    seal(path)
    return path
