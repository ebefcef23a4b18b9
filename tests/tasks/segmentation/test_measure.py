"""Figures of a segmenter on a list: of all photos, of each class, of each tag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import pocketface
from pocketface.errors import DataError, UserError
from pocketface.tasks import task_of
from pocketface.tasks.measuring import Evaluation, Labels, Options

from ...colour_model import SIDE, write_colour_model
from .colour_network import iou

MEASURE = task_of("face-segmentation").measure
COLOURS = np.array([(255, 0, 0), (0, 0, 255), (0, 255, 0)], np.uint8)
"""BGR of background, face and glasses, as the model of three classes has them."""


def half(first: int, columns: int) -> np.ndarray:
    """Classes: as many columns of the first are of it, all others are background."""
    classes = np.zeros((SIDE, SIDE), np.uint8)
    classes[:, :columns] = first
    return classes


PHOTOS = [
    (half(1, 32), half(1, 32), ("all",)),
    (half(1, 16), half(1, 32), ("turned", "turned")),
    (half(2, 32), half(2, 24), ("turned", "all")),
]
"""What the photo shows, what its mask says, and its tags."""


def write(folder: Path, name: str = "three.masks.json") -> Labels:
    pairs = []
    for index, (shown, labelled, tags) in enumerate(PHOTOS):
        assert cv2.imwrite(str(folder / f"{index}.png"), COLOURS[shown])
        assert cv2.imwrite(str(folder / f"mask{index}.png"), labelled)
        pairs.append({"image": f"{index}.png", "mask": f"mask{index}.png", "tags": tags})
    path = folder / name
    path.write_text(json.dumps({"classes": {"1": "face", "2": "glasses"}, "pairs": pairs}))
    return Labels([path], [folder])


def evaluated(folder: Path, labels: Labels) -> Evaluation:
    names = ("background", "face", "glasses")
    model = pocketface.load(write_colour_model(folder / "model.onnx", *names))
    return MEASURE.evaluate(model, labels, Options())


def whole(places: list[int], value: int) -> float:
    """IoU of a class, of the pixels of these photos together."""
    shown, labelled = (np.stack([PHOTOS[place][side] for place in places]) for side in (0, 1))
    return iou(shown == value, labelled == value)


def test_figures_of_classes_and_tags(tmp_path: Path) -> None:
    """A tag may be called "all", and a photo with a tag twice counts once."""
    found = evaluated(tmp_path, write(tmp_path))
    further = {figure.key: value for figure, value in found.further.items()}
    classes = [whole([0, 1, 2], value) for value in range(3)]
    assert found.figures["iou"] == pytest.approx(np.mean(classes))
    assert [further[f"iou_of_{name}"] for name in ("background", "face", "glasses")] == (
        pytest.approx(classes)
    )
    for tag, places in (("all", [0, 2]), ("turned", [1, 2])):
        expected = np.mean([whole(places, value) for value in range(3)])
        assert further[f"iou_on_{tag}"] == pytest.approx(expected)
        assert further[f"images_on_{tag}"] == 2
    titles = [figure.title for figure in found.further]
    assert titles[:4] == ["IoU of background", "IoU of face", "IoU of glasses", "IoU: all"]


@pytest.mark.parametrize(
    ("damaged", "word", "of_face", "turned"),
    [("1.png", "counted as wrong", 0.5, 2), ("mask1.png", "left out", 1.0, 1)],
)
def test_a_damaged_file(
    damaged: str,
    word: str,
    of_face: float,
    turned: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without its photo a face is not found; without its mask nothing can be said."""
    labels = write(tmp_path)
    (tmp_path / damaged).write_bytes(b"no picture")
    found = evaluated(tmp_path, labels)
    further = {figure.key: value for figure, value in found.further.items()}
    (message,) = caplog.messages
    assert message.startswith(f"{word}: {tmp_path / damaged}: ")
    assert found.figures["unreadable"] == 1
    assert further["iou_of_face"] == pytest.approx(of_face)
    assert further["images_on_turned"] == turned


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"nms_iou": 0.5}, "--nms-iou"),
        ({"score_threshold": 0.5}, "--score-threshold"),
        ({"mistakes": Path("x.png")}, "--mistakes-to"),
    ],
)
def test_flags_of_other_tasks(given: dict[str, Any], flag: str, tmp_path: Path) -> None:
    model = pocketface.load(write_colour_model(tmp_path / "model.onnx"))
    with pytest.raises(UserError, match=rf"^{flag}: not for .*, which is for face-segmentation"):
        MEASURE.evaluate(model, write(tmp_path), Options(**given))


def test_masks_that_are_all_background_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = write(tmp_path)
    assert cv2.imwrite(str(tmp_path / "mask2.png"), half(0, 0))
    evaluated(tmp_path, labels)
    assert "class glasses is in none of the 3 masks" in caplog.text
    assert "1 of 3 heads are all background: mask2.png" in caplog.text
    for index in range(2):
        assert cv2.imwrite(str(tmp_path / f"mask{index}.png"), half(0, 0))
    with pytest.raises(DataError, match="none of the 3 masks has face or glasses in its head"):
        evaluated(tmp_path, labels)
