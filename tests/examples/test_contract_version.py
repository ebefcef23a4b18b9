"""The examples read contracts of version 2, made by hand here, and refuse those of version 1."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .answers import Driver

INPUT = {
    "name": "image",
    "shape": [1, 3, 64, 64],
    "layout": "NCHW",
    "dtype": "float32",
    "colour": "BGR",
    "value_range": [0.0, 255.0],
    "resize": "letterbox",
    "pad_value": 114.0,
    "points": None,
}
POINTS = [[27.5, 33.0], [52.5, 33.0], [40.0, 47.0], [30.0, 60.0], [50.0, 60.0]]
DETECTOR: dict[str, Any] = {
    "contract_version": 2,
    "name": "detector",
    "task": "face-detection",
    "version": "1",
    "input": INPUT,
    "outputs": [
        {"name": "boxes", "shape": [1, 3, 4], "meaning": "x1 y1 x2 y2", "unit": "pixel"},
        {"name": "scores", "shape": [1, 3], "meaning": "score", "unit": "1"},
    ],
    "rules": {"labels": ["face"], "score_threshold": 0.5, "nms_iou": 0.25, "nms": "runtime"},
    "precision": "fp32",
    "provenance": {"template": "detector", "package_version": "1", "licence": "Apache-2.0"},
    "metrics": [],
    "parity": None,
    "compression": None,
}
CLASSIFIER: dict[str, Any] = {
    **DETECTOR,
    "name": "classifier",
    "task": "face-classification",
    "input": {**INPUT, "shape": [1, 3, 96, 80], "resize": "align", "points": POINTS},
    "outputs": [{"name": "shares", "shape": [1, 2], "meaning": "of a label", "unit": "1"}],
    "rules": {
        "labels": ["no_glass", "glass"],
        "score_threshold": 0.5,
        "endpoint": "glass_no_glass",
    },
}

SEGMENTER: dict[str, Any] = {
    **DETECTOR,
    "name": "segmenter",
    "task": "face-segmentation",
    "input": {**INPUT, "shape": [1, 3, 96, 80], "resize": "align", "points": POINTS},
    "outputs": [{"name": "mask", "shape": [1, 2, 96, 80], "meaning": "of a class", "unit": "1"}],
    "rules": {"classes": ["background", "face"], "threshold": 0.25},
}

RECOGNIZER: dict[str, Any] = {
    **DETECTOR,
    "name": "recognizer",
    "task": "face-recognition",
    "input": {**INPUT, "shape": [1, 3, 96, 80], "resize": "align", "points": POINTS},
    "outputs": [{"name": "embedding", "shape": [1, 8], "meaning": "face", "unit": "unit length"}],
    "rules": {
        "thresholds": [{"fmr": 0.25, "cosine": 0.125}, {"fmr": 0.125, "cosine": 0.5}],
        "calibration": {"slope": 8.0, "offset": -2.0},
        "measured_on": None,
    },
}


def first_version(contract: dict[str, Any]) -> dict[str, Any]:
    """As it was in version 1, where all rules lay at the top."""
    rest = {key: value for key, value in contract.items() if key != "rules"}
    rules = {key: value for key, value in contract["rules"].items() if key != "endpoint"}
    task = contract["task"].replace("face-classification", "glasses-classification")
    return {"nms_iou": 1.0, "nms": "runtime", **rest, **rules, "contract_version": 1, "task": task}


def with_rules(**changed: object) -> dict[str, Any]:
    return {**DETECTOR, "rules": {**DETECTOR["rules"], **changed}}


def without_nms_iou() -> dict[str, Any]:
    rules = {key: value for key, value in DETECTOR["rules"].items() if key != "nms_iou"}
    return {**DETECTOR, "rules": rules}


def onnx_bytes(contract: dict[str, Any]) -> bytes:
    """An ONNX file of metadata and nothing else, sealed."""

    def field(number: int, content: bytes) -> bytes:
        length, varint = len(content), b""
        while length > 127:
            varint += bytes([length & 127 | 128])
            length >>= 7
        return bytes([number << 3 | 2]) + varint + bytes([length]) + content

    def metadata(key: str, value: str) -> bytes:
        return field(14, field(1, key.encode()) + field(2, value.encode()))

    mark = "pocketface-sha256:"
    blank = metadata("pocketface.contract", json.dumps(contract)) + metadata(
        "pocketface.seal", mark + 64 * "0"
    )
    digest = hashlib.sha256(blank).hexdigest()
    return blank.replace((mark + 64 * "0").encode(), (mark + digest).encode())


@pytest.fixture
def page_finds(javascript: Driver, tmp_path: Path) -> Callable[[dict[str, Any]], Any]:
    """Scores of the faces that detector.js leaves of three boxes, or why it refuses the file."""

    def find(contract: dict[str, Any]) -> Any:
        path = tmp_path / "model.onnx"
        path.write_bytes(onnx_bytes(contract))
        return json.loads(javascript("rules", path))

    return find


@pytest.fixture
def swift_says(swift: Driver, tmp_path: Path) -> Callable[[str, dict[str, Any]], str]:
    def say(mode: str, contract: dict[str, Any]) -> str:
        path = tmp_path / "contract.json"
        path.write_text(json.dumps(contract))
        return swift(mode, path).decode()

    return say


@pytest.mark.parametrize(
    ("changed", "scores"),
    [
        ({}, [0.875]),
        ({"nms_iou": 0.75}, [0.875, 0.75]),
        ({"score_threshold": 0.125}, [0.875, 0.25]),
        ({"score_threshold": 0.125, "nms_iou": 1.0}, [0.875, 0.75, 0.25]),
        ({"score_threshold": 0.9375}, []),
    ],
)
def test_page_obeys_the_rules(page_finds: Any, changed: Any, scores: list[float]) -> None:
    assert page_finds(with_rules(**changed)) == scores


@pytest.mark.parametrize(
    ("contract", "why"),
    [
        (first_version(DETECTOR), "exported by an older pocketface; export it again"),
        (first_version(CLASSIFIER), "exported by an older pocketface; export it again"),
        ({**DETECTOR, "contract_version": 3}, "asks for what this page does not do"),
        (CLASSIFIER, "asks for what this page does not do"),
        (SEGMENTER, "asks for what this page does not do"),
        (RECOGNIZER, "asks for what this page does not do"),
    ],
)
def test_page_refuses(page_finds: Any, contract: dict[str, Any], why: str) -> None:
    assert why in page_finds(contract)


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
@pytest.mark.parametrize(
    ("contract", "what"),
    [(DETECTOR, "scores"), (SEGMENTER, "probabilities"), (RECOGNIZER, "embeddings")],
)
def test_page_refuses_what_is_no_number(
    javascript: Driver, contract: dict[str, Any], what: str, number: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes({**contract, "name": number}))
    said = javascript("constant", path).decode()
    assert said.startswith(f"the network's {what}")
    assert "not finite" in said


def test_page_refuses_an_embedding_without_a_direction(javascript: Driver, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes({**RECOGNIZER, "name": "0"}))
    assert javascript("constant", path).decode().endswith("not finite, or 0")


@pytest.mark.parametrize("text", ["photos of faces, a list", "a text", "prrr"])
def test_page_refuses_a_text(javascript: Driver, text: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text(text)
    assert json.loads(javascript("rules", path)) == "not an ONNX file, or a damaged one"


def test_swift_reads_each_task(swift_says: Any) -> None:
    said = swift_says("contract", DETECTOR)
    assert said == '64 64 true 114.0 0.5 0.25 ["boxes", "scores"]'
    width, height, points = swift_says("glasses", CLASSIFIER).split(maxsplit=2)
    assert (width, height, json.loads(points)) == ("80", "96", POINTS)
    *numbers, points = swift_says("segmenter", SEGMENTER).split(maxsplit=4)
    assert numbers == ["80", "96", "2", "0.25"]
    assert json.loads(points) == [number for point in POINTS for number in point]
    said = swift_says("recognizer", RECOGNIZER)
    assert said == "80 96 [[0.25, 0.125], [0.125, 0.5]] 8.0"


@pytest.mark.parametrize(
    ("mode", "contract"),
    [
        ("contract", first_version(DETECTOR)),
        ("glasses", first_version(CLASSIFIER)),
        ("contract", {**DETECTOR, "contract_version": 3}),
        ("contract", CLASSIFIER),
        ("glasses", DETECTOR),
        ("glasses", SEGMENTER),
        ("segmenter", CLASSIFIER),
        ("segmenter", first_version(SEGMENTER)),
        ("recognizer", SEGMENTER),
        ("recognizer", first_version(RECOGNIZER)),
        ("glasses", RECOGNIZER),
        ("contract", without_nms_iou()),
    ],
)
def test_swift_refuses(swift_says: Any, mode: str, contract: dict[str, Any]) -> None:
    assert swift_says(mode, contract) == "notUsable"
