"""Bad records of a COCO file are counted one by one; bad files are refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketface.data.coco import read_coco
from pocketface.errors import DataError

Write = Callable[..., tuple[Path, Path]]

BAD_ANNOTATIONS: list[tuple[str, Any]] = [
    ("bbox that is not four finite numbers", {"bbox": [1, 2, 3]}),
    ("bbox that is not four finite numbers", {"bbox": None}),
    ("bbox that is not four finite numbers", {"bbox": [1, 2, "3", 4]}),
    ("bbox that is not four finite numbers", {"bbox": [1, 2, float("nan"), 4]}),
    ("bbox that is not four finite numbers", {"bbox": [1, 2, float("inf"), 4]}),
    ("bbox that is not four finite numbers", {"bbox": [1, 2, 10**400, 4]}),
    ("bbox that is not four finite numbers", {"bbox": [1, 2, True, 4]}),
    ("bbox without area", {"bbox": [1, 2, 0, 4]}),
    ("bbox without area", {"bbox": [1, 2, 3, -4]}),
    ("bbox outside the photo", {"bbox": [50, 1, 5, 5]}),
    ("bbox outside the photo", {"bbox": [-9, 1, 9, 5]}),
    ("annotation of an unknown image_id", {"image_id": 8}),
    ("annotation of an unknown image_id", {"image_id": None}),
    ("annotation of an unknown image_id", {"image_id": [9]}),
    ("annotation of an unknown category_id", {"category_id": 5}),
    ("annotation of an unknown category_id", {"category_id": {}}),
    ("annotation of an unknown image_id", "not an object"),
]


def test_bad_annotations_are_counted(
    write: Write, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    box = {"image_id": 9, "category_id": 3, "bbox": [1, 1, 9, 9]}
    content = good
    sound = [{**box, "bbox": [1, 1, 9, 9 + index]} for index in range(len(BAD_ANNOTATIONS))]
    content["annotations"] = sound.copy()
    expected: dict[str, int] = {}
    for reason, change in BAD_ANNOTATIONS:
        content["annotations"].append({**box, **change} if isinstance(change, dict) else change)
        expected[reason] = expected.get(reason, 0) + 1
    file, root = write(content)
    with caplog.at_level(logging.WARNING):
        dataset = read_coco([file], [root])
    assert dataset.skipped == expected
    assert dataset.photos[1].boxes.tolist() == [[1, 1, 10, 10 + n] for n in range(len(sound))]
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert message.startswith(
        "skipped 17 bad records: 7 x bbox that is not four finite numbers (first: annotations[17] "
        "of faces.json); "
    )


BAD_IMAGES: list[tuple[str, Any]] = [
    ("image without an id", {"id": None}),
    ("image without an id", "not an object"),
    ("image without a file_name", {"file_name": ""}),
    ("image without a file_name", {"file_name": 5}),
    ("image whose file_name leads out of the data root", {"file_name": "/etc/passwd"}),
    ("image whose file_name leads out of the data root", {"file_name": "sub/../../x.jpg"}),
    ("image whose file_name leads out of the data root", {"file_name": "..\\x.jpg"}),
    ("image whose file_name leads out of the data root", {"file_name": "C:\\x.jpg"}),
    ("image whose file_name leads out of the data root", {"file_name": "a.jpg\0"}),
    ("image without a width and height in pixels", {"width": 0}),
    ("image without a width and height in pixels", {"height": "80"}),
    ("image without a width and height in pixels", {"width": 10.5}),
    ("image without a width and height in pixels", {"width": 10**400}),
]


@pytest.mark.parametrize(("reason", "change"), BAD_IMAGES)
def test_bad_images_are_counted(
    write: Write, good: dict[str, Any], reason: str, change: Any
) -> None:
    content = good
    record = {"id": 1, "file_name": "a.jpg", "width": 10, "height": 10}
    content["images"].append({**record, **change} if isinstance(change, dict) else change)
    file, root = write(content)
    dataset = read_coco([file], [root])
    assert dataset.skipped == {reason: 1}
    assert [photo.image_id for photo in dataset.photos] == [7, 9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"images": [1,\n  2,}', r"faces\.json:2:5: not JSON: "),
        (b"", r"faces\.json:1:1: not JSON"),
        (b'{"images": "\xff\xfe"}', r"faces\.json: not JSON"),
        (b"[" * 200_000, r"faces\.json: not JSON"),
        (b"[]", r"faces\.json: not a COCO file: expected an object, found list"),
        (b'{"images": []}', r"annotations: expected a list, found nothing"),
    ],
)
def test_files_that_are_refused(write: Write, content: bytes, message: str) -> None:
    file, root = write({})
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_coco([file], [root])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {}}, r"images: expected a list, found dict"),
        ({"images": []}, r"has no usable image: images is empty"),
        ({"images": [{}]}, r"has no usable image: 1 x image without an id"),
        ({"categories": []}, r"has no category 'face'; its categories: none"),
        ({"categories": [{"id": 3}]}, r"categories: expected an id and a name"),
    ],
)
def test_contents_that_are_refused(
    write: Write, good: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    file, root = write(good | change)
    with pytest.raises(DataError, match=message):
        read_coco([file], [root])
