"""Pooled average precision: against COCO's, and against photos really repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.data.coco import Photo
from pocketface.evaluation.bootstrap import average_precision_of, match_faces, resampled
from pocketface.evaluation.coco import average_precision
from pocketface.results import Detections

Sample = tuple[list[Photo], list[Detections]]


def sample(seed: int, *, noise: float, count: int = 30) -> Sample:
    """Photos of a few faces, some ignored; boxes near them, and elsewhere."""
    generator = np.random.default_rng(seed)
    photos, detections = [], []
    for index in range(count):
        number = int(generator.integers(0, 6))
        corners = generator.uniform(0, 800, (number, 2))
        boxes = np.hstack([corners, corners + generator.uniform(20, 150, (number, 2))])
        photos.append(
            Photo(
                path=Path(f"{index}.png"),
                image_id=index,
                width=1000,
                height=1000,
                boxes=boxes.astype(np.float32),
                ignore=generator.random(number) < 0.2,
                landmarks=np.full((number, 5, 2), np.nan, np.float32),
            )
        )
        near = boxes + generator.normal(0, noise, boxes.shape)
        elsewhere = generator.uniform(0, 400, (3, 2))
        found = np.vstack([near, np.hstack([elsewhere, elsewhere + 60])])
        scores = generator.uniform(0.05, 1, len(found))
        order = np.argsort(-scores)
        detections.append(
            Detections(found[order].astype(np.float32), scores[order].astype(np.float32))
        )
    return photos, detections


@pytest.mark.parametrize("noise", [1.0, 8.0, 20.0])
def test_is_cocos_ap50(noise: float) -> None:
    photos, detections = sample(3, noise=noise)
    expected = average_precision(photos, detections)["ap50"]
    found = average_precision_of(match_faces(photos, detections))
    assert expected is not None
    assert 0.05 < expected < 0.99
    # COCO samples the curve at 101 places.
    assert found == pytest.approx(expected, abs=0.015)


def test_a_photo_that_counts_twice_is_there_twice() -> None:
    photos, detections = sample(4, noise=10.0, count=12)
    times = np.array([0, 1, 6] * 4)
    repeated = [index for index, number in enumerate(times) for _ in range(number)]
    real = match_faces([photos[i] for i in repeated], [detections[i] for i in repeated])
    found = average_precision_of(match_faces(photos, detections), times)
    # Equal scores of the copies fall together in both.
    assert found == pytest.approx(average_precision_of(real), abs=0.02)
    assert abs(found - average_precision_of(match_faces(photos, detections))) > 0.02


def test_nothing_to_find_and_nothing_found() -> None:
    photos, _ = sample(5, noise=5.0, count=5)
    none = [Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))] * 5
    assert average_precision_of(match_faces(photos, none)) == 0.0
    assert average_precision_of(match_faces([], [])) == 0.0
    perfect = [
        Detections(photo.boxes[~photo.ignore], np.ones((~photo.ignore).sum(), np.float32))
        for photo in photos
    ]
    assert average_precision_of(match_faces(photos, perfect)) == 1.0


def test_the_same_draw_serves_all() -> None:
    photos, good = sample(6, noise=2.0)
    _, bad = sample(6, noise=25.0)
    matches = [match_faces(photos, found) for found in (good, good, bad)]
    draws = resampled(matches, rounds=200)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] > draws[2]).all()
    assert draws[0].std() > 0.005
    assert draws[0].mean() == pytest.approx(average_precision_of(matches[0]), abs=0.03)
