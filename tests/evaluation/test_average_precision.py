"""COCO figures: cases worked by hand, and a second implementation on random boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.data.coco import Photo
from pocketface.errors import DataError, PocketfaceError
from pocketface.evaluation.coco import average_precision
from pocketface.results import Detections


def _photo(boxes: list[list[float]], ignore: list[bool] | None = None) -> Photo:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Photo(
        path=Path("photo.png"),
        image_id=7,  # the same for every photo: figures must not hang on it
        width=1000,
        height=1000,
        boxes=array,
        ignore=np.array(ignore if ignore is not None else [False] * len(array), np.bool_),
        landmarks=np.full((len(array), 5, 2), np.nan, np.float32),
    )


def _found(boxes: list[list[float]], scores: list[float]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32).reshape(-1)
    )


SMALL = [10.0, 10, 30, 30]  # 20², 50², 200²: one in each of COCO's ranges
MEDIUM = [100.0, 100, 150, 150]
LARGE = [300.0, 300, 500, 500]


def test_perfect_detections_have_ap_one() -> None:
    figures = average_precision(
        [_photo([SMALL, MEDIUM]), _photo([LARGE])],
        [_found([MEDIUM, SMALL], [0.9, 0.3]), _found([LARGE], [0.5])],
    )
    assert figures == dict.fromkeys(figures, pytest.approx(1.0))
    assert set(figures) == {
        *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ap_over_64")
    }


def test_nothing_found_is_zero_and_an_empty_range_is_none() -> None:
    figures = average_precision([_photo([MEDIUM])], [_found([], [])])
    assert figures["ap"] == figures["ap50"] == figures["ap_medium"] == 0.0
    assert figures["ap_small"] is figures["ap_large"] is figures["ap_over_64"] is None


def test_a_false_positive_above_all_halves_the_precision_at_the_first_face() -> None:
    # Order false, true, true: precisions 0, 1/2, 2/3; their envelope is 2/3 at every recall.
    figures = average_precision(
        [_photo([MEDIUM, LARGE])],
        [_found([[700, 700, 750, 750], MEDIUM, LARGE], [0.9, 0.8, 0.7])],
    )
    assert figures["ap50"] == pytest.approx(2 / 3)


def test_half_of_the_faces_found_covers_51_of_101_recalls() -> None:
    figures = average_precision([_photo([MEDIUM, LARGE])], [_found([LARGE], [0.9])])
    assert figures["ap50"] == pytest.approx(51 / 101)


def test_ap_averages_ten_overlaps() -> None:
    # 100 of 125 columns: IoU 0.8, enough at 0.50, 0.55, … 0.80: seven of ten thresholds.
    figures = average_precision([_photo([[0, 0, 100, 100]])], [_found([[0, 0, 125, 100]], [0.9])])
    assert figures["ap50"] == figures["ap75"] == pytest.approx(1.0)
    assert figures["ap"] == pytest.approx(0.7)


def test_ap75_begins_at_an_overlap_of_three_quarters() -> None:
    # 100 of 138 columns: IoU 0.725, enough for 0.70; 100 of 130: 0.77, enough for 0.75.
    for columns, expected in ((138, 0.0), (130, 1.0)):
        found = _found([[0, 0, columns, 100]], [0.9])
        figures = average_precision([_photo([[0, 0, 100, 100]])], [found])
        assert figures["ap75"] == pytest.approx(expected)


def test_ignored_boxes_cost_nothing_missed_found_or_found_twice() -> None:
    photo = _photo([MEDIUM, LARGE], [False, True])
    missed = average_precision([photo], [_found([MEDIUM], [0.9])])
    part = [320.0, 320, 380, 380]
    found = average_precision([photo], [_found([LARGE, part, MEDIUM], [0.99, 0.95, 0.9])])
    assert missed["ap50"] == found["ap50"] == pytest.approx(1.0)
    counted = average_precision([_photo([MEDIUM, LARGE])], [_found([MEDIUM], [0.9])])
    assert counted["ap50"] == pytest.approx(51 / 101)


def test_faces_of_another_size_neither_help_nor_hurt() -> None:
    photo = _photo([[0, 0, 63, 63], [200, 200, 264, 264]])  # 63² is not over 64, 64² is
    figures = average_precision([photo], [_found(photo.boxes.tolist(), [0.9, 0.2])])
    assert figures["ap_over_64"] == pytest.approx(1.0)
    only_small = average_precision([photo], [_found([[0, 0, 63, 63]], [0.9])])
    assert only_small["ap_over_64"] == 0.0


def test_a_crowd_is_not_cut_unless_asked() -> None:
    corners = np.stack(np.meshgrid(np.arange(32), np.arange(32)), -1).reshape(-1, 2) * 30.0
    boxes = np.hstack([corners, corners + 20])  # 1,024 faces
    scores = np.linspace(0.9, 0.1, len(boxes)).tolist()
    photo, found = _photo(boxes.tolist()), _found(boxes.tolist(), scores)
    assert average_precision([photo], [found])["ap50"] == pytest.approx(1.0)
    cut = average_precision([photo], [found], max_detections=100)["ap50"]
    assert cut == pytest.approx(10 / 101)  # 100 of 1,024: recalls 0.00 to 0.09


def _plain_ap50(photos: list[Photo], detections: list[Detections]) -> float:
    """AP at IoU 0.5 without ignored boxes, step by step."""
    ranked = sorted(
        (
            (-float(score), i, [float(v) for v in box])
            for i, found in enumerate(detections)
            for box, score in zip(found.boxes, found.scores, strict=True)
        ),
        key=lambda item: item[0],
    )
    taken = [[False] * len(photo.boxes) for photo in photos]
    total = sum(len(photo.boxes) for photo in photos)
    curve: list[tuple[float, float]] = []
    hits = 0
    for rank, (_, i, box) in enumerate(ranked, start=1):
        overlaps = [
            -1.0 if used else _iou(box, [float(v) for v in face])
            for face, used in zip(photos[i].boxes, taken[i], strict=True)
        ]
        best = max(range(len(overlaps)), key=overlaps.__getitem__) if overlaps else 0
        if overlaps and overlaps[best] >= 0.5:
            taken[i][best] = True
            hits += 1
        curve.append((hits / total, hits / rank))
    levels = [i / 100 for i in range(101)]
    tops = [max((p for r, p in curve if r >= level - 1e-12), default=0.0) for level in levels]
    return sum(tops) / len(tops)


def _iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(0.0, width) * max(0.0, height)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return common / (areas - common)


def _random_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    corner = rng.uniform(0, 800, (count, 2))
    return np.hstack([corner, corner + rng.uniform(5, 190, (count, 2))])


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_a_plain_implementation_on_random_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photos, detections = [], []
    for _ in range(12):
        faces = _random_boxes(rng, int(rng.integers(0, 15)))
        # Shaken copies of the faces, some twice, and boxes that are nothing.
        near = np.repeat(faces, rng.integers(0, 3, len(faces)), axis=0)
        near = near + rng.normal(0, 12, near.shape)
        boxes = np.vstack([near, _random_boxes(rng, int(rng.integers(0, 6)))])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = np.sort(rng.uniform(0.02, 1, len(boxes)))[::-1]
        photos.append(_photo(faces.tolist()))
        detections.append(_found(rng.permutation(boxes).tolist(), scores.tolist()))
    figure = average_precision(photos, detections)["ap50"]
    assert figure is not None
    assert 0.05 < figure < 0.95
    assert figure == pytest.approx(_plain_ap50(photos, detections), abs=1e-9)


def test_says_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    average_precision([_photo([SMALL])], [_found([SMALL], [0.9])])
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_refuses_what_it_cannot_measure() -> None:
    with pytest.raises(DataError, match="no photos"):
        average_precision([], [])
    with pytest.raises(DataError, match="1 photos but detections for 0"):
        average_precision([_photo([SMALL])], [])
    with pytest.raises(PocketfaceError, match=r"photo\.png.*not finite"):
        average_precision([_photo([SMALL])], [_found([SMALL], [float("nan")])])
