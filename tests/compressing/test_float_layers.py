"""Which layers of an int8 file stay float, and that they do."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.compressing.graph import behind, beside, last
from pocketface.compressing.promise import Promise
from pocketface.compressing.sensitivity import most_guilty_first
from pocketface.models.weights import Weights, read_weights
from pocketface.runtimes.session import Session
from pocketface.tasks.detection.parity import error
from pocketface.tasks.measuring import Labels, Measured
from pocketface.tasks.model import Model

from ..tiny_network import write_tiny_weights
from .conftest import (
    SUFFIXES,
    convolutions_of,
    export,
    needs_quantizers,
    noisy_faces,
    post_training,
    shipped,
)

pytestmark = needs_quantizers


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return read_weights(write_tiny_weights(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def tiny_onnx(tiny: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny, tmp_path_factory.mktemp("onnx"), "onnx")


def noise(model: Model[Any], count: int) -> list[np.ndarray]:
    """Of the model's size."""
    random, spec = np.random.default_rng(0), model.contract.input
    shape = (1, 3, spec.height, spec.width)
    return [random.uniform(0, 255, shape).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("suffix", [".xml", ".onnx", ".tflite"])
def test_layers_given_back_are_float(
    suffix: str, tiny: Weights, tiny_onnx: Path, tmp_path: Path
) -> None:
    """With half of them the answers are nearer to the float file's than with none.

    And with all of them they are the same: nothing else is rounded either.
    """
    weights, path = tiny, tiny_onnx
    if suffix == ".xml":  # trained weights, whose rounding moves boxes by more than FP16 does
        weights = shipped("face-detection-n")
        path = export(weights, tmp_path, "openvino", input_size=(128, 128))
    elif suffix == ".tflite":
        path = export(weights, tmp_path, "litert")
    target = tmp_path / f"int8{suffix}"
    quantizer = importlib.import_module(f"pocketface.compressing.{SUFFIXES[suffix]}")
    layers = quantizer.layers(path)
    # In LiteRT's the last nine stay float.
    assert len(layers) == convolutions_of(weights) - (9 if suffix == ".tflite" else 0)
    model = pocketface.load(path)
    batches = noise(model, 2)
    expected = model.raw(batches[0])
    contract = model.contract.model_copy(update={"precision": "int8"})
    differences = {}
    for kept in (layers, layers[len(layers) // 2 :], []):
        quantizer.quantize(path, target, contract, batches, kept)
        answer = pocketface.load(target).raw(batches[0])
        assert {key: value.shape for key, value in answer.items()} == {
            key: value.shape for key, value in expected.items()
        }
        differences[len(kept)] = float(np.abs(answer["boxes"] - expected["boxes"]).mean())
    of_all, of_half, of_none = differences.values()
    assert of_all < (0.1 if suffix == ".xml" else 1e-3)  # the former's weights are FP16
    assert of_all < of_half < of_none < 5


def test_layers_between_int8_ones_are_float_in_onnx_runtime(
    tiny_onnx: Path, tmp_path: Path
) -> None:
    """It would round their weights as it opens the file: see `pocketface.compressing.onnx`."""
    import onnx
    import onnxruntime

    quantizer = importlib.import_module("pocketface.compressing.onnx")
    layers = quantizer.layers(tiny_onnx)
    kept = layers[1::2]
    model = pocketface.load(tiny_onnx)
    contract = model.contract.model_copy(update={"precision": "int8"})
    quantizer.quantize(tiny_onnx, tmp_path / "int8.onnx", contract, noise(model, 1), kept)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "opened.onnx")
    onnxruntime.InferenceSession(tmp_path / "int8.onnx", options)
    opened = onnx.load(tmp_path / "opened.onnx").graph.node
    assert sum(node.op_type == "QLinearConv" for node in opened) == len(layers) - len(kept)


def test_nncf_gives_back_what_costs_most(tmp_path: Path) -> None:
    """Until half of what the rounding moved answers by is lost, and no more layers than that.

    It compiles the file anew for each group of layers: this one is of few.
    """
    path = export(shipped("glasses-n"), tmp_path, "openvino")
    quantizer = importlib.import_module("pocketface.compressing.openvino")
    model = pocketface.load(path)
    contract = model.contract.model_copy(update={"precision": "int8"})
    batches = [face[None] for face in noisy_faces()]
    expected = [model.raw(batch)["probabilities"] for batch in batches]

    def moved(session: Session, indices: Sequence[int]) -> float:
        answers = [session.run(batches[index])["probabilities"] for index in indices]
        pairs = zip(answers, [expected[index] for index in indices], strict=True)
        return float(np.mean([np.abs(one - other).mean() for one, other in pairs]))

    target = tmp_path / "int8.xml"
    quantizer.quantize(path, target, contract, batches)
    with_all = moved(pocketface.load(target).session, range(4))
    kept = quantizer.restore(
        path, target, contract, batches, loss=moved, count=4, max_loss=with_all / 2
    )
    assert 0 < moved(pocketface.load(target).session, range(4)) <= with_all / 2
    assert kept
    assert set(kept) < set(quantizer.layers(path))


def test_openvino_files_are_restored_within_the_promise(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What NNCF is told is lost is the share of what may be lost, and its layers are reported."""
    told: list[float] = []
    quantizer = importlib.import_module("pocketface.compressing.openvino")

    def restore(path: Path, target: Path, *others: Any, loss: Any, count: int, **_: Any) -> Any:
        quantizer.quantize(path, target, *others)
        session = pocketface.load(path).session
        told.extend([loss(session, range(count)), loss(session, [0])])
        return quantizer.layers(path)[:2]

    def figures(_: Any, model: Model[Any], samples: Any = None) -> Measured:
        after_restoring = bool(told)
        good = model.contract.precision == "fp32" or after_restoring
        some = samples is not None
        value = 0.9825 if some and len(samples) == 40 else 0.97 if some else 0.99 if good else 0.97
        return Measured({"balanced_accuracy": value, "f1": 1.0})

    monkeypatch.setattr(quantizer, "restore", restore)
    monkeypatch.setattr(Promise, "measure", figures)
    (row,) = post_training(lists, tmp_path, formats=["openvino"]).rows
    assert told == [pytest.approx(1.5), pytest.approx(4)]
    assert row.status == "compressed"
    assert len(row.kept_float) == 2


def test_the_most_guilty_layer_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three layers, given back alone: one mends all, one half, one nothing."""
    path = export(shipped("glasses-n"), tmp_path, "onnx")
    model = pocketface.load(path)
    off = {"half": 0.2, "nothing": 0.4, "all": 0.0}

    class Quantizer:
        layers = staticmethod(lambda _: list(off))

        @staticmethod
        def quantize(_: Path, target: Path, *others: Any) -> None:
            target.write_text(others[-1][0])

    class Tried:
        def __init__(self, path: Path) -> None:
            self.off = off[path.read_text()]

        def raw(self, batch: np.ndarray) -> dict[str, np.ndarray]:
            return {name: value + self.off for name, value in model.raw(batch).items()}

    load = pocketface.load
    monkeypatch.setattr(
        "pocketface.compressing.sensitivity.load",
        lambda file: load(file) if file == path else Tried(file),
    )
    batch = np.full((1, 3, 80, 80), 100, np.float32)
    found = most_guilty_first(Quantizer, path, model.contract, [batch])  # type: ignore[arg-type]
    assert found == ["all", "half", "nothing"]


def test_error_counts_what_is_shown() -> None:
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 100, 100]]])
    expected = {"scores": np.float32([[0.9, 0.01]]), "boxes": boxes}
    assert error(expected, expected) == 0
    background = {"scores": np.float32([[0.9, 0.04]]), "boxes": boxes + np.float32([[0], [50]])}
    assert error(expected, background) == 0
    shown = {"scores": np.float32([[0.7, 0.01]]), "boxes": boxes + np.float32([[2], [0]])}
    assert error(expected, shown) == pytest.approx(0.2 + 0.2)


