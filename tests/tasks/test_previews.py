"""Pictures of what networks find while they learn."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from pocketface.data.coco import Photo
from pocketface.data.labelled_faces import LabelledFace
from pocketface.data.mask_pairs import read_mask_pairs
from pocketface.model_templates.contract import InputSpec
from pocketface.results import Classification, Detections
from pocketface.tasks import task_of
from pocketface.tasks.classification.model import FaceClassifier
from pocketface.tasks.task import Task

from .segmentation.colour_network import DISC, SIDE, colour_segmenter

GREY = 60


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A grey photo of 640 x 320."""
    path = tmp_path / "photo.png"
    assert cv2.imwrite(str(path), np.full((320, 640, 3), GREY, np.uint8))
    return path


def preview(task: str, model: Any, samples: list[Any]) -> np.ndarray:
    part = task_of(task).preview
    assert part is not None
    return part.preview(model, samples)


def test_a_detector(photo: Path) -> None:
    labelled = np.array([[100, 40, 200, 140]], np.float32)  # of a photo half as large
    unknown = np.full((1, 5, 2), np.nan, np.float32)
    sample = Photo(photo, 1, 320, 160, labelled, np.array([False]), unknown)
    turned = Photo(photo, 2, 160, 320, labelled, np.array([False]), unknown)
    boxes = np.array([[40, 80, 160, 240]], np.float32)
    model = SimpleNamespace(predict=lambda _: Detections(boxes, np.array([0.9], np.float32)))
    picture = preview("face-detection", model, [turned, sample])  # the first cannot be used
    assert picture.shape == (18 + 320, 4 * 320, 3)
    shown = picture[18 + 80 : 18 + 80 + 160, :320]  # half as large, too
    white = (shown > 200).all(axis=2)
    assert white[90, 99:102].any()  # the left side
    assert white[39:42, 150].any()  # the upper side
    coloured = np.ptp(shown.astype(int), axis=2) > 40
    assert coloured[100, 18:23].any()
    assert coloured[100, 78:83].any()
    assert not white[50:130, 110:190].any()


def test_a_classifier(photo: Path) -> None:
    points = np.array([[250, 100], [350, 100], [300, 160], [260, 220], [340, 220]], np.float32)
    found = LabelledFace(photo, 0, 1, points)
    missing = LabelledFace(photo, 1, 0, np.full((5, 2), np.nan, np.float32))
    target = ((20.0, 25.0), (44.0, 25.0), (32.0, 38.0), (22.0, 50.0), (42.0, 50.0))
    spec = InputSpec(shape=(-1, 3, 64, 64), resize="align", points=target)
    said: list[np.ndarray] = []

    def classify(faces: list[np.ndarray]) -> list[Classification]:
        said.extend(faces)
        return [Classification("yes", 1, 0.75, np.array([0.25, 0.75], np.float32))]

    model = SimpleNamespace(
        contract=SimpleNamespace(input=spec),
        rules=SimpleNamespace(labels=("no", "yes")),
        classify=classify,
    )
    model.cut = lambda *args: FaceClassifier.cut(model, *args)
    picture = preview("face-classification", model, [missing, found])
    assert len(said) == 1
    assert picture.shape == (18 + 140, 8 * 140, 3)
    assert abs(int(picture[18 + 70, 70, 0]) - GREY) <= 1
    assert not picture[18:, 140:].any()


@pytest.mark.parametrize("classes", [("face",), ("background", "face", "hair")])
def test_a_segmenter(tmp_path: Path, classes: tuple[str, ...]) -> None:
    labelled = np.zeros((SIDE, SIDE), np.uint8)
    labelled[:100] = 1
    y, x = np.ogrid[:SIDE, :SIDE]
    disc = (x - DISC[0]) ** 2 + (y - DISC[1]) ** 2 < 50**2
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 0] = 100  # as background, below the threshold
    image[disc] = (0, 200, 0)
    assert cv2.imwrite(str(tmp_path / "a.png"), image)
    assert cv2.imwrite(str(tmp_path / "a-mask.png"), labelled)
    content = {"classes": {"1": "face"}, "pairs": [{"image": "a.png", "mask": "a-mask.png"}]}
    if len(classes) > 1:
        content["classes"] |= {"2": "hair"}
    listed = tmp_path / "a.masks.json"
    listed.write_text(json.dumps(content))
    samples = [*read_mask_pairs([listed], [tmp_path], classes=classes)]
    picture = preview("face-segmentation", colour_segmenter(*classes), samples)
    assert picture.shape == (18 + 192, 6 * 192, 3)
    head, truth, found = (picture[18:, one * 192 : (one + 1) * 192].astype(int) for one in range(3))
    in_truth = np.abs(truth - head).sum(axis=2) > 20
    in_found = np.abs(found - head).sum(axis=2) > 20
    assert in_truth[:73].mean() > 0.95
    assert not in_truth[78:].any()
    small = cv2.resize(disc.astype(np.uint8), (192, 192), interpolation=cv2.INTER_AREA) > 0
    assert not in_found[~cv2.dilate(small.astype(np.uint8), np.ones((5, 5))).astype(bool)].any()
    assert in_found[small].mean() > 0.9


def test_a_task_without_one() -> None:
    assert Task("x", "pocketface.models").preview is None
