"""Portraits: a face that fills the photo is found with room around it."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage

from pocketface import Detections, FaceDetector
from pocketface.data.images import read_image
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.tasks.detection.framed import LARGE, SURE, framed, joined, to_search_again
from pocketface.tasks.detection.measure import predictor
from pocketface.tasks.load import load_as
from pocketface.tasks.templates import open_template

ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    weights = shipped_weights(open_template("face-detection-n"))
    assert weights is not None
    return load_as(FaceDetector, weights)


def test_a_small_face_beside_a_large_one_is_kept(detector: FaceDetector) -> None:
    hopper = read_image(HOPPER)[80:380, 150:380]
    corner = cv2.resize(hopper, (46, 60), interpolation=cv2.INTER_AREA)
    photo = cv2.resize(read_image(ASTRONAUT)[50:230, 130:320], None, fx=6, fy=6)
    photo[-60:, :46] = corner
    plain, found = detector.predict(photo, second_look=False), detector.predict(photo)
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(1)
    assert len(plain) == len(found) == 2
    assert min(sides) < 100 < LARGE * max(photo.shape) < max(sides)
    small = int(sides.argmin())
    np.testing.assert_array_equal(found.boxes[small], plain.boxes[small])
    assert found.landmarks is not None
    assert plain.landmarks is not None
    np.testing.assert_array_equal(found.landmarks[small], plain.landmarks[small])
    assert (np.diff(found.scores) <= 0).all()


def faces(*boxes: tuple[float, ...], scores: tuple[float, ...]) -> Detections:
    points = np.repeat(np.float32(boxes)[:, None, :2], 5, axis=1)
    return Detections(np.float32(boxes), np.float32(scores), points)


def test_a_large_face_that_the_second_look_loses_is_kept() -> None:
    large, small = (10.0, 10.0, 90.0, 90.0), (92.0, 92.0, 99.0, 99.0)
    found = faces(large, small, scores=(0.6, 0.5))
    kept = joined(faces(small, scores=(0.9,)), found[:1], found, (100, 100, 3))
    assert kept == found


def test_a_large_face_is_where_the_second_look_sees_it() -> None:
    large, moved, small = (10, 10, 90, 90), (12, 8, 88, 92), (92, 92, 99, 99)
    eye = (30, 30, 40, 40)
    found = faces(large, eye, small, scores=(0.6, 0.55, 0.5))
    again = faces(small, moved, scores=(0.99, 0.45))
    kept = joined(again, found[:1], found, (100, 100, 3))
    assert kept == faces(small, moved, scores=(0.5, 0.45))


@pytest.mark.parametrize(("side", "scores", "again"), [
    (40, (0.9, 0.3), 0),  # a face, and a torso
    (20, (0.9, 0.3), 1),  # an eye of a large face
    (40, (0.55, 0.3), 1),  # neither is sure
    (40, (0.7, 0.6), 1),  # both are found
    (37, (0.4, 0.3), 1),  # neither is found
    (37, (0.3, 0.24), 0),  # too faint
    (40, (0.4, SURE + 0.01), 0),  # sure in one look
])  # fmt: skip
def test_which_large_faces_get_a_second_look(
    side: int, scores: tuple[float, float], again: int
) -> None:
    seen = faces((30, 30, 30 + side, 30 + side), (10, 10, 90, 90), scores=scores)
    large = to_search_again(seen, (100, 100, 3), score_threshold=0.5)
    assert len(large) == again
    assert len(to_search_again(seen, (214, 100, 3), score_threshold=0.5)) == 0  # not large


@pytest.mark.parametrize(("side", "scores", "again"), [
    (38, (0.3, 0.1), 1),  # perhaps a part of a face that is not seen whole
    (37, (0.3, 0.1), 0),  # too small
    (38, (0.3, 0.5), 0),  # somebody is found
])  # fmt: skip
def test_where_nobody_is_found_smaller_ones_get_a_second_look(
    side: int, scores: tuple[float, float], again: int
) -> None:
    seen = faces((30, 30, 30 + side, 30 + side), (80, 80, 90, 90), scores=scores)
    assert len(to_search_again(seen, (100, 100, 3), score_threshold=0.5)) == again


@pytest.mark.parametrize(("height", "width"), [(100, 80), (400, 1000), (1, 3000)])
def test_faces_leave_the_frame_at_their_place(height: int, width: int) -> None:
    copy = framed(np.full((height, width, 3), 200, np.uint8), longest=640)
    assert max(copy.pixels.shape) <= 961
    ys, xs = np.nonzero(copy.pixels[..., 0])
    box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    beyond = (0, 0, *copy.pixels.shape[1::-1])
    within_the_frame = (0, 0, copy.frame, copy.frame)
    found = copy.to_photo(faces(box, beyond, within_the_frame, scores=(0.9, 0.8, 0.7)))
    np.testing.assert_allclose(found.boxes, [[0, 0, width, height]] * 2, atol=1e-3)
    assert found.landmarks is not None
    np.testing.assert_allclose(found.landmarks[0], 0, atol=1e-3)
    assert (found.landmarks[1] < 0).all()  # landmarks may lie outside


def test_a_face_that_fills_the_photo_is_found_with_its_landmarks(detector: FaceDetector) -> None:
    photo = read_image(HOPPER)
    x1, y1, x2, y2 = 175, 110, 357, 337
    tight = photo[y1:y2, x1:x2]
    wanted = np.array([[225, 195], [303, 190], [268, 238], [233, 272], [305, 268]]) - (x1, y1)

    def off(found: Detections) -> float:
        assert found.landmarks is not None
        best = int(np.argmax((found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)))
        return float(np.linalg.norm(found.landmarks[best] - wanted, axis=1).mean())

    # Among others, of other sizes.
    plain = detector.predict(photo, second_look=False)
    first, framed, last = detector.predict_batch([photo, tight, photo])
    assert off(framed) < 12  # of 78 between the eyes
    assert off(framed) < off(detector.predict(tight, second_look=False))
    assert len(framed) == 1
    # Faces with surroundings are left alone.
    for found in (first, last):
        np.testing.assert_allclose(found.boxes, plain.boxes, atol=1e-3)


def cut_tight(grow: float = 0) -> np.ndarray:
    """Grace Hopper's face alone."""
    x1, y1, x2, y2 = 175, 110, 357, 337
    room = round(grow * (x2 - x1))
    return read_image(HOPPER)[y1 - room : y2 + room, x1 - room : x2 + room]


