"""LiteRT files as others read them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.exporting import litert as litert_format
from pocketface.exporting.formats import Order
from pocketface.models.weights import build_network, read_weights
from pocketface.runtimes import litert
from pocketface.runtimes.litert import import_schema, read_metadata
from pocketface.tasks.describe import contract_for

for package in ("litert_torch", "ai_edge_litert"):
    pytest.importorskip(package, reason=f"needs {package}")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def folder(converted: Callable[[str], Path]) -> Path:
    return converted("litert")


def test_what_an_app_sees(folder: Path) -> None:
    """Names, shapes and types, by position too: Kotlin's older interface has no names."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "model.tflite"))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["boxes", "landmarks", "scores"]}
    }
    (image,) = interpreter.get_input_details()
    assert (image["name"], image["dtype"], list(image["shape"])) == (
        "image",
        np.float32,
        [1, 64, 96, 3],
    )
    shapes = {one["name"]: list(one["shape"]) for one in interpreter.get_output_details()}
    assert shapes == {"boxes": [1, 126, 4], "scores": [1, 126], "landmarks": [1, 126, 5, 2]}


def test_the_converter_gets_a_path_in_utf_8(
    folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Edge:
        def export(self, path: str) -> None:
            path.encode()
            shutil.copy(folder / "model.tflite", path)

    given: dict[str, Any] = {
        "to_channel_last_io": lambda network, **_: network,
        "convert": lambda *_: Edge(),
    }
    monkeypatch.setitem(sys.modules, "litert_torch", SimpleNamespace(**given))
    read = read_weights(weights)
    odd = tmp_path / os.fsdecode(b"mod\xe8les")
    odd.mkdir()
    contract = contract_for(read.template, weights=read)
    order = Order(network=build_network(read), contract=contract, folder=odd, stem="model")
    (path,) = litert_format.convert(order)
    assert path.parent == odd
    assert pocketface.load(path).contract.name == "tiny"


def test_metadata(folder: Path) -> None:
    content = (folder / "model.tflite").read_bytes()
    contract = pocketface.load(folder / "model.tflite").contract
    assert read_metadata(content, "pocketface.contract") == contract.to_json()
    assert read_metadata(content, "nothing") is None
    # The runtimes that can read the file are told by the converter's own entry.
    assert read_metadata(content, "min_runtime_version")


def _kernel_types(path: Path) -> set[Any]:
    schema = import_schema()
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (graph,) = model.subgraphs
    kinds = {index: code.builtinCode for index, code in enumerate(model.operatorCodes)}
    stored = {
        op.outputs[0]: op.inputs[0]
        for op in graph.operators
        if kinds[op.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE
    }
    convolutions = [
        op for op in graph.operators if kinds[op.opcodeIndex] == schema.BuiltinOperator.CONV_2D
    ]
    assert convolutions
    return {graph.tensors[stored.get(op.inputs[1], op.inputs[1])].type for op in convolutions}


def test_kernels_are_stored_as_the_precision_says(folder: Path) -> None:
    kinds = import_schema().TensorType
    assert _kernel_types(folder / "model.tflite") == {kinds.FLOAT32}
    assert _kernel_types(folder / "model_fp16.tflite") == {kinds.FLOAT16}


@pytest.mark.parametrize("name", ["model.tflite", "model_fp16.tflite"])
def test_tensorflow_runs_it_alike(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ai-edge-litert is not installed."""
    pytest.importorskip("tensorflow", reason="needs tensorflow")
    image = np.random.default_rng(2).uniform(0, 255, (1, 3, 64, 96)).astype(np.float32)
    expected = pocketface.load(folder / name).raw(image)
    for module in [one for one in sys.modules if one.split(".")[0] == "ai_edge_litert"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    found = pocketface.load(folder / name).raw(image)
    assert litert._interpreter_class().__module__.startswith("tensorflow")
    for key, array in expected.items():
        np.testing.assert_allclose(found[key], array, atol=1e-3, rtol=0)
