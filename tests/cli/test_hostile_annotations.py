"""Annotation files as nobody should write them: read, or refused in one line, nothing written."""

from __future__ import annotations

import codecs
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from pocketface.data.coco import read_coco
from pocketface.data.labelled_faces import COLUMNS
from pocketface.errors import DataError

Run = Callable[..., Any]
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
PHOTOS = {"a.jpg": (512, 600), "b.jpg": (512, 600)}


def coco(**more: Any) -> dict[str, Any]:
    images = [
        {"id": index, "file_name": name, "width": width, "height": height}
        for index, (name, (width, height)) in enumerate(PHOTOS.items(), start=1)
    ]
    faces = [face(index, [10 * index, 20, 50, 60]) for index in (1, 2, 1)]
    faces[2]["bbox"] = [300, 20, 50, 60]
    return {
        "images": images, "annotations": faces, "categories": [{"id": 1, "name": "face"}], **more
    }  # fmt: skip


def face(image: object, box: object, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image, "category_id": 1, "bbox": box, **more}


def faces(*boxes: object) -> list[dict[str, Any]]:
    return [face(1, box) for box in boxes]


GOOD = json.dumps(coco())
DEEP = '{"a":' * 100_000
INTO = GOOD[:-1]

# (what is odd, the file, what the error of reading says or None, what the error of a split says)
JSON: list[tuple[str, object, str | None, str | None]] = [
    ("nothing", b"", "not JSON", "not JSON"),
    ("a number", b"7", "expected an object, found int", "expected an object"),
    ("null", b"null", "expected an object, found NoneType", "expected an object"),
    ("half a file", GOOD[:200].encode(), r"odd\.json:1:\d+: not JSON", "not JSON"),
    ("bytes that are no text", b"\xff\xfe\xfd" * 9, "not JSON", "not JSON"),
    ("deep nesting", DEEP.encode(), "not JSON: maximum recursion", "not JSON"),
    ("a number of 5000 digits", f'{INTO}, "x": {"9" * 5000}}}'.encode(), "not JSON", "not JSON"),
    ("a mark of the byte order", codecs.BOM_UTF8 + GOOD.encode(), None, None),
    ("UTF-16", GOOD.encode("utf-16"), None, None),
    (
        "a list that is there twice",
        f'{INTO}, "annotations": []}}'.encode(),
        "the key 'annotations' is there twice",
        "is there twice",
    ),
    ("a harmless key that is there twice", f'{INTO}, "x": 1, "x": 2}}'.encode(), None, None),
    ("a missing list", {"images": [], "annotations": []}, "categories: expected a list", "categ"),
    (
        "an object for a list",
        coco(annotations={}),
        "annotations: expected a list, found dict",
        "expected a list",
    ),
    (
        "records that are none",
        coco(images=[1, "x", None, []]),
        "no usable image: 4 x image without",
        "two or more",
    ),
    (
        "annotations that are none",
        coco(annotations=[1, "x", None]),
        "3 of 3 labels cannot be used",
        "3 of 3 labels",
    ),
    ("ids that are lists", coco(annotations=[face([1], [1, 1, 9, 9])]), "1 of 1 labels", "1 of 1"),
    ("ids that are objects", coco(annotations=[face({}, [1, 1, 9, 9])]), "1 of 1 labels", "1 of 1"),
    ("ids that are true", coco(annotations=[face(True, [1, 1, 9, 9])]), "1 of 1 labels", "1 of 1"),
    ("ids with a fraction", coco(annotations=[face(1.5, [1, 1, 9, 9])]), "1 of 1 lab", "1 of 1"),
    ("ids beyond any number", coco(annotations=[face(1e308, [1, 1, 9, 9])]), "1 of 1", "1 of 1"),
    (
        "boxes of 1e308",
        coco(annotations=faces([1e308] * 4, [0, 0, 1e308, 1e308])),
        "2 of 2 labels cannot be used: 2 x bbox that is not four finite numbers",
        "2 of 2 labels",
    ),
    ("boxes of 1e299", coco(annotations=faces([0, 0, 1e299, 1e299])), None, None),
    (
        "boxes of NaN",
        coco(annotations=faces([float("nan")] * 4)),
        "not four finite",
        "not four finite",
    ),
    (
        "boxes of infinity",
        coco(annotations=faces([0, 0, float("inf"), 9])),
        "not four",
        "not four",
    ),
    ("boxes of texts", coco(annotations=faces(["1", "2", "3", "4"])), "not four", "not four"),
    ("boxes of lists", coco(annotations=faces([[1, 2], [3, 4]])), "not four", "not four"),
    (
        "boxes that are objects",
        coco(annotations=faces({"x": 1, "y": 2, "w": 3, "h": 4})),
        "not four finite",
        "not four finite",
    ),
    ("boxes below 0", coco(annotations=faces([-50, -50, 20, 20])), "bbox outside", "bbox outside"),
    (
        "a width of text",
        coco(
            images=[
                {"id": 1, "file_name": "a.jpg", "width": "9", "height": 9},
                {"id": 2, "file_name": "b.jpg", "width": 9},
            ]
        ),
        "no usable image: 2 x image without a width",
        "no usable image: 2 x image without a width",
    ),
    (
        "a name of a megabyte",
        coco(
            images=[
                {"id": 1, "file_name": "x" * 10**6, "width": 9, "height": 9},
                {"id": 2, "file_name": "y" * 10**6, "width": 9, "height": 9},
            ],
            annotations=[],
        ),
        "none of the 2 images",
        None,
    ),
    (
        "a lonely surrogate in a name",
        coco(
            images=[
                {"id": 1, "file_name": "\ud800", "width": 9, "height": 9},
                {"id": 2, "file_name": "\udfff", "width": 9, "height": 9},
            ],
            annotations=[],
        ),
        "none of the 2 images",
        None,
    ),
    (
        "a category of a megabyte",
        coco(categories=[{"id": 1, "name": "x" * 10**6}]),
        "has no category 'face'",
        None,
    ),
    (
        "a category without a name",
        coco(categories=[{"id": 1, "x": "y" * 10**6}]),
        "expected an id and a name, found",
        "expected an id and a name, found",
    ),
    (
        "two categories with one id",
        coco(categories=[{"id": 1, "name": "face"}, {"id": 1, "name": "car"}]),
        "'face' and 'car' have the same id 1",
        "'face' and 'car' have the same id 1",
    ),
    (
        "keypoints that are anything",
        coco(
            annotations=[
                face(1, [1, 1, 9, 9 + place], keypoints=one)
                for place, one in enumerate(
                    [1, "x", {}, [[]], [None] * 15, [1e308] * 15, [True] * 15]
                )
            ]
        ),
        None,
        None,
    ),
    (
        "polygons that are anything",
        coco(
            annotations=[
                face(1, [1, 1, 9, 9]),
                face(2, [1, 1, 9, 9]),
                *(face(1, [], segmentation=one) for one in ([[]], [{}])),
            ]
        ),
        None,
        None,
    ),
]


