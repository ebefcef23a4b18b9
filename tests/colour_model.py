"""A segmenter's file for tests of what is done with it: its answer is the colour of each pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.model_templates.contract import CONTRACT_KEY, Contract
from pocketface.runtimes.seal import BLANK_SEAL, SEAL_KEY, seal

SIDE = 64
POINTS = ((24.4, 30.4), (39.8, 30.4), (32.1, 39.5), (25.5, 46.3), (38.7, 46.3))


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
    shape = (-1, len(classes), SIDE, SIDE)
    contract = Contract.model_validate(
        {
            "name": "colour",
            "task": "face-segmentation",
            "input": {"shape": (-1, 3, SIDE, SIDE), "resize": "align", "points": POINTS},
            "outputs": (
                {"name": "mask", "shape": shape, "meaning": "of each class", "unit": "0 to 1"},
            ),
            "rules": {"classes": [*classes], "threshold": 0.5},
            "provenance": {"template": "colour", "package_version": "0"},
        }
    )
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
