"""Faces of a video's frames: better known the longer they are seen, and never mixed up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.apps.recognize_faces import PhotoFaces
from pocketface.apps.recognize_follow import FollowedFaces
from pocketface.embedding import Embedding
from pocketface.results import Detections

ALIKE = 0.3
WHO = np.eye(64, dtype=np.float32)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / np.linalg.norm(vector)


def noisy(person: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A person's vector in one frame: its cosine with the person's own is about 0.7."""
    return unit(WHO[person] + rng.normal(0, 1 / 8, 64).astype(np.float32))


def frame(*faces: tuple[float, NDArray[np.float32]], eyes: float = 40.0) -> PhotoFaces:
    """A frame with faces of 100 px by their left edges."""
    boxes = np.array([[left, 0, left + 100, 100] for left, _ in faces], np.float32).reshape(-1, 4)
    points = np.zeros((len(faces), 5, 2), np.float32)
    points[:, 1, 0] = eyes
    found = Detections(boxes, np.full(len(faces), 0.9, np.float32), points)
    image = np.zeros((100, 400, 3), np.uint8)
    return PhotoFaces(Path(), image, found, tuple(Embedding(vector) for _, vector in faces))


def test_a_face_is_the_better_known_the_longer_it_is_seen() -> None:
    rng, followed = np.random.default_rng(0), FollowedFaces(ALIKE)
    cosines = []
    for step in range(60):
        # Two people who walk past each other in the order of the boxes, not of the list.
        faces = [(2.0 * step, noisy(0, rng)), (200 + 2.0 * step, noisy(1, rng))]
        order = rng.permutation(2)
        joined = followed.follow(frame(*(faces[place] for place in order)))
        by_person = dict(zip(order.tolist(), joined, strict=True))
        cosines.append([float(by_person[person].vector @ WHO[person]) for person in (0, 1)])
        for embedding in joined:
            assert np.linalg.norm(embedding.vector) == pytest.approx(1, abs=1e-6)
            assert embedding.vector.dtype == np.float32
    assert np.mean(cosines[:1]) < 0.85
    assert np.min(cosines[10:]) > 0.93


def test_the_first_frames_are_the_mean_of_what_was_seen() -> None:
    rng, followed = np.random.default_rng(1), FollowedFaces(ALIKE)
    vectors = [noisy(0, rng) for _ in range(5)]
    for count, vector in enumerate(vectors, 1):
        (joined,) = followed.follow(frame((0, vector)))
        np.testing.assert_allclose(
            joined.vector, unit(np.mean(vectors[:count], axis=0)), rtol=0, atol=1e-6
        )


def test_somebody_else_in_the_same_place_begins_anew() -> None:
    rng, followed = np.random.default_rng(2), FollowedFaces(ALIKE)
    for _ in range(40):
        followed.follow(frame((0, noisy(0, rng))))
    other = noisy(1, rng)
    assert other @ WHO[0] < ALIKE
    (joined,) = followed.follow(frame((0, other)))
    assert joined.vector @ other == pytest.approx(1, abs=1e-6)


def test_what_is_long_past_is_forgotten() -> None:
    followed = FollowedFaces(ALIKE)
    for _ in range(500):
        followed.follow(frame((0, WHO[0])))
    turned = unit(WHO[0] + WHO[1])  # 0.7 of what it was
    for _ in range(120):
        (joined,) = followed.follow(frame((0, turned)))
    assert joined.vector @ turned > 0.99


@pytest.mark.parametrize(("missed", "goes_on"), [(1, True), (15, True), (16, False)])
def test_a_face_that_is_missed_for_half_a_second_goes_on(missed: int, goes_on: bool) -> None:
    rng, followed = np.random.default_rng(3), FollowedFaces(ALIKE)
    for _ in range(20):
        followed.follow(frame((0, noisy(0, rng))))
    for _ in range(missed):
        assert followed.follow(frame()) == ()
    again = noisy(0, rng)
    (joined,) = followed.follow(frame((0, again)))
    assert bool(joined.vector @ again < 0.99) is goes_on


def test_too_small_a_face_says_nothing_of_others() -> None:
    rng, followed = np.random.default_rng(4), FollowedFaces(ALIKE)
    first, small, second = (noisy(0, rng) for _ in range(3))
    followed.follow(frame((0, first)))
    assert followed.follow(frame((0, small), eyes=7)) == (Embedding(small),)
    (joined,) = followed.follow(frame((0, second)))
    np.testing.assert_allclose(joined.vector, unit(first + second), rtol=0, atol=1e-6)
