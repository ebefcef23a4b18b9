"""Landmarks that lie as no face's do, in COCO files and in lists of faces alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.data.coco import read_coco
from pocketface.data.labelled_faces import read_labelled_faces
from pocketface.errors import DataError

from ..labelled_lists import write_labelled_faces

Read = Callable[[Sequence[list[list[int]]]], list[NDArray[np.float32]]]

FACE = [[20, 30], [40, 31], [30, 40], [22, 50], [38, 51]]
CROSSED = [FACE[place] for place in (1, 0, 2, 4, 3)]
NOSE_FIRST = [FACE[place] for place in (2, 0, 1, 3, 4)]
ONE_POINT = [[20, 30], [21, 30], [20, 31], [21, 31], [20, 30]]
UPSIDE_DOWN = [[-x, -y] for x, y in FACE]


def moved(face: list[list[int]], by: int) -> list[list[int]]:
    """A face of its own, so that none is there twice."""
    return [[x + by, y + by] for x, y in face]


def read_list(tmp_path: Path, faces: Sequence[list[list[int]]]) -> list[NDArray[np.float32]]:
    (tmp_path / "a.jpg").touch()
    rows = [
        ("a.jpg", "glass", np.array(moved(face, place), np.float32))
        for place, face in enumerate(faces)
    ]
    write_labelled_faces(tmp_path / "list.csv", rows)
    found = read_labelled_faces([tmp_path / "list.csv"], [tmp_path], classes=["glass"])
    return [face.landmarks for face in found]


@pytest.fixture
def read_keypoints(write: Callable[..., tuple[Path, Path]]) -> Read:
    """Reads keypoints to which the category gives no names."""

    def read(faces: Sequence[list[list[int]]]) -> list[NDArray[np.float32]]:
        content = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
            "annotations": [
                {
                    "image_id": 1, "category_id": 1, "bbox": [10 + place, 20, 40, 40],
                    "keypoints": [n for x, y in moved(face, place) for n in (x, y, 2)],
                }
                for place, face in enumerate(faces)
            ],
            "categories": [{"id": 1, "name": "face", "keypoints": []}],
        }  # fmt: skip
        file, root = write(content)
        return list(read_coco([file], [root]).photos[0].landmarks)

    return read


def test_the_persons_left_and_right_in_a_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = read_list(tmp_path, [CROSSED] * 3)
    assert [some.tolist() for some in found] == [moved(FACE, place) for place in range(3)]
    assert "mended 3 records: 3 x landmarks with the person's left and right" in caplog.text
    assert "(first: line 2 of list.csv)" in caplog.text
    caplog.clear()
    assert [some.tolist() for some in read_list(tmp_path, [FACE, CROSSED])] == [
        FACE, moved(CROSSED, 1)
    ]  # fmt: skip
    assert not caplog.text


def test_the_nose_first(
    read_keypoints: Read, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert np.isnan(read_keypoints([NOSE_FIRST] * 4 + [FACE])).all()
    assert "5 x landmarks in another order: most noses lie above the eyes" in caplog.text
    with pytest.raises(DataError, match=r"list\.csv: landmarks in another order: .* x_left_eye, y"):
        read_list(tmp_path, [NOSE_FIRST] * 4 + [FACE])


@pytest.mark.parametrize("faces", [[UPSIDE_DOWN] * 3, [UPSIDE_DOWN] * 3 + [FACE]])
def test_some_faces_upside_down(
    read_keypoints: Read, tmp_path: Path, faces: list[list[list[int]]]
) -> None:
    expected = [moved(face, place) for place, face in enumerate(faces)]
    assert [some.tolist() for some in read_list(tmp_path, faces)] == expected
    assert [some.tolist() for some in read_keypoints(faces)] == expected


def test_five_points_in_one(
    read_keypoints: Read, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = np.isfinite(read_keypoints([ONE_POINT, FACE])).all(axis=(1, 2))
    assert known.tolist() == [False, True]
    assert "1 x landmarks that are one point (the box is kept) (first: annot" in caplog.text
    nose_above = [[20, 31], [21, 31], [20, 30], [21, 31], [20, 31]]  # which tells no order
    known = np.isfinite(read_keypoints([nose_above] * 4 + [FACE])).all(axis=(1, 2))
    assert known.tolist() == [False] * 4 + [True]
    caplog.clear()
    assert [some.tolist() for some in read_list(tmp_path, [ONE_POINT, FACE])] == [moved(FACE, 1)]
    assert "skipped 1 bad records: 1 x landmarks that are one point (first: line 2" in caplog.text
    with pytest.raises(DataError, match="2 of 3 faces cannot be used: 2 x landmarks that are one"):
        read_list(tmp_path, [ONE_POINT, FACE, ONE_POINT])
