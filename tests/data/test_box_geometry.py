"""Boxes that are not x, y, width, height in pixels, as all of a COCO file together tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pocketface.data.coco import FaceDataset, read_coco
from pocketface.errors import DataError

Box = Sequence[float]
Read = Callable[..., FaceDataset]

WIDTH, HEIGHT = 100, 80
BOXES = [(4 + 7 * place, 30 + 2 * place, 20 + place, 25) for place in range(10)]


@pytest.fixture
def read(write: Callable[..., tuple[Path, Path]]) -> Read:
    def read(boxes: Sequence[Box], *, areas: Sequence[object] | None = None) -> FaceDataset:
        faces: list[dict[str, Any]] = [
            {"image_id": 1, "category_id": 1, "bbox": list(box)} for box in boxes
        ]
        if areas is not None:
            faces = [face | {"area": area} for face, area in zip(faces, areas, strict=True)]
        content = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
            "annotations": faces,
            "categories": [{"id": 1, "name": "face"}],
        }
        file, root = write(content)
        return read_coco([file], [root])

    return read


def corners(box: Box) -> Box:
    x, y, w, h = box
    return x, y, x + w, y + h


def shares(box: Box, of: float = 1.0) -> Box:
    x, y, w, h = box
    return of * x / WIDTH, of * y / HEIGHT, of * w / WIDTH, of * h / HEIGHT


def areas(boxes: Sequence[Box], times: float = 1.0) -> list[float]:
    return [w * h * times for _, _, w, h in boxes]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2)])
def test_corners_in_shares_of_the_photo(read: Read, order: Sequence[int]) -> None:
    in_shares = [corners(shares(box)) for box in BOXES]
    with pytest.raises(DataError, match=r"faces\.json: bbox: all numbers are from 0 to 1, and are"):
        read([[box[place] for place in order] for box in in_shares])


@pytest.mark.parametrize("of", [corners, lambda box: shares(box, of=1000)])
def test_most_boxes_reach_beyond_their_photo(read: Read, of: Callable[[Box], Box]) -> None:
    boxes = [of(box) for box in BOXES]
    with pytest.raises(DataError, match=r"of 10 boxes reach beyond their photos: expected x, y, w"):
        read(boxes)


def test_some_boxes_reach_beyond_their_photo(read: Read) -> None:
    beyond = [(place - 10, 10, 20 + place, 20) for place in range(5)]
    assert len(read([*BOXES[:5], *beyond]).photos[0].boxes) == 10
    a_little = [(-1, place, 20, 30) for place in range(10)]
    assert len(read(a_little).photos[0].boxes) == 10
    assert len(read(beyond[:4]).photos[0].boxes) == 4  # too few to tell


NEAR_THE_CORNER = [(20 + place, 15 + place, 15 + place, 20) for place in range(6)]


@pytest.mark.parametrize(
    ("boxes", "stated"),
    [
        ([corners(box) for box in NEAR_THE_CORNER], areas(NEAR_THE_CORNER)),
        ([shares(box, of=30) for box in BOXES], areas(BOXES)),
        (BOXES, areas(BOXES, times=0.19)),
        (BOXES, [*areas(BOXES[:6], times=6), *areas(BOXES[6:])]),
    ],
    ids=["corners", "percent", "less", "six of ten"],
)
def test_most_areas_are_others(read: Read, boxes: list[Box], stated: list[float]) -> None:
    with pytest.raises(DataError, match=r"boxes have another area than their `area` says"):
        read(boxes, areas=stated)


@pytest.mark.parametrize(
    "stated",
    [
        areas(BOXES, times=0.21),  # of masks
        areas(BOXES, times=1.01),
        [*areas(BOXES[:5], times=9), *areas(BOXES[5:])],
        [1] * 10,
        [0] * 10,
        [None, "12", -1, True, 10**400, {}, float("nan"), 1, 2, 3],
    ],
)
def test_areas_that_tell_nothing(read: Read, stated: list[object]) -> None:
    assert len(read(BOXES, areas=stated).photos[0].boxes) == 10


def test_enormous_boxes(read: Read) -> None:
    boxes = [(-1e299, -1e299, 2e299, 2e299 + 1e290 * place) for place in range(5)]
    with pytest.raises(DataError, match="5 of 5 boxes reach beyond their photos"):
        read(boxes, areas=[1, 2, 3, 4, 5])


def test_all_boxes_in_the_upper_left_quarter(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    small = [shares(box, of=40) for box in BOXES]
    read(small)
    assert (
        "faces.json: all 10 boxes are in the upper left quarter of their photos: are they in "
        "pixels of photos of this size?" in caplog.text
    )
    caplog.clear()
    read(small[:9])
    read([*small, BOXES[9]])
    assert not caplog.text
