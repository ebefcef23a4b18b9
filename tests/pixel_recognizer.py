"""A recogniser's file for tests of what is done with it: faces are alike if their pixels are."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.model_templates.contract import CONTRACT_KEY, Contract
from pocketface.runtimes.seal import BLANK_SEAL, SEAL_KEY, seal

from .constant_model import write_model

SIDE, CELLS = 32, 8
SIZE = 3 * CELLS * CELLS

THRESHOLDS = [
    {"fmr": 0.1, "cosine": 0.4},
    {"fmr": 0.01, "cosine": 0.6},
    {"fmr": 1e-3, "cosine": 0.8},
]
"""At the default rate of 0.001 faces are alike from 0.8 on, and unsure from 0.6 on."""

MEASURED: dict[str, Any] = {
    "thresholds": THRESHOLDS,
    "calibration": {"slope": 10.0, "offset": -7.0},
    "measured_on": "nothing",
}

_POINTS = ((0.34, 0.46), (0.66, 0.46), (0.5, 0.64), (0.37, 0.82), (0.63, 0.82))
_FACE = 40
"""Side of a face in photos of `write_photo`, in pixels."""

PLACES = ((15, 20), (65, 20), (115, 20))
"""Left upper corners of the faces, in photos of 160 x 80."""


def write_recognizer(
    path: Path, *, name: str = "pixels", checkpoint: str | None = None, **rules: Any
) -> Path:
    """Write an ONNX file whose embedding is the small picture without its mean, of length 1.

    Args:
        path: Of the file.
        name: Of its template.
        checkpoint: SHA-256 of the weights that it claims to be of.
        **rules: What it says of its cosines, as `MEASURED`; nothing by default.
    """
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    contract = Contract.model_validate(
        {
            "name": name,
            "task": "face-recognition",
            "input": {
                "shape": (-1, 3, SIDE, SIDE),
                "resize": "align",
                "points": tuple((x * SIDE, y * SIDE) for x, y in _POINTS),
            },
            "outputs": ({"name": "embedding", "shape": (-1, SIZE), "meaning": "", "unit": ""},),
            "rules": rules,
            "provenance": {
                "template": name,
                "package_version": "0",
                "checkpoint_sha256": checkpoint,
            },
        }
    )
    floats = onnx.TensorProto.FLOAT
    cell = [SIDE // CELLS] * 2
    tensors = {"axes": np.array([1]), "least": np.array(1e-3, np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=cell, strides=cell),
            helper.make_node("Flatten", ["small"], ["flat"]),
            helper.make_node("ReduceMean", ["flat", "axes"], ["mean"]),
            helper.make_node("Sub", ["flat", "mean"], ["centred"]),
            helper.make_node("ReduceL2", ["centred", "axes"], ["length"]),
            helper.make_node("Max", ["length", "least"], ["safe"]),
            helper.make_node("Div", ["centred", "safe"], ["embedding"]),
        ],
        "pixels",
        [helper.make_tensor_value_info("image", floats, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", floats, ["batch", SIZE])],
        [numpy_helper.from_array(array, key) for key, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key=CONTRACT_KEY, value=contract.to_json())
    model.metadata_props.add(key=SEAL_KEY, value=BLANK_SEAL)
    onnx.save(model, path)
    seal(path)
    return path


def write_detector(path: Path, *sides: int) -> Path:
    """Write a detector that finds faces at `PLACES` of every photo whose first pixel is bright.

    Args:
        path: Of the file.
        *sides: Of each face, in pixels; the best face is the last.
    """
    boxes, points = [], []
    for (x, y), side in zip(PLACES, sides, strict=False):
        boxes.append([float(x), float(y), float(x + side), float(y + side)])
        points.append([[x + px * side, y + py * side] for px, py in _POINTS])
    order = slice(None, None, -1)
    scores = [0.9 - 0.05 * place for place in range(len(boxes))]
    return write_model(path, boxes[order], scores, points[order])


def landmarks_of(place: int = 0) -> list[tuple[float, float]]:
    """The landmarks of a face in photos of `write_photo`."""
    x, y = PLACES[place]
    return [(x + px * _FACE, y + py * _FACE) for px, py in _POINTS]


def write_photo(path: Path, *people: int, blur: float = 0, is_bright: bool = True) -> Path:
    """Write a photo of 160 x 80 with people at `PLACES`.

    Args:
        path: Of the file, a PNG.
        *people: The number of each; the same number has the same face.
        blur: How much of the faces is noise, 0 to 1, another one in each file.
        is_bright: Whether `write_detector` finds anything.
    """
    noise = zlib.crc32(path.name.encode())
    photo = np.random.default_rng(noise).integers(0, 256, (80, 160, 3), np.uint8)
    if is_bright:
        photo[:8, :8] = 255
    else:  # turned neither
        photo[:8], photo[-8:] = 0, 0
    for (x, y), person in zip(PLACES, people, strict=False):
        mixed = cv2.addWeighted(_pattern(person), 1 - blur, _pattern(noise + x), blur, 0)
        photo[y : y + _FACE, x : x + _FACE] = mixed
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), photo)
    return path


def _pattern(seed: int) -> NDArray[np.uint8]:
    cells = np.random.default_rng(seed).integers(0, 256, (CELLS, CELLS, 3), np.uint8)
    return np.asarray(cv2.resize(cells, (_FACE, _FACE), interpolation=cv2.INTER_CUBIC), np.uint8)
