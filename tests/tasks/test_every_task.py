"""Every task of the table passes the suite of `every_task`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from pocketface.data.coco import Photo
from pocketface.data.coco_json import FACE_CATEGORY, save_coco_json
from pocketface.data.labelled_faces import LabelledFace, write_labelled_faces
from pocketface.errors import TemplateError, UserError
from pocketface.results import Classification, Detections
from pocketface.tasks import TASKS, task_of
from pocketface.tasks.classification.model import FaceClassifier
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model
from pocketface.tasks.templates import parse_template

from .every_task import EveryTask, suites

TINY = (Path(__file__).parents[1] / "tiny_template.yaml").read_text(encoding="utf-8")
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
BOX = [20.0, 12.0, 40.0, 30.0]
LANDMARKS = np.array([[30, 20], [50, 20], [40, 28], [32, 36], [48, 36]], np.float32)


def write_photos(folder: Path, count: int) -> list[str]:
    """Photos of 96 x 64 noise; returns their names."""
    generator = np.random.default_rng(0)
    names = [f"{index}.png" for index in range(count)]
    for name in names:
        image = generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / name), image)
    return names


class TestDetection(EveryTask):
    NAME = "face-detection"
    TEMPLATE = TINY

    @classmethod
    def labels(cls, folder: Path) -> Labels:
        names = write_photos(folder, 3)
        content = {
            "categories": [FACE_CATEGORY],
            "images": [
                {"id": index, "file_name": name, "width": 96, "height": 64}
                for index, name in enumerate(names)
            ],
            "annotations": [
                {
                    "id": index,
                    "image_id": index,
                    "category_id": 1,
                    "bbox": BOX,
                    "landmarks": LANDMARKS.ravel().tolist(),
                }
                for index in range(2)
            ],
        }
        path = folder / "faces.json"
        save_coco_json(content, path)
        return Labels([path], [folder])

    def right_answer(self, _: Model[Any], sample: Photo) -> Detections:
        scores = np.ones(len(sample.boxes), np.float32)
        return Detections(sample.boxes, scores, sample.landmarks)

    def wrong_answer(self, _: Model[Any], sample: Photo) -> Detections:
        boxes = np.array([[0, 0, 9, 9]] * len(sample.boxes), np.float32).reshape(-1, 4)
        return Detections(boxes, np.ones(len(boxes), np.float32), None)

    def drawn(self, right: Detections, _: Photo) -> tuple[Any, ...]:
        return (right,)


class TestClassification(EveryTask):
    NAME = "face-classification"
    TEMPLATE = TINY_CLASSIFIER
    CLASSES: ClassVar = ("without", "with")

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


def test_every_task_has_the_suite() -> None:
    assert set(suites()) == set(TASKS)


def test_unknown_tasks_are_refused_with_the_known_ones() -> None:
    known = ", ".join(TASKS)
    with pytest.raises(UserError, match=f"unknown task 'ears': expected one of {known}"):
        task_of("ears")
    text = TINY.replace("problem: face-detection", "problem: ears")
    with pytest.raises(TemplateError, match=f"my.yaml: problem: .*'ears'.* {known}"):
        parse_template(text, source="my.yaml")