def write(path: Path, content: object) -> None:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in PHOTOS:
        shutil.copy(HOPPER, tmp_path / name)
    return tmp_path


def check_refused(result: Any, says: str, folder: Path) -> None:
    assert result.code == 2, result.err
    lines = [line for line in result.err.splitlines() if not line.startswith("hint: ")]
    assert all(line.startswith("pocketface: warning: ") for line in lines[:-1]), result.err
    assert lines[-1].startswith("pocketface: error: ")
    assert len(lines[-1]) < 1000
    assert re.search(says, lines[-1]), lines[-1]
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("content", "reading", "splitting"), [pytest.param(*case[1:], id=case[0]) for case in JSON]
)
def test_coco(
    run: Run, folder: Path, content: object, reading: str | None, splitting: str | None
) -> None:
    file = folder / "odd.json"
    write(file, content)
    if reading is None:
        assert len(read_coco([file], [folder])) == len(PHOTOS)
    else:
        with pytest.raises(DataError, match=reading) as error:
            read_coco([file], [folder])
        assert len(str(error.value)) < 1000
    result = run("data", "split", file, "--output", "out", "--train-fraction", "0.5")
    if splitting is not None:
        check_refused(result, splitting, folder)
        return
    assert result.code == 0, result.err
    assert len(list((folder / "out").iterdir())) == 2


HEAD = ",".join(COLUMNS)
POINTS = ",1,2,3,4,5,6,7,8,9,10"
TABLE = f"{HEAD}\na.jpg,glass{POINTS}\nb.jpg,no_glass{POINTS}\n"

# (what is odd, the file, what the error says)
REFUSED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "columns none: expected one of image"),
    ("a heading alone", HEAD.encode(), "no rows"),
    ("an empty line first", b"\n" + TABLE.encode(), "columns none"),
    ("no text at all", bytes(range(128, 256)), "not UTF-8 text"),
    ("NUL characters", TABLE.replace("glass", "gl\0ss").encode(), "it has NUL characters"),
    ("UTF-16 without its mark", TABLE.encode("utf-16-le"), "it has NUL characters"),
    ("half of UTF-16", TABLE.encode("utf-16")[:-1], "not UTF-16 text"),
    ("an open quote", b'image,label\na.jpg,"glass\n' + b"x\n" * 80_000, "field larger than"),
    ("more cells than the heading", b"image,label\na.jpg,1,oh\n", "3 cells; expected 2, as in"),
    ("a column that is there twice", b"image,label,label\na.jpg,1,0\n", "two columns are called"),
    ("a row without a name", b"image,label\n,1\n", "list.csv:2: image is empty"),
    ("a label of another kind", b"image,label\na.jpg,maybe\n", "label 'maybe': expected one of"),
    ("a name that leads out", b"image,label\n../a.jpg,1\n", "1 x photo whose name leads out"),
    (
        "one photo with two labels",
        b"image,label\na.jpg,1\n./a.jpg,0\n",
        r"photo with different lab",
    ),
    ("a photo that is not there", b"image,label\ngone.jpg,1\n", "1 of 1 photos are not in"),
    ("a name of a megabyte", b"image,label\n%s,1\n" % (b"x" * 10**5), "1 of 1 photos are not in"),
    (
        "a part that is a path",
        b"image,label,split\na.jpg,1,../x\n",
        "split '../x': expected letters",
    ),
]


@pytest.mark.parametrize(
    ("content", "says"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED]
)
def test_tables_that_are_refused(run: Run, folder: Path, content: bytes, says: str) -> None:
    (folder / "list.csv").write_bytes(content)
    check_refused(run("data", "glasses", "list.csv", "--output", "out"), says, folder)
