"""Classification passes the suite of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pocketface.data.labelled_faces import LabelledFace
from pocketface.results import Classification, Detections
from pocketface.tasks.classification.model import FaceClassifier
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model

from ...labelled_lists import write_labelled_faces
from ..every_task import LANDMARKS, EveryTask, write_photos

TINY_CLASSIFIER = """\
name: tiny-classifier
domain: face
problem: face-classification
summary: A small classifier for tests.
initial_weights: null
dataset:
  classes: [without, with]
training_target: [CPU]
inference_target: [CPU]
hyper_parameters:
  basic: {batch_size: 2, base_learning_rate: 0.01, epochs: 1}
  schedule: {type: cosine}
  augmentation: {crop: face}
output_format: {openvino: true, onnx: true}
optimisations: {}
metrics: []
gpu_num: 1
input: {height: 32, width: 32, resize: align, eyes: [0.3, 0.7, 0.4]}
architecture:
  mean: [127.5, 127.5, 127.5]
  std: [64, 64, 64]
  colour: BGR
  backbone: {type: valid, channels: [8, 8]}
  head: {type: classes, classes: 2}
inference: {score_threshold: 0.5}
"""


class TestClassification(EveryTask):
    NAME = "face-classification"
    TEMPLATE = TINY_CLASSIFIER
    CLASSES: ClassVar = ("without", "with")
    OTHERS: ClassVar = {"labels": ["with", "without"]}
    FLAGS: ClassVar = ("--mistakes-to", "--score-threshold")

    @classmethod
    def labels(cls, folder: Path) -> Labels:
        names = write_photos(folder, 4)
        path = folder / "faces.csv"
        rows = [(name, cls.CLASSES[i % 2], LANDMARKS) for i, name in enumerate(names)]
        write_labelled_faces(path, rows)
        return Labels([path], [folder])

    def right_answer(self, model: Model[Any], sample: LabelledFace) -> list[Classification]:
        assert isinstance(model, FaceClassifier)
        return [model.answer(np.eye(2, dtype=np.float32)[sample.label], 0.5)]

    def wrong_answer(self, model: Model[Any], sample: LabelledFace) -> list[Classification]:
        assert isinstance(model, FaceClassifier)
        return [model.answer(np.eye(2, dtype=np.float32)[1 - sample.label], 0.5)]

    def drawn(self, right: list[Classification], sample: LabelledFace) -> tuple[Any, ...]:
        x1, y1 = sample.landmarks.min(0) - 10
        x2, y2 = sample.landmarks.max(0) + 10
        box = np.array([[x1, y1, x2, y2]], np.float32)
        return Detections(box, np.ones(1, np.float32), sample.landmarks[None]), right
