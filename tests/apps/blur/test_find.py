"""Which faces a photo is searched for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pocketface.apps.blur import find
from pocketface.apps.blur.find import FaceFinder, merged
from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos
from pocketface.errors import UserError
from pocketface.results import Detections


def found(*rows: tuple[float, ...]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    points = np.zeros((len(table), 5, 2), np.float32)
    return Detections(table[:, 1:], table[:, 0], points)


def test_two_searches_give_each_face_once_and_the_better_box() -> None:
    one = found((0.9, 0, 0, 10, 10), (0.4, 50, 50, 60, 60))
    other = found((0.8, 1, 0, 10, 10), (0.7, 50, 50, 61, 61), (0.3, 90, 0, 99, 9))
    both = merged(one, other)
    assert both.scores.tolist() == pytest.approx([0.9, 0.7, 0.3])
    assert both.boxes[1].tolist() == [50, 50, 61, 61]
    assert both.landmarks is not None
    assert len(both.landmarks) == 3
    assert len(merged(found(), found())) == 0


def astronaut_in(height: int, width: int, eyes: float) -> np.ndarray:
    """A photo with one face, its eyes so many pixels apart, in the middle of grey."""
    path, landmarks = public_domain_photos()[1]
    image = read_image(path)
    scale = eyes / float(np.hypot(*(landmarks[1] - landmarks[0])))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((height, width, 3), 128, np.uint8)
    top, left = (height - len(small)) // 2, (width - small.shape[1]) // 2
    canvas[top : top + len(small), left : left + small.shape[1]] = small
    return canvas


def test_small_faces_of_large_photos_are_found() -> None:
    photo = astronaut_in(1200, 2400, eyes=9)
    finder = FaceFinder("face-detection-n", max_side=2400, threads=1)
    assert len(finder.own.predict(photo, score_threshold=0.3)) == 0
    faces = finder.find(photo)
    assert len(faces) == 1
    assert 1150 < faces.boxes[0, [0, 2]].mean() < 1250


def test_a_crowd_is_found_whole() -> None:
    path, landmarks = public_domain_photos()[1]
    (left, top), (right, low) = (one.astype(int) for one in (landmarks.min(0), landmarks.max(0)))
    head = read_image(path)[top - 70 : low + 50, left - 50 : right + 50]
    face = cv2.resize(head, (48, 48), interpolation=cv2.INTER_AREA)
    faces = FaceFinder("face-detection-n", threads=1).find(np.tile(face, (24, 40, 1)))
    centres = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    assert len(np.unique(centres // 48, axis=0)) == 24 * 40  # a photo's usual limit is 750


def test_inputs_follow_the_photo_up_to_the_longest_side() -> None:
    finder = FaceFinder("face-detection-n", max_side=1280, threads=1)
    assert finder._input_for((640, 480)) is None
    assert finder._input_for((700, 1000)) == (704, 1024)
    assert finder._input_for((4000, 3000)) == (1280, 960)
    assert finder._input_for((2000, 4000)) == (640, 1280)
    assert finder._input_for((1500, 12000)) == (320, 2560)
    assert finder._input_for((10, 5000)) == (64, 5056)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((427, 640), (448, 640)),
        ((1200, 800), (640, 448)),
        ((90, 120), (512, 640)),
        ((10, 5000), (64, 640)),
        ((1000, 1000), (640, 640)),
    ],
)
def test_the_first_search_leaves_out_what_is_empty(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    finder = FaceFinder("face-detection-n", threads=1)
    first = finder._first(shape)
    assert (first.contract.input.height, first.contract.input.width) == size
    assert (first is finder.own) == (size == (640, 640))
    # The same scale as in the whole input, so that the same faces are found.
    photo = astronaut_in(*shape, eyes=min(shape) / 13)
    best = finder.own.predict(photo, score_threshold=0.6)[:1]
    assert len(best) == (min(shape) > 50)
    found = finder.find(photo)[: len(best)]
    np.testing.assert_allclose(found.boxes, best.boxes, atol=0.01 * max(shape))


def test_networks_of_too_many_pixels_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketface.apps.blur.find._OPEN", 2 * 448 * 640)
    finder = FaceFinder("face-detection-n", threads=1)
    for shape in ((427, 640), (640, 427), (427, 640), (480, 640), (10, 640)):
        finder._first(shape)
    assert list(finder._sizes) == [(512, 640), (64, 640)]


def test_small_faces_of_panoramas_are_found() -> None:
    photo = astronaut_in(600, 4800, eyes=16)
    faces = FaceFinder("face-detection-n", threads=1).find(photo).above(0.3)
    assert len(faces) == 1
    assert 2350 < faces.boxes[0, [0, 2]].mean() < 2450


def test_a_longest_side_below_the_own_input_is_refused() -> None:
    with pytest.raises(UserError, match="--max-side 320: expected 640 or more"):
        FaceFinder("face-detection-n", max_side=320, threads=1)


def test_where_nobody_names_a_longest_side_any_detector_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert FaceFinder("face-detection-n", max_side=None, threads=1).max_side == 1920
    monkeypatch.setattr(find, "MAX_SIDE", 320)
    assert FaceFinder("face-detection-n", max_side=None, threads=1).max_side == 640


def test_the_closer_search_adds_small_faces_alone_but_fainter_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two searches of a photo twice as wide as the own input, which see other things."""

    class Seen:
        def __init__(self, faces: Detections) -> None:
            self.faces = faces

        def predict(self, image: np.ndarray, *, score_threshold: float, **_: object) -> Detections:
            assert image.shape == (1280, 1280, 3)
            return self.faces.above(score_threshold)

    finder = FaceFinder("face-detection-n", score=0.3, threads=1)
    photo = np.zeros((1280, 1280, 3), np.uint8)
    large, small, fainter = (0.9, 0, 0, 100, 100), (0.25, 500, 0, 590, 90), (0.19, 900, 0, 950, 50)
    monkeypatch.setattr(finder, "_opened", lambda _: Seen(found(large, small, fainter)))
    first = Seen(found((0.35, 0, 500, 300, 800), (0.25, 0, 0, 99, 99)))
    monkeypatch.setattr(finder.own, "predict", first.predict)
    assert finder.find(photo).boxes.tolist() == [[0, 500, 300, 800], [500, 0, 590, 90]]
