"""Portraits: a face that fills the photo is found with room around it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import matplotlib
import numpy as np
import pytest
import skimage

import pocketface
from pocketface import FaceDetector
from pocketface.data.images import read_image
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.tasks.detection.framed import LARGE, find_framed
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
    plain, (found,) = detector.predict(photo), find_framed(detector, [photo])
    sides = (found.boxes[:, 2:] - found.boxes[:, :2]).max(1)
    assert len(plain) == len(found) == 2
    assert min(sides) < 100 < LARGE * max(photo.shape) < max(sides)
    small = int(sides.argmin())
    np.testing.assert_array_equal(found.boxes[small], plain.boxes[small])
    assert found.landmarks is not None
    assert plain.landmarks is not None
    np.testing.assert_array_equal(found.landmarks[small], plain.landmarks[small])
    assert (np.diff(found.scores) <= 0).all()


def test_a_large_face_that_the_second_look_loses_is_kept() -> None:
    large, small = [10.0, 10.0, 90.0, 90.0], [92.0, 92.0, 99.0, 99.0]

    class Fickle:
        """Loses the large face, or finds it a little elsewhere, where a frame is around it."""

        rules = SimpleNamespace(score_threshold=0.5, nms="runtime")

        def __init__(self, again: list[list[float]]) -> None:
            self.again = again

        def predict_batch(self, images: list[np.ndarray], **_: Any) -> list[pocketface.Detections]:
            framed = images[0].shape[0] > 100
            boxes = np.array(self.again, np.float32) + 25 if framed else np.array([large, small])
            scores = np.linspace(0.9, 0.6, len(boxes), dtype=np.float32)
            return [pocketface.Detections(boxes.astype(np.float32), scores, None)]

    photo = np.zeros((100, 100, 3), np.uint8)
    moved = [12.0, 8.0, 88.0, 92.0]
    for again, expected in (([small], [large, small]), ([moved, small], [moved, small])):
        (found,) = find_framed(cast("FaceDetector", Fickle(again)), [photo])
        kept = sorted({tuple(box) for box in found.boxes.tolist()})
        assert kept == sorted(map(tuple, expected))


@pytest.mark.parametrize(("nms", "answered"), [("runtime", [0.9]), ("graph", [])])
def test_a_large_face_that_is_faint_is_looked_at_again(nms: str, answered: list[float]) -> None:
    class Shy:
        """Sure of the face where a frame is around it."""

        rules = SimpleNamespace(score_threshold=0.5, nms=nms)

        def predict_batch(
            self, images: list[np.ndarray], *, score_threshold: float, **_: Any
        ) -> list[pocketface.Detections]:
            framed = images[0].shape[0] > 100
            boxes = np.array([[10, 10, 90, 90]], np.float32) + (25 if framed else 0)
            scores = np.array([0.9 if framed else 0.2], np.float32)
            return [pocketface.Detections(boxes, scores, None).above(score_threshold)]

    photo = np.zeros((100, 100, 3), np.uint8)
    (found,) = find_framed(cast("FaceDetector", Shy()), [photo])
    np.testing.assert_allclose(found.scores, answered)
    for box in found.boxes:
        np.testing.assert_allclose(box, [10, 10, 90, 90])


@pytest.mark.parametrize(("side", "scores", "looks"), [
    (40, (0.9, 0.3), 1),  # a face, and a torso
    (20, (0.9, 0.3), 2),  # an eye of a large face
    (40, (0.55, 0.3), 2),  # neither is sure
    (40, (0.9, 0.6), 2),  # both are found
    (40, (0.4, 0.15), 2),  # neither is found
])  # fmt: skip
def test_what_is_faint_beside_a_sure_face_gets_no_second_look(
    side: int, scores: tuple[float, float], looks: int
) -> None:
    seen = []

    class Plain:
        """A box of 80 pixels, and a smaller one."""

        rules = SimpleNamespace(score_threshold=0.5, nms="runtime")

        def predict_batch(
            self, images: list[np.ndarray], *, score_threshold: float, **_: Any
        ) -> list[pocketface.Detections]:
            seen.append(images[0].shape)
            boxes = np.array([[30, 30, 30 + side, 30 + side], [10, 10, 90, 90]], np.float32)
            found = pocketface.Detections(boxes, np.array(scores, np.float32), None)
            return [found.above(score_threshold)]

    find_framed(cast("FaceDetector", Plain()), [np.zeros((100, 100, 3), np.uint8)])
    assert len(seen) == looks


def test_a_face_that_fills_the_photo_is_found_with_its_landmarks(detector: FaceDetector) -> None:
    photo = read_image(HOPPER)
    x1, y1, x2, y2 = 175, 110, 357, 337
    tight = photo[y1:y2, x1:x2]
    wanted = np.array([[225, 195], [303, 190], [268, 238], [233, 272], [305, 268]]) - (x1, y1)

    def off(found: pocketface.Detections) -> float:
        assert found.landmarks is not None
        best = int(np.argmax((found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)))
        return float(np.linalg.norm(found.landmarks[best] - wanted, axis=1).mean())

    # Among others, of other sizes.
    plain = detector.predict(photo)
    first, framed, last = find_framed(detector, [photo, tight, photo])
    assert off(framed) < 12  # of 78 between the eyes
    assert off(framed) < off(detector.predict(tight))
    assert len(framed) == 1
    # Faces with surroundings are left alone.
    for found in (first, last):
        np.testing.assert_allclose(found.boxes, plain.boxes, atol=1e-3)
    assert find_framed(detector, []) == []
