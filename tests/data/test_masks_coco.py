"""COCO's polygons and run-length codes become masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.class_names import ClassNames
from pocketface.data.mask_pairs import read_list, read_mask_values
from pocketface.data.masks import Split, WrittenList
from pocketface.data.masks_coco import CocoRequest, convert_coco
from pocketface.errors import DataError, UserError

pytest.importorskip("faster_coco_eval")

SQUARE = [[2, 3, 12, 3, 12, 13, 2, 13]]
CATEGORIES = [{"id": 1, "name": "Face"}, {"id": 4, "name": "hair"}, {"id": 5, "name": "car"}]


def counts_of(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs down the columns, the first of zeros (cocodataset.org, "Data format")."""
    flat = mask.T.ravel()
    ends = [*np.flatnonzero(np.diff(flat)) + 1, len(flat)]
    counts = np.diff([0, *ends]).tolist()
    return [0, *counts] if flat[0] else counts


def letters_of(counts: list[int]) -> str:
    """The same as text: differences to the run before the last, in groups of five bits."""
    text = ""
    for place, count in enumerate(counts):
        left = count - (counts[place - 2] if place > 2 else 0)
        more = True
        while more:
            bits, left = left & 31, left >> 5
            more = left != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


HAIR: NDArray[np.bool_] = np.zeros((30, 40), bool)
HAIR[8:20, 5:30] = True
HAIR[10:12, 7:9] = False
RUNS = {"size": [30, 40], "counts": counts_of(HAIR)}
LETTERS = {"size": [30, 40], "counts": letters_of(counts_of(HAIR))}