@pytest.mark.parametrize("least", [0.02, 0.42, 0.6])
def test_a_lower_threshold_finds_the_same_large_face(detector: FaceDetector, least: float) -> None:
    photo = cut_tight()
    (wanted,) = detector.predict(photo, score_threshold=0.6)
    assert wanted.score > detector.predict(photo, second_look=False).scores.max(initial=0)
    found = detector.predict(photo, score_threshold=least)
    assert found[0] == wanted
    assert len(detector.predict(photo, score_threshold=least, max_detections=1)) == 1


def test_what_the_second_look_is_unsure_of_hides_nothing(
    detector: FaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = faces((10, 10, 90, 90), (30, 30, 40, 40), scores=(0.3, 0.25))
    unsure = faces((35, 35, 115, 115), scores=(0.1,))  # the same place, beside the frame
    looks = iter((first, unsure))
    monkeypatch.setattr(
        detector,
        "_look",
        lambda _, *, score_threshold, **_limits: [next(looks).above(score_threshold)],
    )
    photo = np.zeros((100, 100, 3), np.uint8)
    assert detector.predict(photo, score_threshold=0.05) == first
    assert next(looks, None) is None


def test_figures_are_of_one_look(detector: FaceDetector) -> None:
    photo = cut_tight()
    one_look = detector.predict(photo, second_look=False)
    assert predictor(detector, floor=detector.rules.score_threshold)(photo) == one_look
    assert detector.predict(photo) != one_look


def test_how_many_faces_are_wanted_does_not_change_which_they_are(
    detector: FaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look confirms the second face, and not the first."""
    first = faces((10, 10, 90, 90), (12, 14, 88, 94), scores=(0.9, 0.8))
    again = faces((37, 39, 113, 119), scores=(0.95,))  # beside the frame

    def look(images: list[np.ndarray], *, max_detections: int, **_: float) -> list[Detections]:
        seen = first if images[0].shape == (100, 100, 3) else again
        return [seen[:max_detections]]

    monkeypatch.setattr(detector, "_look", look)
    photo = np.zeros((100, 100, 3), np.uint8)
    every = detector.predict(photo)
    assert detector.predict(photo, max_detections=1) == every[:1]
    assert detector.predict(photo, max_detections=2) == every[:2]
