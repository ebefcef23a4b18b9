"""Model files for the tests of this room."""

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


def contract_of(count: int, *, landmarks: bool, batch: int = -1, **changes: Any) -> Contract:
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
        "labels": ("face",),
        "score_threshold": 0.5,
        "nms_iou": 0.4,
        "provenance": {"template": "constant", "package_version": "0"},
    }
    content.update(changes)
    return Contract.model_validate({**content, "outputs": tuple(content["outputs"])})


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Writes an ONNX file that finds the same boxes in every picture.

    Except that every score is multiplied by the blue of the input's first pixel / 255, so that
    pictures of a batch can be told apart.
    """
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    def make(
        boxes: list[list[float]],
        scores: list[float],
        landmarks: list[list[list[float]]] | None = None,
        *,
        name: str = "constant.onnx",
        contract: str | None = "",
        batch: int = -1,
        **changes: Any,
    ) -> Path:
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
                count, landmarks=landmarks is not None, batch=batch, **changes
            ).to_json()
        if contract is not None:
            model.metadata_props.add(key=CONTRACT_KEY, value=contract)
            model.metadata_props.add(key=SEAL_KEY, value=BLANK_SEAL)
        onnx.checker.check_model(model, full_check=True)
        path = tmp_path / name
        onnx.save(model, path)
        if contract is not None:
            seal(path)
        return path

    return make


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny network as weights.safetensors, weights.pth, model.onnx and .xml."""
    for package in ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "safetensors"):
        pytest.importorskip(package)
    import torch

    from pocketface.export import export_model
    from pocketface.tasks.templates import parse_template
    from pocketface.models.network import Network
    from pocketface.models.weights import write_weights

    folder = tmp_path_factory.mktemp("exported")
    text = (Path(__file__).parents[1] / "tiny_template.yaml").read_text()
    torch.manual_seed(0)
    network = Network(parse_template(text, source="tiny").architecture)
    for suffix in ("safetensors", "pth"):
        write_weights(
            folder / f"weights.{suffix}",
            template_text=text,
            state_dict=network.state_dict(),
            epochs=0,
        )
    export_model(
        weights=folder / "weights.safetensors",
        template=None,
        folder=folder,
        formats=["openvino", "onnx"],
        verify=False,
    )
    return folder
