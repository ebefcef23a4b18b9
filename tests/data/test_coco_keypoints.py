"""Keypoints are taken by the names that the category gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketface.data.coco import FaceDataset, read_coco
from pocketface.data.coco_keypoints import order_of
from pocketface.results import LANDMARK_NAMES

FIVE = {
    "left_eye": (20, 30), "right_eye": (40, 31), "nose": (30, 40),
    "left_mouth": (22, 50), "right_mouth": (38, 51),
}  # fmt: skip
EXPECTED = np.array([FIVE[name] for name in LANDMARK_NAMES], np.float32)
SIDES = ("left", "right")
BODY = ("ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
PERSON = ["nose", "left_eye", "right_eye", *(f"{side}_{part}" for part in BODY for side in SIDES)]


@pytest.fixture
def read(write: Callable[..., tuple[Path, Path]]) -> Callable[..., FaceDataset]:
    def read(names: object, *keypoints: list[float], key: str = "keypoints") -> FaceDataset:
        category = {"id": 1, "name": "face"} | ({} if names is None else {"keypoints": names})
        content = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
            "annotations": [
                {"image_id": 1, "category_id": 1, "bbox": [10, 20, 40, 40 - index], key: some}
                for index, some in enumerate(keypoints)
            ],
            "categories": [category],
        }
        file, root = write(content)
        return read_coco([file], [root])

    return read


def triples(names: list[str], where: dict[str, tuple[int, int]]) -> list[float]:
    return [number for name in names for number in (*where.get(name, (0, 0)), 2 * (name in where))]


Read = Callable[..., FaceDataset]


@pytest.mark.parametrize(
    "spelling",
    [
        ("nose", "left_eye", "right_eye", "mouth_left", "mouth_right"),
        ("Nose", "Left Eye", "Right Eye", "Left Mouth Corner", "Right Mouth Corner"),
        ("nose_tip", "leftEye", "rightEye", "mouthLeft", "mouthRight"),
        ("noseTip", "l_eye", "r_eye", "l_mouth", "r_mouth"),
        ("NOSE", "eye-left", "eye-right", "lip-left", "lip-right"),
        ("nose", "left_eye_center", "right_eye_centre", "left_mouth_corner", "mouth_right_corner"),
        ("nose", "leye", "reye", "lmouth", "rmouth"),
        ("nose", "left_pupil", "right_pupil", "left lip corner", "right lip corner"),
    ],
)
def test_common_spellings(read: Read, spelling: tuple[str, ...]) -> None:
    order = ["nose", "left_eye", "right_eye", "left_mouth", "right_mouth"]
    found = read(list(spelling), triples(order, FIVE))
    np.testing.assert_array_equal(found.photos[0].landmarks[0], EXPECTED)
    assert (found.skipped, found.mended) == ({}, {})


def test_the_eyes_and_nose_of_a_persons_seventeen_points(
    read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    found = read(PERSON, triples(PERSON, FIVE))
    np.testing.assert_array_equal(found.photos[0].landmarks[0][:3], EXPECTED[:3])
    assert np.isnan(found.photos[0].landmarks[0][3:]).all()
    assert (
        "no keypoint of category 'face' is understood as left_mouth or right_mouth" in caplog.text
    )


@pytest.mark.parametrize(
    "names", [["a", "b", "c", "d", "e"], [str(n) for n in range(68)], [1, None, {}, [], "x"]]
)
def test_names_that_are_not_understood(read: Read, names: list[object]) -> None:
    found = read(names, [1.0, 2.0, 2.0] * len(names))
    assert np.isnan(found.photos[0].landmarks).all()
    assert len(found.photos[0].boxes) == 1
    assert found.skipped == {"keypoints whose names are not understood (the box is kept)": 1}


def test_another_number_of_points_than_names(read: Read) -> None:
    found = read(PERSON, [1.0, 2.0, 2.0] * 5)
    reason = "landmarks that are not the category's keypoints (the box is kept)"
    assert found.skipped == {reason: 1}


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("left_eye_inner", None), ("eye", None), ("left_eyebrow", None), ("left_right_eye", None),
        ("mouth", None), ("right ear", None), ("left_nose", None), ("upper_lip", None), ("", None),
        ("RIGHT_EYE", "right_eye"), ("lipCornerLeft", "left_mouth"),
    ],
)  # fmt: skip
def test_what_a_name_means(name: str, meaning: str | None) -> None:
    places = order_of([name]).places
    assert places == tuple(0 if one == meaning else None for one in LANDMARK_NAMES)


def test_two_names_for_one_landmark_are_none() -> None:
    order = order_of(["left_eye", "left_pupil", "nose"])
    assert order.places == (None, None, 2, None, None)
    assert order.strange == ("left_eye", "left_pupil")


def mirrored(names: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    swap = {"left": "right", "right": "left"}
    return {
        "_".join(swap.get(word, word) for word in name.split("_")): at for name, at in names.items()
    }


@pytest.mark.parametrize("by_name", [True, False])
def test_left_and_right_of_the_person_become_the_pictures(read: Read, by_name: bool) -> None:
    """As COCO's own keypoints have it; ours are as seen in the picture."""
    names = list(LANDMARK_NAMES)
    points = triples(names, mirrored(FIVE))
    found = read(names if by_name else None, points, points)
    np.testing.assert_array_equal(found.photos[0].landmarks, [EXPECTED, EXPECTED])
    assert found.mended == {"landmarks with the person's left and right, exchanged": 2}


def test_a_few_crossed_faces_stay_as_they_are(read: Read) -> None:
    """Such as one upside down, or one by mistake."""
    names = list(LANDMARK_NAMES)
    head_over = {name: (60 - x, 90 - y) for name, (x, y) in FIVE.items()}
    straight, crossed = triples(names, FIVE), triples(names, mirrored(FIVE))
    found = read(names, straight, straight, crossed, triples(names, head_over))
    assert not found.mended
    assert not read(names, triples(names, head_over)).mended


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_box_that_is_there_twice_has_the_landmarks_of_both(
    write: Callable[..., tuple[Path, Path]], order: tuple[int, int]
) -> None:
    names = list(LANDMARK_NAMES)
    some = [triples(names, {n: FIVE[n] for n in part}) for part in (names[1:4], names[3:])]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [10, 20, 40, 40], "keypoints": some[place]}
            for place in order
        ],
        "categories": [{"id": 1, "name": "face", "keypoints": names}],
    }
    file, root = write(content)
    (landmarks,) = read_coco([file], [root]).photos[0].landmarks
    np.testing.assert_array_equal(landmarks[1:], EXPECTED[1:])
    assert np.isnan(landmarks[0]).all()
