"""Lists of photos and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from pocketface.data.class_names import ClassNames
from pocketface.data.mask_pairs import read_mask, read_mask_pairs
from pocketface.errors import DataError, ImageError

from .mask_folders import write_png

CLASSES = {"1": "face", "2": "glasses", "3": "hair"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos of 6 x 4 with masks of all values."""
    for name in ("a", "b"):
        assert cv2.imwrite(str(tmp_path / f"{name}.jpg"), np.zeros((4, 6, 3), np.uint8))
        mask = np.arange(24, dtype=np.uint8).reshape(4, 6) % 4
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    return tmp_path


def pair(name: str, **others: Any) -> dict[str, Any]:
    return {"image": f"{name}.jpg", "mask": f"{name}.png", **others}


def listed(folder: Path, *pairs: dict[str, Any], classes: Any = CLASSES) -> Path:
    path = folder / "all.masks.json"
    path.write_text(json.dumps({"classes": classes, "pairs": pairs or [pair("a")]}))
    return path


def test_one_class_against_the_rest(folder: Path) -> None:
    points = [[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]]
    file = listed(folder, pair("a", tags=["glasses"]), pair("b", landmarks=points))
    one, other = read_mask_pairs([file], [folder], classes=["face"])
    assert (one.path, one.mask_path, one.image_id) == (folder / "a.jpg", folder / "a.png", 0)
    assert (one.tags, one.landmarks, other.tags, other.image_id) == (("glasses",), None, (), 1)
    assert other.landmarks is not None
    assert other.landmarks.tolist() == points
    truth = read_mask(one, shape=(4, 6, 3))
    np.testing.assert_array_equal(truth, np.arange(24).reshape(4, 6) % 4 == 1)


def test_several_classes_have_the_templates_order(folder: Path) -> None:
    classes = ["background", "hair", "face"]
    (one,) = read_mask_pairs([listed(folder)], [folder], classes=classes)
    assert read_mask(one, shape=(4, 6, 3))[0, :4].tolist() == [0, 2, 0, 1]


def test_classes_that_are_called_otherwise(folder: Path) -> None:
    file = listed(folder, classes={"1": "skin", "2": "glasses", "3": "hair"})
    with pytest.raises(DataError, match="its classes are skin, glasses, hair: expected face"):
        read_mask_pairs([file], [folder], classes=["face"])
    names = ClassNames.parse(["face=skin,face=glasses"])
    (one,) = read_mask_pairs([file], [folder], classes=["face"], names=names)
    assert read_mask(one, shape=(4, 6, 3))[0, :4].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((4, 6), 9, np.uint8), r"24 pixels have the value 9: expected one of 0, 1, 2, 3"),
        (np.zeros((6, 4), np.uint8), r"a\.png: 4x6 pixels: expected 6x4, as its photo has"),
        (np.zeros((4, 6, 3), np.uint8), r"its pixels are RGB: expected grey of 8 bits"),
        (np.zeros((4, 6), np.uint16), r"its pixels are I;16: expected grey of 8 bits"),
    ],
)
def test_masks_of_another_kind(folder: Path, mask: np.ndarray, message: str) -> None:
    Image.fromarray(mask).save(folder / "a.png")
    (one,) = read_mask_pairs([listed(folder)], [folder], classes=["face"])
    with pytest.raises(DataError, match=message):
        read_mask(one, shape=(4, 6, 3))


def test_palettes_few_bits_and_damaged_masks(folder: Path) -> None:
    (one,) = read_mask_pairs([listed(folder)], [folder], classes=["face"])
    Image.new("P", (6, 4)).save(folder / "a.png")
    with pytest.raises(DataError, match="its pixels are P: expected grey"):
        read_mask(one, shape=(4, 6, 3))
    write_png(folder / "a.png", np.ones((4, 6), np.uint8), bits=4)
    with pytest.raises(DataError, match="its pixels are L;4: expected grey"):
        read_mask(one, shape=(4, 6, 3))
    (folder / "a.png").write_bytes((folder / "b.png").read_bytes()[:-30])
    with pytest.raises(ImageError, match=r"a\.png: not a PNG, or damaged"):
        read_mask(one, shape=(4, 6, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a list of masks: Input should be an object"),
        ("{", "not a list of masks: Invalid JSON"),
        ('{"classes": {"1": "face"}, "pairs": []}', "pairs: List should have at least 1 item"),
        ('{"classes": {}, "pairs": [{"image": "a", "mask": "a"}]}', "classes: Dictionary should"),
        (
            '{"classes": {"300": "face"}, "pairs": [{"image": "a", "mask": "a"}]}',
            r"classes\.300\..*found '300'",
        ),
        ('{"classes": {"1": "face"}, "pairs": [{"image": "a"}]}', r"pairs\.0\.mask: Field requir"),
        (
            '{"classes": {"1": "face"}, "pairs": [{"image": "a", "mask": "a", '
            '"landmarks": [[1, 2]]}]}',
            r"pairs\.0\.landmarks",
        ),
        (
            '{"classes": {"1": "face"}, "pairs": [{"image": "a", "mask": "a", '
            '"landmarks": [[1, 2], [1, 2], [1, 2], [1, 2], [1, 1e39]]}]}',
            r"pairs\.0\.landmarks\.4\.1: Input should be less than or equal to 1000000",
        ),
    ],
)
def test_bad_lists(folder: Path, text: str, message: str) -> None:
    file = folder / "bad.masks.json"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_mask_pairs([file], [folder], classes=["face"])


def test_a_class_that_the_list_does_not_name(folder: Path) -> None:
    """Its pixels would silently count as background."""
    file = listed(folder, classes={"1": "face", "2": "background", "3": "hair"})
    with pytest.raises(
        DataError, match="its classes are face, background, hair: expected face, gl"
    ):
        read_mask_pairs([file], [folder], classes=["background", "face", "glasses", "hair"])


def test_landmarks_that_are_one_point(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = listed(folder, pair("a"), pair("b", landmarks=[[7, 7]] * 5))
    (one,) = read_mask_pairs([file], [folder], classes=["face"])
    assert one.path.name == "a.jpg"
    assert "1 x landmarks that are one point (first: pairs[1] of all.masks.json)" in caplog.text


def test_files_that_are_not_there(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = listed(folder, pair("a"), pair("gone"), pair("b"), pair("a"))
    assert len(read_mask_pairs([file], [folder], classes=["face"])) == 2
    assert "1 x photo or mask that is not there (first: pairs[1] of all.masks.json)" in caplog.text
    assert "1 x photo listed again" in caplog.text
    with pytest.raises(DataError, match=r"1 files are not in .*gone\.jpg"):
        read_mask_pairs([listed(folder, pair("gone"))], [folder], classes=["face"])
    with pytest.raises(DataError, match="name that leads out of the data root"):
        read_mask_pairs([listed(folder, pair("../a"))], [folder], classes=["face"])
