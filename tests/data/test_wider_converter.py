"""WIDER FACE's official layout to COCO JSON."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketface.data.coco import read_coco
from pocketface.data.images import read_image
from pocketface.data.wider import convert_wider
from pocketface.errors import DataError, ImageError

FACE = "10 20 30 40 1 0 1 0 2 1"


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def make(folder: Path, lines: list[str], *, split: str = "val", photos: tuple[str, ...]) -> Path:
    """A small set in the official layout; photos are 100 x 80."""
    list_file = folder / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"
    list_file.parent.mkdir(parents=True, exist_ok=True)
    list_file.write_text("\n".join(lines) + "\n")
    for name in photos:
        path = folder / f"WIDER_{split}" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 80)).save(path)
    return list_file


def test_real_set(shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Counts and sums against an independent reading of the list: lines of ten integers."""
    folder = shared / "wider_face"
    text = (folder / "wider_face_split" / "wider_face_val_bbx_gt.txt").read_text()
    rows = [line.split() for line in text.splitlines()]
    listed = np.array([[int(word) for word in row] for row in rows if len(row) == 10])
    names = [row[0] for row in rows if row[0].endswith(".webp")]
    sound = listed[(listed[:, 2] > 0) & (listed[:, 3] > 0)]
    assert len(names) == 500
    assert len(listed) > len(sound) > 5000

    with caplog.at_level(logging.INFO):
        [path] = convert_wider(folder, output=tmp_path / "out")
    assert path == tmp_path / "out" / "wider_val.json"
    content = load(path)
    assert [image["file_name"] for image in content["images"]] == names
    faces = content["annotations"]
    keys = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")
    np.testing.assert_array_equal([f["bbox"] + [f[key] for key in keys] for f in faces], sound)
    assert content["info"]["boxes_without_area"] == len(listed) - len(sound) == 4
    assert all(f.get("ignore", 0) == f["invalid"] for f in faces)
    for image in content["images"][::100]:
        pixels = read_image(folder / "WIDER_val" / "images" / image["file_name"])
        assert pixels.shape[:2] == (image["height"], image["width"])
    messages = " ".join(record.getMessage() for record in caplog.records)
    assert "split 'train' left out" in messages
    assert "4 x box without area" in messages

    dataset = read_coco([path], [folder / "WIDER_val" / "images"])
    assert len(dataset) == 500
    assert dataset.skipped == {}
    assert sum(len(photo.boxes) for photo in dataset.photos) == len(sound)
    assert sum(int(photo.ignore.sum()) for photo in dataset.photos) == sound[:, 7].sum() > 0