def test_what_follows_the_last_convolutions() -> None:
    readers = {
        "in": ["one"], "one": ["relu"], "relu": ["two", "three"], "two": ["boxes"],
        "three": ["scores"], "boxes": ["out"], "scores": ["out"], "out": [], "anchors": ["boxes"],
    }  # fmt: skip
    convolutions = {name: name in ("one", "two", "three") for name in readers}
    assert set(behind(convolutions, readers)) == {"boxes", "scores", "out", "anchors"}
    assert last(convolutions, readers) == ["two", "three"]


def test_what_has_only_float_convolutions_on_a_side_is_float() -> None:
    readers = {
        "sub": ["one"], "one": ["relu"], "relu": ["two", "add"], "two": ["add"], "add": ["resize"],
        "resize": ["three"], "three": ["boxes"], "boxes": [],
    }  # fmt: skip
    convolutions = {name: name in ("one", "two", "three") for name in readers}
    beside_of = {
        (): set(),
        ("one",): {"sub", "relu"},
        ("two",): set(),
        ("three",): {"add", "resize", "boxes"},
        ("one", "two", "three"): {"sub", "relu", "add", "resize", "boxes"},
    }
    for kept, expected in beside_of.items():
        assert set(beside(convolutions, readers, kept)) == expected, kept
