"""Errors of landmarks, on cases small enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.data.coco import Photo
from pocketface.evaluation.landmarks import landmark_errors, with_landmarks
from pocketface.results import Detections

BOXES = np.array([[0, 0, 40, 90], [100, 0, 140, 90], [200, 0, 240, 90]], np.float32)
"""Faces of which the square root of the area is 60."""

POINTS = np.array([[10, 30], [30, 30], [20, 50], [12, 70], [28, 70]], np.float32)


def photo(boxes: np.ndarray = BOXES) -> Photo:
    return Photo(
        path=Path("a.jpg"),
        image_id=1,
        width=640,
        height=480,
        boxes=boxes,
        landmarks=POINTS + boxes[:, None, :2],
        ignore=np.zeros(len(boxes), bool),
    )


def found(boxes: np.ndarray, landmarks: np.ndarray | None) -> Detections:
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return Detections(boxes, scores, landmarks)


def test_the_mean_distance_is_divided_by_the_size_of_the_labelled_box() -> None:
    here = photo()
    landmarks = here.landmarks.copy()
    landmarks[1] += [3, 4]  # all five are 5 pixels off
    landmarks[2, 0] += [0, 30]  # one of five
    errors = landmark_errors([here], [found(BOXES, landmarks)])
    np.testing.assert_allclose(errors, [0, 5 / 60, 30 / 5 / 60], rtol=1e-6)


def test_the_best_box_that_matches_is_taken() -> None:
    boxes = np.array([[200, 0, 240, 90], [2, 0, 42, 90], [0, 0, 40, 90]], np.float32)
    landmarks = POINTS + boxes[:, None, :2]
    errors = landmark_errors([photo(BOXES[:1])], [found(boxes, landmarks)])
    np.testing.assert_allclose(errors, [2 / 60], rtol=1e-6)


def test_faces_that_are_missed_ignored_or_not_wholly_labelled_do_not_count() -> None:
    here = photo()
    here.ignore[0] = True
    here.landmarks[1, 4] = np.nan
    every = found(BOXES, photo().landmarks + 6)
    assert with_landmarks(here).tolist() == [False, False, True]
    assert landmark_errors([here], [every]) == pytest.approx(np.sqrt(72) / 60)
    assert len(landmark_errors([here], [every[:2]])) == 0


def test_without_landmarks_or_boxes_there_is_no_error() -> None:
    nothing = found(BOXES[:0], photo().landmarks[:0])
    assert len(landmark_errors([photo(), photo()], [found(BOXES, None), nothing])) == 0
