"""Labelled faces to calibrate and measure on, and what there is to be compressed."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest
import skimage
from torch import nn

import pocketface
from pocketface.compressing.report import CompressionReport
from pocketface.compressing.request import CompressRequest
from pocketface.compressing.run import compress
from pocketface.compressing.stage import Training
from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.models.network import make_network
from pocketface.models.weights import Weights, read_weights
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template

from ..labelled_lists import write_labelled_faces

needs_quantizers = pytest.mark.skipif(
    any(
        find_spec(name) is None
        for name in ("nncf", "ai_edge_quantizer", "coremltools", "onnxruntime")
    ),
    reason="needs nncf, ai-edge-quantizer, coremltools and onnxruntime",
)
needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="needs nncf")

SUFFIXES = {
    ".xml": "openvino",
    ".onnx": "onnx",
    ".mlmodel": "coreml",
    ".mlpackage": "coreml",
    ".tflite": "litert",
}

# Where face-detection-n finds the landmarks.
FACES = {
    "glass": (
        Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg",
        [[225.4, 195.2], [304.7, 191.7], [269.9, 238.7], [235.4, 273.9], [306.4, 270.5]],
    ),
    "no_glass": (
        Path(skimage.__file__).parent / "data" / "astronaut.png",
        [[204.5, 102.0], [247.7, 102.4], [226.1, 127.5], [208.5, 143.4], [242.6, 143.6]],
    ),
}


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of each training is tested with trainings."""
    monkeypatch.setattr("pocketface.training.fit.draw_curves", lambda *_, **__: None)


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to weights, without the files that are made of them in the end."""
    monkeypatch.setattr("pocketface.compressing.run.compress_files", lambda wanted: wanted.tuned)


@pytest.fixture(scope="session")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """A list of forty faces, and the folder of their photos: both photos in many lights."""
    folder = tmp_path_factory.mktemp("faces")
    random = np.random.default_rng(0)
    rows = []
    for label, (photo, landmarks) in FACES.items():
        image = cv2.imread(str(photo))
        assert image is not None
        image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        for index in range(20):
            shade = random.uniform(0.5, 1.2) * image + random.uniform(-20, 20)
            name = f"{label}{index}.png"
            assert cv2.imwrite(str(folder / name), shade.clip(0, 255).astype(np.uint8))
            rows.append((name, label, np.array(landmarks, np.float32) / 2))
    path = folder / "faces.csv"
    write_labelled_faces(path, rows)
    return Labels([path], [folder])


def convolutions_of(weights: Weights) -> int:
    network = make_network(weights.template.architecture)
    return sum(isinstance(layer, nn.Conv2d) for layer in network.modules())


@cache
def shipped(name: str) -> Weights:
    """The weights that ship with a template, read once; nobody changes them."""
    path = shipped_weights(open_template(name))
    assert path is not None
    return read_weights(path)


def export(weights: Weights, folder: Path, name: str, **options: Any) -> Path:
    """One format's file, which nobody compares with the network unless told to."""
    settings: dict[str, Any] = {"formats": [name], "verify": False}
    request = ExportRequest(weights=weights, folder=folder, **(settings | options))
    return export_model(request).paths[0]


def post_training(lists: Labels, folder: Path, **options: Any) -> CompressionReport:
    """glasses-n in small files."""
    settings = {"formats": ["onnx"], "photos": 12, "post_training": True}
    return _compress(lists, folder, settings | options)


def fine_tuning(
    lists: Labels, folder: Path, *, epochs: int = 1, resume: bool = False, **options: Any
) -> CompressionReport:
    """glasses-n trained further, in small files."""
    training = Training(
        labels=lists,
        folder=folder,
        epochs=epochs,
        batch_size=10,
        gpu_num=0,
        workers=0,
        resume=resume,
    )
    settings = {"formats": ["openvino"], "photos": 8, "max_drop": 50, "training": training}
    return _compress(lists, folder, settings | options)


def _compress(lists: Labels, folder: Path, options: dict[str, Any]) -> CompressionReport:
    settings: dict[str, Any] = {
        "weights": shipped("glasses-n"),
        "train": lists,
        "validation": lists,
        "folder": folder,
        "goal": "size",
    }
    return compress(CompressRequest(**(settings | options)))


def answers(path: Path) -> np.ndarray:
    """What glasses-n's weights or file say of four pictures of noise."""
    return np.concatenate(
        [pocketface.load(path).raw(one[None])["probabilities"] for one in noisy_faces()]
    )


def noisy_faces() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (4, 3, 80, 80)).astype(np.float32)
