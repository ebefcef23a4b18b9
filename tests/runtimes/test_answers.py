"""What holds for the answers of every runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pocketface


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of LiteRT's converter
@pytest.mark.parametrize("name", ["onnx", "openvino", "litert", "torchscript", "torch"])
def test_an_answer_outlives_the_next(
    name: str, converted: Callable[[str], Path], tiny_weights: Path
) -> None:
    suffixes = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite", "torchscript": ".pt"}
    path = tiny_weights if name == "torch" else converted(name) / f"model{suffixes[name]}"
    model = pocketface.load(path)
    first, second = np.random.default_rng(0).uniform(0, 255, (2, 1, 3, 64, 96)).astype(np.float32)
    answers = model.raw(first)
    kept = {key: array.copy() for key, array in answers.items()}
    others = model.raw(second)
    for key, array in kept.items():
        np.testing.assert_array_equal(answers[key], array)
        assert not np.array_equal(others[key], array)
