"""An `.onnx` file has all of its weights in itself, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from pocketface.errors import ModelFileError
from pocketface.runtimes import open_session
from pocketface.runtimes.seal import seal
from pocketface.tasks.load import load

RUNTIMES = ("onnxruntime", "openvino")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_ours_with_weights_beside_it_is_refused(
    runtime: str, exported: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    model = onnx.load(exported / "model.onnx")
    onnx.save(model, path, save_as_external_data=True, location="w.data", size_threshold=0)
    seal(path)  # which covers no other file
    with pytest.raises(
        ModelFileError, match=r"model\.onnx: has weights in another file, 'w\.data'"
    ):
        load(path, runtime=runtime)


def _outside() -> Any:
    tensor = helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], np.ones(1, np.float32))
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../w.data")
    return tensor


def _inside(made: list[Any], *, of: str = "If") -> list[Any]:
    """A node with a graph inside."""
    value = helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph(made, "inside", [], [value])
    return [helper.make_node(of, ["yes"], ["w"], then_branch=graph, else_branch=graph)]


def _constant() -> list[Any]:
    return [helper.make_node("Constant", [], ["w"], value=_outside())]


def _sparse() -> list[Any]:
    tensor = onnx.SparseTensorProto(values=_outside(), dims=[1])
    return [helper.make_node("Constant", [], ["w"], sparse_value=tensor)]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "place",
    [
        lambda graph, _: graph.initializer.append(_outside()),
        lambda graph, _: graph.sparse_initializer.add(values=_outside()),
        lambda graph, _: graph.node.extend(_constant()),
        lambda graph, _: graph.node.extend(_sparse()),
        lambda graph, _: graph.node.extend(_inside(_inside(_constant()))),
        lambda _, model: model.functions.add(name="f", domain="d").node.extend(_constant()),
    ],
    ids=["initializer", "sparse", "constant", "sparse constant", "graph in graph", "function"],
)
def test_others_that_name_another_file_are_refused(
    runtime: str, place: Callable[[Any, Any], object], tmp_path: Path
) -> None:
    (image, answer) = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8])
        for name in ("image", "answer")
    )
    node = helper.make_node("Relu", ["image"], ["answer"])
    model = helper.make_model(
        helper.make_graph([node], "g", [image], [answer]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    (tmp_path / "w.data").write_bytes(bytes(4))
    path = tmp_path / "more" / "other.onnx"
    path.parent.mkdir()
    onnx.save(model, path)
    assert open_session(path, runtime=runtime).contract_json is None
    place(model.graph, model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"other\.onnx: has weights in another file, '\.\./w"):
        open_session(path, runtime=runtime)
