"""Faces brought to where a classifier wants them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pocketface.data.align import cut_face, planes, similarity, similarity_around
from pocketface.model_templates.contract import InputSpec

POINTS = ((10.0, 12.0), (30.0, 12.0), (20.0, 22.0), (12.0, 32.0), (28.0, 32.0))
SPEC = InputSpec(shape=(-1, 3, 40, 40), resize="align", points=POINTS)


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (0.4, 2.5), (-2.0, 0.3), (math.pi, 1.0)])
def test_a_similarity_is_found_again(angle: float, scale: float) -> None:
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    landmarks = np.array(POINTS) @ turn.T + (100, -40)
    back = similarity(landmarks, POINTS)
    np.testing.assert_allclose(landmarks @ back[:, :2].T + back[:, 2], POINTS, atol=1e-9)


def test_a_quarter_turn_around_a_place() -> None:
    turned = similarity_around(np.array([10, 20]), np.array([3, 4]), degrees=90, zoom=2)
    places = np.array([[10, 20, 1], [11, 20, 1], [10, 21, 1]]) @ turned.T
    np.testing.assert_allclose(places, [[3, 4], [3, 6], [1, 4]], atol=1e-12)


def test_it_is_the_best_of_all_similarities() -> None:
    generator = np.random.default_rng(0)
    landmarks = np.array(POINTS) * 3 + generator.normal(0, 4, (5, 2))

    def off(transform: np.ndarray) -> float:
        moved = landmarks @ transform[:, :2].T + transform[:, 2]
        return float(((moved - POINTS) ** 2).sum())

    best = similarity(landmarks, POINTS)
    assert best[0, 0] == best[1, 1]
    assert best[0, 1] == -best[1, 0]
    for _ in range(200):
        a, b, x, y = generator.normal(0, (0.01, 0.01, 0.5, 0.5))
        assert off(best + np.array([[a, -b, x], [b, a, y]])) >= off(best)


def test_landmarks_in_one_place_are_only_shifted() -> None:
    found = similarity(np.full((5, 2), 7.0), POINTS)
    np.testing.assert_allclose(found, [[1, 0, 13], [0, 1, 15]])


def test_pixels_are_where_positions_are() -> None:
    """A photo twice as large, shrunk: each pixel is the mean of four, none is shifted."""
    small = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    shrunk = cut_face(large, similarity(np.array(POINTS) * 2, POINTS), SPEC)
    np.testing.assert_array_equal(shrunk, small)
    same = cut_face(small, similarity(np.array(POINTS), POINTS), SPEC)
    np.testing.assert_array_equal(same, small)


@pytest.mark.parametrize("scale", [0.7, 0.3, 0.11])
def test_all_pixels_count_where_a_face_shrinks(scale: float) -> None:
    """The noise of a photo averages out; that of 40 x 40 pixels alone would stay."""
    noise = np.random.default_rng(2).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    cut = cut_face(noise, similarity(np.array(POINTS) / scale, POINTS), SPEC)
    assert cut.std() < 1.2 * scale * noise.std()


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 0.8), (0.0, 2.5), (0.5, 1.0), (-0.3, 1.4)])
def test_each_pixel_is_of_its_place_in_the_photo(angle: float, scale: float) -> None:
    """The photo's grey rises evenly; at x, y from its outer edge it is 2 x + y - 1.5."""
    rows, columns = np.mgrid[:80, :80]
    ramp = np.repeat((2 * columns + rows)[..., None], 3, axis=2).astype(np.uint8)
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    transform = np.hstack([turn, np.array([[20.0], [20.0]]) - turn @ [[40.0], [40.0]]])
    cut = cut_face(ramp, transform, SPEC)
    y, x = np.mgrid[12:28, 12:28] + 0.5  # far from the border
    places = np.stack([x - 20, y - 20], axis=-1) @ np.linalg.inv(turn).T + 40
    expected = 2 * places[..., 0] + places[..., 1] - 1.5
    off = cut[12:28, 12:28, 0] - expected
    assert abs(off.mean()) < 0.15
    assert np.abs(off).max() < 1.0  # grey is in whole steps


def test_beside_the_photo_it_is_black() -> None:
    white = np.full((40, 40, 3), 255, np.uint8)
    cut = cut_face(white, similarity(np.array(POINTS) - (20, 0), POINTS), SPEC)
    assert (cut[:, :20] == 0).all()
    assert (cut[:, 20:] == 255).all()


def test_planes() -> None:
    faces = [np.full((2, 3, 3), value, np.uint8) for value in (7, 9)]
    faces[0][1, 2] = (1, 2, 3)
    batch = planes(faces)
    assert (batch.shape, batch.dtype) == ((2, 3, 2, 3), np.float32)
    assert batch[0, :, 1, 2].tolist() == [1, 2, 3]
    assert batch[1].min() == batch[1].max() == 9
