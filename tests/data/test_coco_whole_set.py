"""What only the whole of a COCO file tells: photos and labels that are there twice, ids, scales."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketface.data.coco import FaceDataset, read_coco
from pocketface.errors import DataError

Write = Callable[..., tuple[Path, Path]]
Read = Callable[..., FaceDataset]
A, B = [10, 20, 30, 40], [50, 5, 20, 25]
CORNERS_A, CORNERS_B = [10, 20, 40, 60], [50, 5, 70, 30]


def image(key: object, name: str = "a.jpg", width: int = 100, height: int = 80) -> dict[str, Any]:
    return {"id": key, "file_name": name, "width": width, "height": height}


def face(key: object, box: object, **more: Any) -> dict[str, Any]:
    return {"image_id": key, "category_id": 1, "bbox": box, **more}


@pytest.fixture
def read(write: Write) -> Read:
    def read(
        images: list[Any], faces: list[Any], category: dict[str, Any] | None = None
    ) -> FaceDataset:
        categories = [{"id": 1, "name": "face"} | (category or {})]
        content = {"images": images, "annotations": faces, "categories": categories}
        file, root = write(content)
        return read_coco([file], [root])

    return read


@pytest.mark.parametrize("again", ["a.jpg", "./a.jpg", ".\\a.jpg"])
def test_a_photo_listed_twice_has_the_faces_of_both(read: Read, again: str) -> None:
    found = read([image(1), image(2, again)], [face(1, A), face(2, B), face(2, A)])
    (photo,) = found.photos
    assert photo.image_id == 1
    assert photo.boxes.tolist() == [CORNERS_A, CORNERS_B]
    assert found.mended == {
        "image listed again, its faces joined": 1, "the same box again, left out": 1
    }  # fmt: skip
    assert found.skipped == {}


def test_a_photo_listed_twice_in_two_sizes(read: Read) -> None:
    doubled = face(2, [2 * side for side in B], landmarks=[20.0, 40.0] * 4 + [80, 80])
    (photo,) = read([image(1), image(2, width=200, height=160)], [face(1, A), doubled]).photos
    assert (photo.width, photo.height) == (100, 80)
    assert photo.boxes.tolist() == [CORNERS_A, CORNERS_B]
    assert photo.landmarks[1].tolist() == [[10, 20]] * 4 + [[40, 40]]
    odd = read(
        [image(1), image(2, width=80, height=100), image(3, "sub/b.jpg"), image(4, "sub/b.jpg")],
        [face(1, A), face(2, B), face(3, A), face(4, B)],
    )
    assert [len(photo.boxes) for photo in odd.photos] == [2]
    assert odd.skipped == {
        "image listed again with another shape (none of them is read)": 1,
        "label of such an image": 1,
    }


def test_several_files_that_list_one_photo(write: Write) -> None:
    categories = [{"id": 1, "name": "face"}]
    files = []
    for name, box in (("one.json", A), ("two.json", B)):
        content = {"images": [image(1)], "annotations": [face(1, box)], "categories": categories}
        file, root = write(content, name=name)
        files.append(file)
    (photo,) = read_coco(files, [root]).photos
    assert photo.boxes.tolist() == [CORNERS_A, CORNERS_B]


def test_the_same_box_again_is_one_face(read: Read) -> None:
    points = [float(number) for number in range(10)]
    found = read(
        [image(1)],
        [face(1, A, iscrowd=1), face(1, A, landmarks=points), face(1, A), face(1, B, iscrowd=1)],
    )
    (photo,) = found.photos
    assert photo.boxes.tolist() == [CORNERS_A, CORNERS_B]
    assert photo.ignore.tolist() == [False, True]
    assert photo.landmarks[0].ravel().tolist() == points
    assert found.mended == {"the same box again, left out": 2}


def test_a_rounded_box_is_the_same_face(read: Read) -> None:
    points = [float(number) for number in range(10)]
    rounded = face(1, [10, 20, 30, 41], landmarks=points)
    found = read([image(1)], [face(1, [10.3, 20.4, 30.2, 40.6], iscrowd=1), face(1, B), rounded])
    (photo,) = found.photos
    np.testing.assert_allclose(photo.boxes, [[10.3, 20.4, 40.5, 61], CORNERS_B])
    assert photo.ignore.tolist() == [False, False]
    assert photo.landmarks[0].ravel().tolist() == points
    assert found.mended == {"the same box again, left out": 1}


def test_nobody_knows_whose_the_labels_of_an_id_used_twice_are(read: Read) -> None:
    images = [image(1), image(1, "sub/b.jpg"), image(2, "sub/b.jpg"), image(3), image(3)]
    found = read(images, [face(1, A), face(2, A), face(3, B)])
    assert [(photo.path.name, photo.boxes.tolist()) for photo in found.photos] == [
        ("b.jpg", [CORNERS_A]), ("a.jpg", [CORNERS_B])
    ]  # fmt: skip
    assert found.skipped == {
        "image whose id is used twice": 2, "annotation of an image that is left out": 1
    }  # fmt: skip
    assert found.mended == {"image listed twice": 1}  # the same record again, which is clear
    with pytest.raises(DataError, match="no usable image: 2 x image whose id is used twice"):
        read(images[:2], [face(1, A)])


@pytest.mark.parametrize(
    ("ids", "said", "owners"),
    [
        ((0, 1), ("0", "1"), (0, 1)),
        (("0", "1"), (0, 1), (0, 1)),
        (("000", "001"), (0, 1), (0, 1)),
        ((0.0, 1), (0, "1"), (0, 1)),
        ((1, "1"), (1, "1"), (0, 1)),  # both are there: each is itself
    ],
)
def test_ids_as_numbers_and_as_texts(
    read: Read, ids: tuple[Any, Any], said: tuple[Any, Any], owners: tuple[int, int]
) -> None:
    found = read([image(ids[0]), image(ids[1], "sub/b.jpg")], [face(said[0], A), face(said[1], B)])
    boxes = [photo.boxes.tolist() for photo in found.photos]
    assert [boxes[owner] for owner in owners] == [[CORNERS_A], [CORNERS_B]]


def test_ids_that_could_be_two(read: Read) -> None:
    with pytest.raises(DataError, match=r"1 of 1 labels cannot be used: 1 x .* unknown image_id"):
        read([image("1"), image("01", "sub/b.jpg")], [face(1, A)])
    as_text = read([image(1)], [face(1, A) | {"category_id": "1"}])
    assert len(as_text.photos[0].boxes) == 1


SHARES = [[0.1, 0.25, 0.3, 0.5], [0.5, 0.0625, 0.2, 0.3125]]


def test_boxes_in_shares_of_the_photo(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    points = [0.5, 0.25] * 4 + [0.75, 0.5]
    found = read([image(1)], [face(1, SHARES[0], landmarks=points), face(1, SHARES[1])])
    np.testing.assert_allclose(found.photos[0].boxes, [CORNERS_A, CORNERS_B], atol=1e-4)
    np.testing.assert_allclose(found.photos[0].landmarks[0], [*[[50, 20]] * 4, [75, 40]])
    assert (
        "mended 2 records: 2 x bbox in shares of the photo (0 to 1), taken as such" in caplog.text
    )
    in_pixels = read([image(1)], [face(1, SHARES[0], landmarks=[50.0, 20] * 4 + [75, 40])])
    expected = [*[[50, 20]] * 4, [75, 40]]
    np.testing.assert_allclose(in_pixels.photos[0].landmarks[0], expected)


@pytest.mark.parametrize(
    "boxes",
    [[[0, 0, 1, 1]], [[0, 0, 1, 1], A], [[99, 79, 1, 1], [0, 0, 1, 1]], [[5.5, 5.5, 0.5, 0.5]]],
)
def test_boxes_of_one_pixel_are_what_they_are(read: Read, boxes: list[list[float]]) -> None:
    found = read([image(1)], [face(1, box) for box in boxes])
    expected = [[x, y, x + w, y + h] for x, y, w, h in boxes]
    assert found.photos[0].boxes.tolist() == expected
    assert not found.mended


def test_shares_among_pixels_are_named(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    found = read([image(1), image(2, "sub/b.jpg")], [face(1, A), face(1, B), face(2, SHARES[0])])
    assert len(found.photos[1].boxes) == 0
    assert "1 x bbox within one pixel, perhaps in shares of the photo" in caplog.text
    assert "annotations[2] of faces.json" in caplog.text
    with pytest.raises(DataError, match="2 of 3 labels cannot be used: 2 x bbox within one pixel"):
        read([image(1)], [face(1, A), *(face(1, box) for box in SHARES)])


POLYGON = [50, 5, 70, 5, 70, 30, 50, 30]


@pytest.mark.parametrize("nothing", [None, [], ...])
@pytest.mark.parametrize("polygons", [[POLYGON], POLYGON, [POLYGON[:6], POLYGON[2:]]])
def test_a_polygon_has_a_box(read: Read, nothing: object, polygons: list[Any]) -> None:
    without = face(1, nothing, segmentation=polygons)
    if nothing is ...:
        del without["bbox"]
    found = read([image(1)], [face(1, A), without])
    assert found.photos[0].boxes.tolist() == [CORNERS_A, CORNERS_B]
    assert found.mended == {"bbox taken from the polygon": 1}


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ({"counts": [1, 2], "size": [80, 100]}, "annotation with a mask (RLE) and no bbox"),
        ([[1, 2, 3, 4]], "bbox that is not four finite numbers"),
        ([[1, 2, 3, 4, 5, "6"]], "bbox that is not four finite numbers"),
        ([[1, 2, 3, 4, 5, None]], "bbox that is not four finite numbers"),
        ([[5, 5, 5, 5, 5, 5]], "bbox without area"),
        ([POLYGON, {}], "bbox that is not four finite numbers"),
    ],
)
def test_shapes_without_a_box(read: Read, segmentation: object, reason: str) -> None:
    found = read([image(1)], [face(1, A), face(1, [], segmentation=segmentation)])
    assert found.skipped == {reason: 1}


def test_more_than_half_of_the_labels_lost_is_an_error(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [face(9, A), face(1, A), face(1, B), face(9, B)]
    with caplog.at_level(logging.WARNING):
        assert read([image(1)], bad).skipped == {"annotation of an unknown image_id": 2}
    assert (
        "skipped 2 bad records: 2 x annotation of an unknown image_id (first: anno" in caplog.text
    )
    message = (
        r"faces\.json: 3 of 5 labels cannot be used: 2 x annotation of an unknown image_id "
        r"\(first: annotations\[0\] of faces\.json\); 1 x bbox without area \(first: anno"
    )
    with pytest.raises(DataError, match=message):
        read([image(1)], [*bad, face(1, [1, 1, 0, 0])])
    with pytest.raises(DataError, match=r"2 of 3 images cannot be used: 2 x image without a file"):
        read([image(1), image(2, ""), image(3, "")], [])


def test_other_categories_and_missing_photos_are_not_lost(write: Write) -> None:
    content = {
        "images": [image(1), image(2, "gone.jpg"), image(3, "gone too.jpg")],
        "annotations": [
            face(1, A), face(2, A), face(2, B), face(3, B), *[face(9, A) | {"category_id": 2}] * 9
        ],
        "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "car"}],
    }  # fmt: skip
    file, root = write(content)
    found = read_coco([file], [root])
    assert (found.skipped, len(found), len(found.missing)) == ({}, 1, 2)


def test_blanks_around_a_category(read: Read) -> None:
    assert len(read([image(1)], [face(1, A)], {"name": " face\t"}).photos[0].boxes) == 1


@pytest.mark.parametrize(
    ("other", "typed"),
    [
        ("Face", " (if they are meant too: --classes face=face,face=Face)"),
        ("FACE ", " (if they are meant too: --classes face=face,face=FACE)"),
        ("faces", ""),
    ],
)
def test_another_category_that_is_a_class_but_for_case(
    write: Write, caplog: pytest.LogCaptureFixture, other: str, typed: str
) -> None:
    content = {
        "images": [image(1)],
        "annotations": [face(1, A), face(1, B) | {"category_id": 2}],
        "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": other}],
    }
    file, root = write(content)
    assert len(read_coco([file], [root]).photos[0].boxes) == 1
    assert caplog.messages == [
        f"1 annotations are of other categories than face and not read: 1 x {other.strip()}{typed}"
    ]


def test_faces_that_are_lost_count_as_background(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    kept = [face(1, A), face(1, B), face(1, [1, 1, 9, 9]), face(1, [2, 2, 9, 9])]
    lost = [face(1, [1, 1, 0, 0]), face(1, [500, 1, 5, 5]), face(1, A) | {"category_id": 9}]
    read([image(1)], [*kept, *lost])
    assert "; the faces of 3 of them count as background" in caplog.text
    caplog.clear()
    read([image(1)], [*kept, face(9, A), face(1, [3, 3, 9, 9], keypoints=[1])])
    assert "skipped 2 bad records" in caplog.text
    assert "background" not in caplog.text