Write = Callable[..., tuple[Path, Path]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a COCO file, given (image id, category id, segmentation), and three photos."""

    def write(*shapes: tuple[int, int, Any], **changes: Any) -> tuple[Path, Path]:
        names = ["a.jpg", "sub/a.jpg", "sub/a.png"]
        for name in names:
            (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (90, 60, 200)).save(tmp_path / "photos" / name)
        images = [
            {"id": place, "file_name": name, "width": 40, "height": 30}
            for place, name in enumerate(names)
        ]
        annotations = [
            {"id": place, "image_id": image, "category_id": kind, "segmentation": shape}
            for place, (image, kind, shape) in enumerate(shapes)
        ]
        content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
        file = tmp_path / "coco.json"
        file.write_text(json.dumps(content | changes))
        return file, tmp_path / "photos"

    return write


def convert(files: tuple[Path, Path], *names: str) -> tuple[Path, list[WrittenList]]:
    file, photos = files
    output = file.parent / "out"
    request = CocoRequest(file, photos, output, names=ClassNames.parse(names), split=Split())
    return output, convert_coco(request)


def test_photos_without_a_face_are_left_out(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    file, photos = write(*((place, 1, SQUARE) for place in range(3)))
    Image.new("RGB", (40, 30), (250, 250, 250)).save(photos / "sub" / "a.png")
    points = np.arange(10, dtype=np.float32).reshape(5, 2)

    def find(photo: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return None if photo[0, 0, 0] > 240 else points

    request = CocoRequest(
        file,
        photos,
        file.parent / "out",
        names=ClassNames.parse(()),
        split=Split(),
        find_landmarks=find,
    )
    (made,) = convert_coco(request)
    pairs = read_list(made.path).pairs
    assert [pair.image for pair in pairs] == ["images/a.jpg", "images/sub/a.jpg"]
    assert all(pair.landmarks for pair in pairs)
    assert "1 x photo in which no face was found (first: sub/a.png (40x30)" in caplog.text
    assert not (file.parent / "out" / "images" / "sub" / "a.png").exists()


@pytest.mark.parametrize("code", [RUNS, LETTERS])
def test_shapes_lie_over_each_other(code: dict[str, Any], write: Write) -> None:
    files = write((0, 1, SQUARE), (0, 4, code), (1, 4, code), (1, 1, SQUARE), (2, 5, SQUARE))
    root, [made] = convert(files, "face=Face", "hair=hair")
    content = read_list(made.path)
    assert content.classes == {"1": "face", "2": "hair"}
    assert [pair.image for pair in content.pairs] == ["images/a.jpg", "images/sub/a.jpg"]
    square = np.zeros_like(HAIR)
    square[3:13, 2:12] = True
    first, second = (read_mask_values(root / pair.mask) for pair in content.pairs)
    np.testing.assert_array_equal(first, np.where(HAIR, 2, square))
    np.testing.assert_array_equal(second, np.where(square, 1, 2 * HAIR))


def test_a_polygon_without_a_list_around_it(write: Write) -> None:
    root, [made] = convert(write((0, 1, SQUARE[0])), "face=Face")
    (pair,) = read_list(made.path).pairs
    assert read_mask_values(root / pair.mask)[3:13, 2:12].all()


def test_all_categories_and_several_names(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    files = write((0, 1, SQUARE), (1, 4, RUNS), (2, 5, SQUARE))
    root, [made] = convert(files)
    content = read_list(made.path)
    assert content.classes == {"1": "Face", "2": "hair", "3": "car"}
    assert [pair.mask for pair in content.pairs] == [
        "masks/a.png", "masks/sub/a.png", "masks/sub/a.png.png"
    ]  # fmt: skip
    assert [int(read_mask_values(root / pair.mask).max()) for pair in content.pairs] == [1, 2, 3]
    (root.parent / "again").mkdir()
    file, photos = files
    names = ClassNames.parse(["head=Face,head=hair"])
    request = CocoRequest(file, photos, root.parent / "again", names=names, split=Split())
    [made] = convert_coco(request)
    assert (made.pairs, read_list(made.path).classes) == (2, {"1": "head"})
    assert "1 annotations of other categories not read: 1 x car" in caplog.text
    assert "1 photos left out, which have no annotation of these classes" in caplog.text


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (None, "photo with an annotation without a mask"),
        ([], "photo with an annotation without a mask"),
        ([[1, 2, 3, 4]], "photo with a damaged polygon"),
        ([[1, 2, 3, 4, 5]], "photo with a damaged polygon"),
        ([[1, 2, 3, 4, 5, 1e9]], "photo with a damaged polygon"),
        ([[1, 2, 3, 4, 5, float("nan")]], "photo with a damaged polygon"),
        ([1, 2, 30, 4, 5], "photo with a damaged polygon"),
        ([1, 2, 30, 4, 5, "16"], "photo with a damaged polygon"),
        ({"size": [40, 30], "counts": [1200]}, "photo with a run-length code of another size"),
        ({"counts": [1200]}, "photo with a run-length code of another size"),
        ("text", "photo with a run-length code of another size"),
        ({"size": [30, 40], "counts": [5, 5]}, "photo with a damaged run-length code"),
        ({"size": [30, 40], "counts": [-5, 1205]}, "photo with a damaged run-length code"),
        ({"size": [30, 40], "counts": "zzzz"}, "photo with a damaged run-length code"),
        ({"size": [30, 40], "counts": "ä\ud800"}, "photo with a damaged run-length code"),
        ({"size": [30, 40]}, "photo with a damaged run-length code"),
        ({"size": [30, 40], "counts": [0, 1200]}, "mask that is all one class"),
    ],
)
def test_bad_shapes(
    shape: object, reason: str, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """The photo is left out: what the shape means would count as background."""
    root, [made] = convert(write((0, 1, SQUARE), (1, 1, SQUARE), (1, 1, shape)), "face=Face")
    assert made.pairs == 1
    assert os_names(root / "images") == ["a.jpg"]
    assert f"1 x {reason} (first: sub/a.jpg (" in caplog.text


def os_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bad_files(write: Write) -> None:
    with pytest.raises(DataError, match="has no category 'face'"):
        convert(write((0, 1, SQUARE)), "face=face")
    with pytest.raises(DataError, match="no photo has an annotation of these classes"):
        convert(write((0, 5, SQUARE)), "face=Face")
    with pytest.raises(DataError, match="class hair is in none of the 1 masks"):
        convert(write((0, 1, SQUARE)), "face=Face", "hair=hair")
    with pytest.raises(DataError, match="1 of 1 photos cannot be used: 1 x photo with a damaged p"):
        convert(write((0, 1, [[1, 2]])), "face=Face")
    with pytest.raises(DataError, match="2 of 3 labels cannot be used: 1 x annotation of an unkn"):
        convert(write((0, 1, SQUARE), (9, 1, SQUARE), (0, 9, SQUARE)), "face=Face")
    images = [{"id": 0, "file_name": "gone.jpg", "width": 40, "height": 30}]
    with pytest.raises(DataError, match=r"none of the photos with .* is there: gone\.jpg"):
        convert(write((0, 1, SQUARE), images=images), "face=Face")
    images = [{"id": 0, "file_name": "a.jpg", "width": 30, "height": 40}]
    with pytest.raises(DataError, match=r"another size than its record .*30x40, photo 40x30"):
        convert(write((0, 1, SQUARE), images=images), "face=Face")
    with pytest.raises(DataError, match="no such folder of photos"):
        convert((write((0, 1, SQUARE))[0], Path("none")), "face=Face")
    with pytest.raises(UserError, match="--classes face: expected OURS=THEIRS"):
        convert(write((0, 1, SQUARE)), "face")
    with pytest.raises(UserError, match="background=rest: is for folders of masks; in COCO all th"):
        convert(write((0, 1, SQUARE)), "face=Face", "background=rest")
    with pytest.raises(DataError, match="expected a class beside background"):
        convert(write((0, 1, SQUARE)), "background=Face")


def test_a_photo_of_two_records(write: Write) -> None:
    images = [
        {"id": key, "file_name": name, "width": 40, "height": 30}
        for key, name in ((0, "a.jpg"), (1, "./a.jpg"))
    ]
    root, [made] = convert(write((0, 1, SQUARE), (1, 4, RUNS), images=images))
    assert made.pairs == 1
    [path] = (root / "masks").iterdir()
    assert set(np.unique(read_mask_values(path))) == {0, 1, 2}


def test_a_photo_of_which_one_record_has_another_size_is_left_out(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    images = [
        {"id": key, "file_name": name, "width": width, "height": 30}
        for key, name, width in ((0, "a.jpg", 40), (1, "./a.jpg", 20), (2, "sub/a.jpg", 40))
    ]
    shapes = [(key, 1, SQUARE) for key in range(3)]
    _, [made] = convert(write(*shapes, images=images))
    assert [pair.image for pair in read_list(made.path).pairs] == ["images/sub/a.jpg"]
    assert "photo of another size than its record (first: a.jpg (20x30, photo 40x30)" in caplog.text