def test_both_splits_and_the_dummy_line(tmp_path: Path) -> None:
    make(tmp_path, ["0--A/a.png", "1", FACE], split="train", photos=("0--A/a.png",))
    lines = ["0--A/a.png", "0", "0 0 0 0 0 0 0 0 0 0", "0--A/b.png", "0", "1--B/c.png", "2"]
    lines += [FACE, "1 2 3 4 0 0 0 1 0 0 ", ""]
    make(tmp_path, lines, photos=("0--A/a.png", "0--A/b.png", "1--B/c.png"))
    train, val = convert_wider(tmp_path)
    assert (train, val) == (tmp_path / "wider_train.json", tmp_path / "wider_val.json")
    content = load(val)
    assert [image["file_name"] for image in content["images"]] == [
        "0--A/a.png",
        "0--A/b.png",
        "1--B/c.png",
    ]
    assert (content["images"][0]["width"], content["images"][0]["height"]) == (100, 80)
    assert content["info"]["boxes_without_area"] == 0
    assert content["annotations"] == [
        {"id": 1, "image_id": 3, "category_id": 1, "bbox": [10, 20, 30, 40], "area": 1200}
        | {"iscrowd": 0, "blur": 1, "expression": 0, "illumination": 1, "invalid": 0}
        | {"occlusion": 2, "pose": 1},
        {"id": 2, "image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12}
        | {"iscrowd": 0, "blur": 0, "expression": 0, "illumination": 0, "invalid": 1}
        | {"occlusion": 0, "pose": 0, "ignore": 1},
    ]
    assert len(load(train)["annotations"]) == 1


def test_missing_photos(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = ["0--A/a.png", "1", FACE, "0--A/gone.png", "1", FACE]
    make(tmp_path, lines, photos=("0--A/a.png",))
    [path] = convert_wider(tmp_path)
    assert len(load(path)["annotations"]) == 1
    assert "1 of 2 photos are not there: 0--A/gone.png" in caplog.text


def test_a_photo_listed_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = FACE.replace("10 20", "1 2")
    lines = ["0--A/a.png", "1", FACE, "0--A\\a.png", "1", other]
    make(tmp_path, lines, photos=("0--A/a.png",))
    [path] = convert_wider(tmp_path)
    content = load(path)
    assert [one["file_name"] for one in content["images"]] == ["0--A/a.png"]
    assert [one["image_id"] for one in content["annotations"]] == [1, 1]
    assert "mended 1 records: 1 x photo listed again, its faces joined" in caplog.text


def test_most_boxes_without_area(tmp_path: Path) -> None:
    empty = FACE.replace("30 40", "0 0")
    make(tmp_path, ["0--A/a.png", "3", FACE, empty, empty], photos=("0--A/a.png",))
    with pytest.raises(DataError, match="2 of 3 boxes cannot be used: 2 x box without area"):
        convert_wider(tmp_path)


def test_boxes_outside_their_photo(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Photos have 100 x 80 pixels."""
    beside = [FACE.replace("10 20 30 40", box) for box in ("100 0 9 9", "0 -9 9 9", "-9 80 10 1")]
    inside = [FACE.replace("10 20 30 40", box) for box in ("99 0 9 9", "0 -8 9 9", "-9 79 10 1")]
    make(tmp_path, ["0--A/a.png", "6", *beside, *inside], photos=("0--A/a.png",))
    [path] = convert_wider(tmp_path)
    content = load(path)
    assert [one["bbox"][:2] for one in content["annotations"]] == [[99, 0], [0, -8], [-9, 79]]
    assert content["info"]["boxes_outside_photos"] == 3
    assert "3 x box outside the photo (first: a box of photo 0--A/a.png of" in caplog.text


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0--A/a.png"], r":2: the file ends where a number of faces"),
        (["0--A/a.png", "x"], r":2: 'x': expected the number of faces in 0--A/a\.png"),
        (["0--A/a.png", "-1"], r":2: '-1': expected the number of faces"),
        (["0--A/a.png", "2", FACE], r":4: the file ends 1 faces early"),
        (["0--A/a.png", "2", FACE, "0--A/b.png"], r":4: '0--A/b\.png': expected ten integers"),
        (["0--A/a.png", "1", "1 2 3 4 5"], r":3: '1 2 3 4 5': expected ten integers"),
        (["0--A/a.png", "1", FACE + ".5"], r":3: .*expected ten integers"),
        (["0--A/a.png", "1", FACE, FACE], r":4: .*expected <event>/<file name>"),
        (["../../etc/a.png", "1", FACE], r":1: .*expected <event>/<file name>"),
        (["/etc/a.png", "1", FACE], r":1: .*expected <event>/<file name>"),
        (["0--A/a.png", "1", FACE, "", "0--A/a.png"], r":4: '': expected <event>/<file name>"),
    ],
)
def test_damaged_list(lines: list[str], message: str, tmp_path: Path) -> None:
    file = make(tmp_path, lines, photos=("0--A/a.png",))
    with pytest.raises(DataError, match=file.name.replace(".", r"\.") + message):
        convert_wider(tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_other_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not WIDER FACE: expected wider_face_split/"):
        convert_wider(tmp_path)
    file = make(tmp_path, ["0--A/a.png", "1", FACE], photos=())
    with pytest.raises(DataError, match="has lists but no photos: expected WIDER_train/images or"):
        convert_wider(tmp_path)
    photo = tmp_path / "WIDER_val" / "images" / "0--A" / "a.png"
    photo.parent.mkdir(parents=True)
    with pytest.raises(DataError, match=r"none of the 1 photos of .* is there"):
        convert_wider(tmp_path)
    photo.write_text("no photo")
    with pytest.raises(ImageError, match=r"a\.png: not an image"):
        convert_wider(tmp_path)
    file.write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match="not UTF-8 text"):
        convert_wider(tmp_path)
    assert not list(tmp_path.glob("*.json"))
