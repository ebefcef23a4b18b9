"""Files opened with another input size than their own."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.errors import ContractError, ModelFileError, UserError
from pocketface.exporting import ExportRequest, export_model
from pocketface.models.weights import read_weights
from pocketface.runtimes.seal import seal

from ..tiny_network import FCOS, TEMPLATE, write_tiny_weights

SIZE = (96, 32)
WAYS = [
    ("model.onnx", None),
    ("model.onnx", "openvino"),
    ("model.xml", None),
    ("model.pt", None),
]


def written(folder: Path, weights: Path, **options: Any) -> Path:
    formats = ["openvino", "onnx", "torchscript"]
    request = ExportRequest(
        weights=read_weights(weights), folder=folder, formats=formats, **options
    )
    assert not export_model(request).failed
    return folder


@pytest.fixture(scope="module")
def of_size(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, exported with the size that the tests ask for."""
    folder = tmp_path_factory.mktemp("of_size")
    return written(folder, tiny_weights, input_size=SIZE, verify=False)


@pytest.fixture(scope="module")
def with_nms(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("with_nms")
    return written(folder, tiny_weights, with_nms=True, verify=False)


def pictures(count: int, size: tuple[int, int] = SIZE) -> Any:
    return np.random.default_rng(3).uniform(0, 255, (count, 3, *size)).astype(np.float32)


@pytest.mark.parametrize(("name", "runtime"), WAYS)
def test_answers_are_those_of_an_export_with_that_size(
    exported: Path, of_size: Path, name: str, runtime: str | None
) -> None:
    model = pocketface.load(exported / name, runtime=runtime, input_size=SIZE)
    expected = pocketface.load(of_size / name, runtime=runtime)
    assert expected.contract.input == model.contract.input
    assert expected.contract.outputs == model.contract.outputs
    assert (model.contract.metrics, model.contract.parity) == ((), None)
    for batch in (pictures(1), pictures(2)):
        answers = expected.raw(batch)
        assert np.ptp(answers["scores"]) > 0.05
        for key, array in model.raw(batch).items():
            np.testing.assert_allclose(array, answers[key], atol=1e-4, rtol=0)
    again = pickle.loads(pickle.dumps(model))
    assert again.contract == model.contract


@pytest.mark.parametrize(("name", "runtime"), WAYS)
def test_its_own_size_may_be_asked_for(exported: Path, name: str, runtime: str | None) -> None:
    model = pocketface.load(exported / name, runtime=runtime, input_size=(64, 96))
    assert model.contract == pocketface.load(exported / name, runtime=runtime).contract


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((96, 48), r"--input-size 96x48 \(height x width\): {} takes positive multiples of 32"),
        ((0, 32), r"--input-size 0x32 .*: {} takes positive multiples of 32"),
        ((1 << 15, 1 << 15), r"--input-size 32768x32768 .*: above the limit of 64,000,000 pixels"),
    ],
)
@pytest.mark.parametrize(("name", "runtime"), WAYS)
def test_sizes_that_are_refused(
    exported: Path, name: str, runtime: str | None, size: tuple[int, int], message: str
) -> None:
    path = exported / name
    with pytest.raises(UserError, match=message.format(path)):
        pocketface.load(path, runtime=runtime, input_size=size)


@pytest.mark.parametrize("name", ["model.xml", "model.onnx"])
def test_nms_inside(with_nms: Path, tiny_weights: Path, name: str) -> None:
    path = (with_nms / name).with_stem("model_nms")
    model = pocketface.load(path, input_size=SIZE)
    assert model.contract.input.shape == (1, 3, *SIZE)
    photo = pictures(1)[0].transpose(1, 2, 0).astype(np.uint8)
    found = model.predict(photo)
    expected = pocketface.load(tiny_weights, input_size=SIZE).predict(photo)
    assert len(expected) > 0
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)


@pytest.mark.parametrize("name", ["model.xml", "model.onnx", "model.pt"])
@pytest.mark.parametrize("text", [FCOS, TEMPLATE.replace(", multiple_of: 32", "")])
def test_files_of_a_fixed_size(tmp_path: Path, text: str, name: str) -> None:
    folder = written(tmp_path, write_tiny_weights(tmp_path, text), verify=False)
    assert pocketface.load(folder / name).contract.input.multiple_of is None
    with pytest.raises(UserError, match=r"--input-size 96x32: the input of .* is 64x96 for good"):
        pocketface.load(folder / name, input_size=SIZE)


def contract_changed(path: Path, old: str, new: str) -> None:
    """Change the contract in a file, to a text of the same length."""
    content = path.read_bytes()
    assert content.count(old.encode()) == 1
    assert len(old) == len(new)
    path.write_bytes(content.replace(old.encode(), new.encode()))
    seal(path)


@pytest.mark.parametrize(("name", "runtime"), WAYS)
def test_a_contract_of_another_size_than_its_graph(
    exported: Path, tmp_path: Path, name: str, runtime: str | None
) -> None:
    for file in exported.glob("model.*"):
        shutil.copy(file, tmp_path)
    contract_changed(tmp_path / name, "[-1,3,64,96]", "[-1,3,64,32]")
    for size in (None, SIZE):
        with pytest.raises((ModelFileError, ContractError), match=r"contract"):
            pocketface.load(tmp_path / name, runtime=runtime, input_size=size)


def with_a_constant(model: Any) -> None:
    import onnx

    last = next(one for one in model.graph.node if "scores" in one.output)
    last.output[list(last.output).index("scores")] = "free scores"
    shape = onnx.numpy_helper.from_array(np.array([-1, 126]), "for good")
    model.graph.initializer.append(shape)
    inputs = ["free scores", "for good"]
    model.graph.node.append(onnx.helper.make_node("Reshape", inputs, ["scores"]))


def without_sides(model: Any) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[2:]


def with_a_name(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"


def negative(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = -96


@pytest.mark.parametrize(
    "forge", [with_a_constant, without_sides, with_a_name, negative], ids=lambda one: one.__name__
)
def test_forged_sizes(exported: Path, tmp_path: Path, forge: Callable[[Any], None]) -> None:
    import onnx

    model = onnx.load(exported / "model.onnx")
    forge(model)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    seal(path)
    with pytest.raises((ModelFileError, ContractError)):
        pocketface.load(path, input_size=SIZE).raw(pictures(2))
