"""What a person does with a result: look at it, index it, compare it, write it down."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from pocketface.errors import InputError
from pocketface.results import LANDMARK_NAMES, Classification, Detection, Detections


def _found(count: int = 3, *, points: bool = True) -> Detections:
    generator = np.random.default_rng(count)
    boxes = generator.uniform(0, 50, (count, 4)).astype(np.float32)
    scores = np.linspace(0.9375, 0.5, count, dtype=np.float32)
    landmarks = generator.uniform(0, 50, (count, 5, 2)).astype(np.float32)
    return Detections(boxes, scores, landmarks if points else None)


def _label() -> Classification:
    return Classification("glass", 1, 0.75, np.array([0.25, 0.75], np.float32))


def test_each_face_is_a_detection() -> None:
    found = _found()
    faces = list(found)
    assert [type(face) for face in faces] == [Detection] * 3
    for index, face in enumerate(faces):
        assert found.landmarks is not None
        assert face.landmarks is not None
        np.testing.assert_array_equal(face.box, found.boxes[index])
        np.testing.assert_array_equal(face.landmarks, found.landmarks[index])
        assert type(face.score) is float
        assert face == found[index]
    assert found[-1] == faces[2] == found[np.int64(2)]
    assert faces[0] != faces[1]
    assert _found(points=False)[0].landmarks is None
    for index in (3, -4):
        with pytest.raises(IndexError):
            _ = found[index]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1), [0]),
        (slice(None, None, -1), [2, 1, 0]),
        (np.array([True, False, True]), [0, 2]),
        (np.array([2, 0]), [2, 0]),
        ([1], [1]),
        ([True, False, False], [0]),
        ([], []),
    ],
)
@pytest.mark.parametrize("points", [True, False])
def test_a_part_is_detections(index: Any, expected: list[int], points: bool) -> None:
    found = _found(points=points)
    part = found[index]
    assert isinstance(part, Detections)
    assert [part[place] for place in range(len(part))] == [found[place] for place in expected]
    assert (part.landmarks is None) != points


@pytest.mark.parametrize("index", ["0", 1.0, None, np.array([True]), np.array([0.5])])
def test_what_is_no_index_is_an_error(index: Any) -> None:
    with pytest.raises((TypeError, IndexError)):
        _ = _found()[index]


@pytest.mark.parametrize("one", [_found(), _found(0), _found(points=False), _found()[0], _label()])
def test_results_compare_and_pickle(one: Any) -> None:
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert one != "something else"
    assert type(again) is type(one)
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_results_that_differ_are_unequal() -> None:
    found = _found()
    assert found != _found(2)
    assert found != found[::-1]
    assert found != _found(points=False)
    assert found[0] != _found(points=False)[0]
    moved = Detections(found.boxes + 1, found.scores, found.landmarks)
    assert found != moved
    assert found[0] != moved[0]
    label = _label()
    assert label != Classification("glass", 1, 0.75, np.array([0.3, 0.7], np.float32))
    assert label != Classification("glass", 1, 0.7, label.scores)
    assert label != Classification("shades", 1, 0.75, label.scores)


def test_repr_is_short() -> None:
    assert repr(_found()) == "Detections(3 faces: 0.94, 0.72, 0.50)"
    assert repr(_found(20)) == "Detections(20 faces: 0.94, 0.91, 0.89, ...)"
    assert repr(_found(1)) == "Detections(1 face: 0.94)"
    assert repr(_found(0)) == "Detections(0 faces)"
    assert repr(_label()) == "Classification(label='glass', score=0.75)"
    face = Detection(np.array([1.25, 2, 30.5, 40], np.float32), 0.9375)
    assert repr(face) == "Detection(score=0.94, box=[1, 2, 30, 40])"


def test_detections_as_json() -> None:
    points = np.array([[1, 2], [3, 4], [5, 6], [7, 8], [9, 10.126]], np.float32)
    found = Detections(
        np.array([[-0.001, 2.004, 30.126, 40]], np.float32),
        np.array([0.93752], np.float32),
        points[None],
    )
    expected = {
        "faces": [
            {
                "box": [0.0, 2.0, 30.13, 40.0],
                "score": 0.9375,
                "landmarks": {
                    "left_eye": [1.0, 2.0],
                    "right_eye": [3.0, 4.0],
                    "nose": [5.0, 6.0],
                    "left_mouth": [7.0, 8.0],
                    "right_mouth": [9.0, 10.13],
                },
            }
        ]
    }
    assert found.to_dict() == expected
    text = found.to_json()
    assert json.loads(text) == expected
    assert "\n" not in text
    assert "-0.0" not in text
    assert Detections.from_dict(json.loads(text)).to_json() == text
    assert _found(points=False).to_dict()["faces"][0]["landmarks"] is None
    assert _found(0).to_json() == '{"faces": []}'


@pytest.mark.parametrize("points", [True, False])
def test_detections_come_back_to_the_precision_of_json(points: bool) -> None:
    found = _found(points=points)
    again = Detections.from_dict(json.loads(found.to_json()))
    np.testing.assert_allclose(again.boxes, found.boxes, atol=0.0051)
    np.testing.assert_allclose(again.scores, found.scores, atol=0.000051)
    assert again.boxes.dtype == again.scores.dtype == np.float32
    if found.landmarks is not None:
        assert again.landmarks is not None
        np.testing.assert_allclose(again.landmarks, found.landmarks, atol=0.0051)
    assert Detections.from_dict(_found(0).to_dict()) == _found(0, points=False)


def test_a_classification_as_json() -> None:
    text = '{"label": "glass", "index": 1, "score": 0.75, "scores": [0.25, 0.75]}'
    assert _label().to_json() == text
    assert Classification.from_dict(json.loads(text)) == _label()


def test_json_has_no_numbers_that_are_not_finite() -> None:
    wrong = np.array([np.nan, 0.5], np.float32)
    for result in (
        Detections(np.zeros((2, 4), np.float32), wrong),
        Classification("glass", 1, 0.5, wrong),
    ):
        with pytest.raises(InputError, match="not finite"):
            result.to_json()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"faces": 3},
        {"faces": [{"box": [1, 2, 3], "score": 1, "landmarks": None}]},
        {"faces": [{"box": [1, 2, 3, 4], "score": "high", "landmarks": None}]},
        {"faces": [{"box": [1, 2, 3, 4], "score": 1, "landmarks": {LANDMARK_NAMES[0]: [1, 2]}}]},
        {"faces": [{"box": [10**400, 2, 3, 4], "score": 1, "landmarks": None}]},
        {"label": "glass", "index": 0, "score": 10**400, "scores": [1]},
        {"label": "glass", "index": 0, "score": 1, "scores": [10**400]},
    ],
)
def test_another_form_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"not the form of Detections\.to_dict"):
        Detections.from_dict(content)
    with pytest.raises(InputError, match=r"not the form of Classification\.to_dict"):
        Classification.from_dict(content)


@pytest.mark.parametrize("first", [0, 1])
def test_landmarks_are_of_all_faces_or_none(first: int) -> None:
    points = {name: [1, 2] for name in LANDMARK_NAMES}
    faces = [{"box": [1, 2, 3, 4], "score": 1, "landmarks": one} for one in (points, None)]
    with pytest.raises(InputError, match=r"not the form of Detections\.to_dict"):
        Detections.from_dict({"faces": [faces[first], faces[1 - first]]})


def _boxed(*boxes: tuple[float, ...]) -> Detections:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(corners, np.full(len(corners), 0.75, np.float32))


PHOTO = np.arange(40 * 60 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)


@pytest.mark.parametrize(
    ("box", "grow", "rows", "columns"),
    [
        ((10, 5, 20, 25), 0, slice(5, 25), slice(10, 20)),
        ((10.9, 5.1, 19.2, 24.5), 0, slice(5, 25), slice(10, 20)),
        ((10, 15, 20, 25), 0.5, slice(10, 30), slice(5, 25)),
        ((10, 5, 20, 25), 0.5, slice(0, 35), slice(5, 25)),
        ((50, 30, 60, 40), 1, slice(20, 40), slice(40, 60)),
        ((-5, -5, 90, 90), 0, slice(0, 40), slice(0, 60)),
        ((59.7, 39.7, 59.8, 39.8), 0, slice(39, 40), slice(59, 60)),
    ],
)
def test_crops_are_cut_out_of_the_photo(
    box: tuple[float, ...], grow: float, rows: slice, columns: slice
) -> None:
    crop, again = _boxed(box, box).crop(PHOTO, grow=grow)
    np.testing.assert_array_equal(crop, PHOTO[rows, columns])
    np.testing.assert_array_equal(crop, again)
    assert not np.shares_memory(crop, PHOTO)
    assert crop.flags.c_contiguous
    assert _boxed().crop(PHOTO) == []


def test_a_face_beside_the_photo_is_of_another_one() -> None:
    with pytest.raises(InputError, match=r"\[70.0, 5.0, 80.0, 9.0\] is beside the image of 60x40"):
        _boxed((1, 1, 5, 5), (70, 5, 80, 9)).crop(PHOTO)


@pytest.mark.parametrize("grow", [-0.1, float("nan"), float("inf")])
def test_crops_do_not_shrink(grow: float) -> None:
    with pytest.raises(InputError, match="grow is"):
        _boxed((1, 1, 5, 5)).crop(PHOTO, grow=grow)


@pytest.mark.parametrize(
    "image", ["photo.jpg", PHOTO[..., 0], PHOTO / 255, PHOTO[..., :1], PHOTO[:0], None]
)
def test_crops_and_drawings_are_of_arrays(image: Any) -> None:
    for work in (_boxed().crop, _boxed().draw):
        with pytest.raises(InputError, match="expected a uint8 array") as caught:
            work(image)
        assert "read_pixels" in str(caught.value.hint)


def test_faces_far_beside_the_picture_are_drawn_as_far_as_they_are_in_it() -> None:
    image = np.full((40, 60, 3), 128, np.uint8)
    near = _boxed((-70, 30, 90, 90)).draw(image)
    assert (near != image).any()
    for far in (1e3, 1e30, float("inf")):
        np.testing.assert_array_equal(_boxed((-far, 30, far, far)).draw(image), near)
    points = np.full((1, 5, 2), 1e30, np.float32)
    boxes, scores = np.array([[1, 1, 35, 35]], np.float32), np.ones(1, np.float32)
    with_points = Detections(boxes, scores, points).draw(image)
    np.testing.assert_array_equal(with_points, Detections(boxes, scores).draw(image))
    points[0, 3, 1] = np.nan
    for faces in (_boxed((np.nan, 1, 2, 3)), Detections(boxes, scores, points)):
        with pytest.raises(InputError, match="is at NaN: expected pixels"):
            faces.draw(image)


def test_draw_gives_a_copy_with_the_boxes() -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    drawn = _boxed((100, 60, 200, 160)).draw(image)
    assert (image == 128).all()
    changed = (drawn != image).any(axis=2)
    assert changed[110, 100]
    assert not changed[80:140, 110:190].any()
    assert changed[47:58, 100:126].all()
