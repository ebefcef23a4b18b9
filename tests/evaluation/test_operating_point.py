"""The score threshold with the best F1, on cases small enough to check by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pocketface.data.coco import Photo
from pocketface.evaluation.operating_point import at_threshold, best_f1
from pocketface.results import Detections

FACES = np.array([[10, 10, 60, 60], [100, 10, 150, 60], [200, 10, 250, 60]], np.float32)


def photo(boxes: np.ndarray) -> Photo:
    count = len(boxes)
    return Photo(
        path=Path("a.jpg"),
        image_id=1,
        width=640,
        height=480,
        boxes=boxes.astype(np.float32),
        landmarks=np.full((count, 5, 2), np.nan, np.float32),
        ignore=np.zeros(count, bool),
    )


def detections(boxes: np.ndarray, scores: list[float]) -> Detections:
    return Detections(boxes.astype(np.float32), np.array(scores, np.float32))


def test_stops_where_more_boxes_are_false_than_right() -> None:
    nothing = np.array([[400, 300, 450, 350], [500, 300, 550, 350]], np.float32)
    # By score: right, right, false, right, false. F1 of the first k: 1/2, 4/5, 4/6, 6/7, 6/8.
    boxes = np.concatenate([FACES[:2], nothing[:1], FACES[2:], nothing[1:]])
    found = best_f1([photo(FACES)], [detections(boxes, [0.9, 0.8, 0.7, 0.6, 0.5])])
    assert found["best_f1"] == pytest.approx(6 / 7)
    assert found["best_f1_threshold"] == pytest.approx(0.6)


def test_boxes_of_one_score_are_shown_together() -> None:
    """As int8 files give them: no threshold parts the right one from the false one."""
    boxes = np.concatenate([FACES[:1], [[400, 300, 450, 350]]])
    found = best_f1([photo(FACES[:1])], [detections(boxes, [0.5, 0.5])])
    assert found["best_f1"] == pytest.approx(2 / 3)
    assert found["best_f1_threshold"] == 0.5


def test_boxes_in_a_crowd_are_no_false_faces() -> None:
    crowd = np.array([[300, 300, 400, 400]], np.float32)
    here = replace(photo(np.concatenate([FACES, crowd])), ignore=np.array([False] * 3 + [True]))
    inside, beside = np.array([[310, 310, 330, 330]]), np.array([[395, 310, 415, 330]])
    for box, false in ((inside, 0.0), (beside, 1.0)):
        assert at_threshold([here], [detections(box, [0.9])], 0.5)["false_alarms"] == false


def test_tiny_faces_count_neither_way() -> None:
    tiny = np.array([[300, 300, 309, 309]], np.float32)  # under 10 of 640 pixels
    boxes = np.concatenate([FACES, tiny])
    missed = best_f1([photo(boxes)], [detections(FACES, [0.9, 0.8, 0.7])])
    seen = best_f1([photo(boxes)], [detections(boxes, [0.9, 0.8, 0.7, 0.6])])
    assert missed == seen
    assert seen["best_f1"] == 1.0
    assert seen["best_f1_threshold"] == pytest.approx(0.7)


def test_none_where_there_is_nothing_to_find_or_nothing_found() -> None:
    nothing = np.zeros((0, 4), np.float32)
    none = {"best_f1": None, "best_f1_threshold": None}
    assert best_f1([photo(nothing)], [detections(FACES, [0.9, 0.8, 0.7])]) == none
    assert best_f1([photo(FACES)], [detections(nothing, [])]) == none | {"best_f1": 0.0}


def test_what_is_shown_by_size() -> None:
    """Of 640 pixels: two faces of 15, one found; one of 30, found below the threshold; one of 9."""
    faces = np.array(
        [[0, 0, 15, 15], [50, 0, 65, 15], [100, 0, 130, 30], [200, 0, 209, 9]], np.float32
    )
    nowhere = np.array([[300, 300, 315, 315], [400, 300, 500, 400]], np.float32)
    boxes = np.concatenate([faces[:1], nowhere, faces[3:], faces[2:3]])
    found = detections(boxes, [0.9, 0.8, 0.7, 0.6, 0.3])
    empty = photo(np.zeros((0, 4)))
    figures = at_threshold([photo(faces), empty], [found, detections(boxes[:0], [])], 0.5)
    assert figures == {
        "recall_10": 0.5,
        "recall_20": 0.0,
        "recall_40": None,  # there is none
        "false_alarms": 1.0,
    }
    shown = at_threshold([photo(faces), empty], [found, detections(nowhere, [0.5, 0.4])], 0.3)
    assert shown["recall_20"] == 1.0
    assert shown["false_alarms"] == 2.0
