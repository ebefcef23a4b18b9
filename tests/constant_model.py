"""Model files for tests of what is done with them: they find the same boxes in every picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketface.model_templates.contract import CONTRACT_KEY, Contract
from pocketface.runtimes.seal import BLANK_SEAL, SEAL_KEY, seal

HEIGHT, WIDTH = 80, 160

MakeModel = Callable[..., Path]

_RULES = {"labels": ["face"], "score_threshold": 0.5, "nms_iou": 0.4}


def contract_of(
    count: int, *, landmarks: bool, batch: int = -1, rules: dict[str, Any], **changes: Any
) -> Contract:
    """Of `count` boxes; `changes` of the contract's fields, `rules` of its rules."""
    outputs = [
        {"name": "boxes", "shape": (batch, count, 4), "meaning": "box", "unit": "px"},
        {"name": "scores", "shape": (batch, count), "meaning": "score", "unit": "0-1"},
    ]
    if landmarks:
        outputs.append(
            {"name": "landmarks", "shape": (batch, count, 5, 2), "meaning": "points", "unit": "px"}
        )
    content = {
        "name": "constant",
        "task": "face-detection",
        "input": {"shape": (batch, 3, HEIGHT, WIDTH), "resize": "letterbox"},
        "outputs": outputs,
        "rules": _RULES | rules,
        "provenance": {"template": "constant", "package_version": "0"},
    }
    content.update(changes)
    return Contract.model_validate({**content, "outputs": tuple(content["outputs"])})


def write_model(
    path: Path,
    boxes: list[list[float]],
    scores: list[float],
    landmarks: list[list[list[float]]] | None = None,
    *,
    contract: str | None = "",
    batch: int = -1,
    rules: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write an ONNX file that finds the same boxes in every picture.

    Except that every score is multiplied by the blue of the input's first pixel / 255, so that
    pictures of a batch can be told apart.

    Args:
        path: Of the file.
        boxes: (N, 4), pixels of the input, which is 80 x 160.
        scores: (N,).
        landmarks: (N, 5, 2).
        contract: JSON; "" for one that fits, None for none.
        batch: Fixed batch size; -1 for any.
        rules: What is to be different in the contract's rules.
        **changes: Other fields of the contract.
    """
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    size: int | str = "batch" if batch == -1 else batch
    count = len(scores)
    constants = {
        "boxes_": np.array(boxes, np.float32).reshape(1, count, 4),
        "scores_": np.array(scores, np.float32).reshape(1, count),
    }
    shapes: dict[str, list[int | str]] = {
        "boxes": [size, count, 4],
        "scores": [size, count],
    }
    if landmarks is not None:
        constants["landmarks_"] = np.array(landmarks, np.float32).reshape(1, count, 5, 2)
        shapes["landmarks"] = [size, count, 5, 2]
    ranks = {"boxes": 3, "scores": 2, "landmarks": 4}
    nodes = [
        helper.make_node("Slice", ["image", "zero3", "one3", "axes3"], ["corner"]),
        helper.make_node("Div", ["corner", "full"], ["blue"]),
        helper.make_node("Sub", ["blue", "blue"], ["nought"]),
    ]
    tensors = {
        "zero3": np.zeros(3, np.int64),
        "one3": np.ones(3, np.int64),
        "axes3": np.array([1, 2, 3]),
        "full": np.array(255, np.float32),
        **constants,
    }
    for output in shapes:
        tensors[f"{output}_shape"] = np.array([-1] + [1] * (ranks[output] - 1))
        source = "blue" if output == "scores" else "nought"
        nodes += [
            helper.make_node("Reshape", [source, f"{output}_shape"], [f"{output}_by"]),
            helper.make_node(
                "Mul" if output == "scores" else "Add", [f"{output}_", f"{output}_by"], [output]
            ),
        ]
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", floats, [size, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info(n, floats, s) for n, s in shapes.items()],
        [numpy_helper.from_array(array, key) for key, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if contract == "":
        contract = contract_of(
            count, landmarks=landmarks is not None, batch=batch, rules=rules or {}, **changes
        ).to_json()
    if contract is not None:
        model.metadata_props.add(key=CONTRACT_KEY, value=contract)
        model.metadata_props.add(key=SEAL_KEY, value=BLANK_SEAL)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    if contract is not None:
        seal(path)
    return path
