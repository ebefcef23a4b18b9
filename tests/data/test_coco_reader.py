"""The COCO reader: what it keeps, what it counts as bad, and what it refuses."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketface.data.coco import Photo, read_coco
from pocketface.errors import DataError

Write = Callable[..., tuple[Path, Path]]


def test_real_sets(shared: Path) -> None:
    wider = shared / "wider_face"
    cases = [
        (shared / "airport" / "annotation_faces_train.json", shared / "airport"),
        (shared / "face_mask" / "faces.json", shared / "face_mask" / "images"),
        (wider / "train.json", wider / "train"),
    ]
    counts = []
    for file, root in cases:
        dataset = read_coco([file], [root])
        boxes = np.concatenate([photo.boxes for photo in dataset.photos])
        ignored = sum(int(photo.ignore.sum()) for photo in dataset.photos)
        counts.append((len(dataset), len(boxes), ignored))
        assert dataset.missing == ()
        for photo in dataset.photos:
            check_photo(photo)
    assert counts == [(10, 41, 0), (853, 4072, 0), (2326, 28364, 456)]
    assert dataset.skipped == {"bbox without area": 6}
    marked = np.concatenate([photo.landmarks for photo in dataset.photos])
    raw = json.loads((wider / "train.json").read_text())["annotations"]
    kept = [a for a in raw if a["bbox"][2] > 0 and a["bbox"][3] > 0]
    expected = sum("landmarks_pseudo" in a for a in kept)
    assert np.isfinite(marked).all(axis=(1, 2)).sum() == expected > 10_000


def check_photo(photo: Photo) -> None:
    n = len(photo.boxes)
    assert photo.boxes.shape == (n, 4)
    assert photo.landmarks.shape == (n, 5, 2)
    assert photo.ignore.shape == (n,)
    assert photo.boxes.dtype == photo.landmarks.dtype == np.float32
    assert photo.ignore.dtype == np.bool_
    x1, y1, x2, y2 = photo.boxes.T
    assert ((x1 >= 0) & (x1 < x2) & (x2 <= photo.width)).all()
    assert ((y1 >= 0) & (y1 < y2) & (y2 <= photo.height)).all()


def test_boxes_are_corners_clipped_to_the_photo(write: Write, good: dict[str, Any]) -> None:
    file, root = write(good)
    dataset = read_coco([file], [root])
    first, second = dataset.photos
    assert (first.path, first.image_id) == (root / "a.jpg", 7)
    assert (first.width, first.height) == (100, 80)
    assert first.boxes.tolist() == [[10, 20, 40, 60], [90.5, 0, 100, 10]]
    assert first.ignore.tolist() == [False, True]
    assert np.isnan(first.landmarks).all()
    assert second.path == root / "sub" / "b.jpg"
    check_photo(second)
    assert len(second.boxes) == 0
    assert (dataset.skipped, dataset.missing) == ({}, ())
    again = pickle.loads(pickle.dumps(dataset))  # for the workers of a data loader
    assert again.photos[0].boxes.tolist() == first.boxes.tolist()


def test_ignore_flags(write: Write, good: dict[str, Any]) -> None:
    content = good
    flags = [{"iscrowd": 1}, {"ignore": 1}, {"invalid": 1}, {"ignore": True}, {"iscrowd": 0}, {}]
    box = {"image_id": 9, "category_id": 3}
    content["annotations"] = [
        {**box, "bbox": [1, 1, 9, 9 + index], **flag} for index, flag in enumerate(flags)
    ]
    file, root = write(content)
    photo = read_coco([file], [root]).photos[1]
    assert photo.ignore.tolist() == [True, True, True, True, False, False]


def test_landmarks(write: Write, good: dict[str, Any]) -> None:
    points = [float(number) for number in range(1, 11)]
    with_visibility = []
    for index in range(5):
        # Of COCO: 0 not labelled, 1 labelled but hidden, 2 seen.
        with_visibility += [*points[2 * index : 2 * index + 2], (2, 1, 0, 1, 2)[index]]
    cases: list[dict[str, Any]] = [
        {"landmarks": points, "landmarks_pseudo": [0.0] * 10},
        {"landmarks_pseudo": points},
        {"keypoints": with_visibility},
        {"landmarks": [-1, -1, *points[2:8], None, None]},
        {"landmarks": []},
        {"landmarks": points[:8]},
        {"keypoints": [1, 2, 2] * 17},
        {"landmarks": [1e300] * 10},
        {"landmarks": [float("nan"), 5.0] * 5},
        {"landmarks": [5.0, float("nan")] * 5},
    ]
    content = good
    box = {"image_id": 9, "category_id": 3}
    content["annotations"] = [
        {**box, "bbox": [1, 1, 9, 9 + index], **case} for index, case in enumerate(cases)
    ]
    file, root = write(content)
    dataset = read_coco([file], [root])
    found = dataset.photos[1].landmarks
    grid = np.array(points).reshape(5, 2)
    np.testing.assert_array_equal(found[0], grid)
    np.testing.assert_array_equal(found[1], grid)
    np.testing.assert_array_equal(found[2][[0, 1, 3, 4]], grid[[0, 1, 3, 4]])
    assert np.isnan(found[2][2]).all()
    np.testing.assert_array_equal(found[3][1:4], grid[1:4])
    assert np.isnan(found[3][[0, 4]]).all()
    assert np.isnan(found[4:]).all()
    assert dataset.skipped == {"landmarks that are not five points (the box is kept)": 2}


def test_other_categories_are_counted(
    write: Write, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    file, root = write(good)
    assert len(read_coco([file], [root]).photos[0].boxes) == 2
    assert "1 annotations are of other categories than face and not read: 1 x car" in caplog.text
    caplog.clear()
    assert len(read_coco([file], [root], classes=["face", "car"]).photos[0].boxes) == 3
    assert not caplog.text


@pytest.mark.parametrize(
    ("written", "there"),
    [("sub\\b.jpg", "sub/b.jpg"), ("Ja\u0308ger.jpg", "J\u00e4ger.jpg"),
     ("J\u00e4ger.jpg", "Ja\u0308ger.jpg")],
)  # fmt: skip
def test_names_as_other_systems_write_them(
    write: Write, good: dict[str, Any], written: str, there: str
) -> None:
    good["images"][1]["file_name"] = written
    file, root = write(good, images=("a.jpg", there))
    dataset = read_coco([file], [root])
    assert dataset.missing == ()
    assert dataset.photos[1].path == root / there


def test_missing_images_are_named(
    write: Write, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    content = good
    for index in range(8):
        record = {"id": 100 + index, "file_name": f"gone{index}.jpg", "width": 9, "height": 9}
        content["images"].append(record)
        face = {"image_id": 100 + index, "category_id": 3, "bbox": [0, 0, 3, 3]}
        content["annotations"].append(face)
    file, root = write(content)
    with caplog.at_level(logging.WARNING):
        dataset = read_coco([file], [root])
    assert dataset.missing == tuple(f"gone{index}.jpg" for index in range(8))
    assert dataset.skipped == {}
    assert len(dataset) == 2
    record = caplog.records[-1]
    assert record.getMessage() == (
        "8 of 10 images are not there: gone0.jpg, gone1.jpg, gone2.jpg, gone3.jpg, gone4.jpg, ..."
    )


def test_several_files(write: Write, good: dict[str, Any]) -> None:
    other = copy.deepcopy(good)
    other["images"][1]["id"] = "text"
    other["annotations"][0]["image_id"] = "text"
    other["annotations"][0]["bbox"] = [1, 2, 3, 4]
    first, root = write(good)
    second, other_root = write(other, name="more.json", folder="more")
    dataset = read_coco([first, second], [root, other_root])
    ids = [photo.image_id for photo in dataset.photos]
    assert ids[:2] == [7, 9]
    assert len(set(ids)) == 4
    assert all(isinstance(image_id, int) for image_id in ids)
    assert [len(photo.boxes) for photo in dataset.photos] == [2, 0, 1, 1]
    assert dataset.photos[3].boxes.tolist() == [[1, 2, 4, 6]]
    for files, folders in (([first, second], [root] * 3), ([], []), ([first], [])):
        with pytest.raises(DataError, match=r"--\*-ann-files .* --\*-data-roots"):
            read_coco(files, folders)


def test_classes(write: Write, good: dict[str, Any]) -> None:
    file, root = write(good)
    both = read_coco([file], [root], classes=("face", "car"))
    assert len(both.photos[0].boxes) == 3
    with pytest.raises(DataError) as refused:
        read_coco([file], [root], classes=("face", "head"))
    # Of the message alone: pytest's `match` reads the hint behind it, too.
    message = str(refused.value)
    assert re.search(r"faces\.json: has no category 'head'; .*: car, face$", message)


def test_paths_that_are_refused(write: Write, good: dict[str, Any], tmp_path: Path) -> None:
    file, root = write(good)
    with pytest.raises(DataError, match=r"none\.json: cannot be read: No such file"):
        read_coco([tmp_path / "none.json"], [root])
    with pytest.raises(DataError, match="cannot be read: Is a directory; expected a file"):
        read_coco([tmp_path], [root])
    with pytest.raises(DataError, match=r"nowhere: no such folder \(--\*-data-roots"):
        read_coco([file], [tmp_path / "nowhere"])
    with pytest.raises(DataError, match=r"none of the 2 images .* \(the first: a\.jpg\)") as error:
        read_coco([file], [root / "sub"])
    assert error.value.hint
