"""Photos that are there twice, and those whose person may be another."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from numpy.typing import NDArray

from pocketface.data import identities_doubts
from pocketface.data.identities_doubts import (
    SAME_PICTURE,
    Doubt,
    Face,
    doubts,
    thumbnail,
    write_doubts,
)

ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
LANDMARKS = np.array([[205, 112], [247, 110], [229, 136], [211, 157], [246, 155]], np.float32)


def at(degrees: float) -> NDArray[np.float32]:
    """A vector by its angle; its length does not count."""
    angle = np.radians(degrees)
    return np.array([3 * np.cos(angle), 3 * np.sin(angle)], np.float32)


def picture(seed: int) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(size=100).astype(np.float32)
    return np.asarray(values / np.linalg.norm(values), np.float32)


def face(image: str, person: str | None, degrees: float, seed: int = -1) -> Face:
    return Face(image, person, at(degrees), picture(seed if seed >= 0 else hash(image) % 10**6))


@pytest.mark.parametrize("block", [2, 100])
def test_the_same_picture(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities_doubts, "_BLOCK", block)
    faces = [
        face("a", "anna", 0, seed=1),
        face("b", "anna", 5, seed=2),
        face("c", "anna", 2, seed=1),
        face("d", "bob", 1, seed=1),
        face("e", None, 3, seed=2),
        face("f", "anna", 100, seed=2),  # the same pixels, but another face in them
        face("g", None, 200, seed=3),
        face("h", "bob", 201, seed=3),
    ]
    found = {one.image: one.why for one in doubts(faces) if "same" in one.why}
    assert found == {
        "c": "nearly the same picture as a",
        "d": "nearly the same picture as a of anna",
        "e": "nearly the same picture as b of anna",
        "h": "nearly the same picture as g of an unknown person",
    }


@pytest.mark.parametrize("block", [2, 100])
def test_a_wrong_label(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities_doubts, "_BLOCK", block)
    faces = [
        face("a1", "anna", 0), face("a2", "anna", 5), face("a3", "anna", 10),
        face("b1", "bob", 90), face("b2", "bob", 95), face("b3", "bob", 5), face("b4", "bob", 92),
        face("c1", "carl", 88),  # alone: nothing to compare with
        face("u", None, 90),
        face("d1", "dora", 200), face("d2", "dora", 280),  # unlike each other, and all others
        face("f1", "fred", 200),  # alone: nobody looks like him
        face("e1", "erik", 5), face("e2", "erik", 75),  # each like others, but for itself
    ]  # fmt: skip
    assert doubts(faces) == [
        Doubt("b3", "bob", "looks like anna rather than bob"),
        Doubt("e1", "erik", "looks like anna rather than erik"),
        Doubt("e2", "erik", "looks like bob rather than erik"),
    ]


def test_of_several_pictures_the_closest_is_named() -> None:
    one, other = picture(1), picture(2)
    near = one + 0.12 * other
    near /= np.linalg.norm(near)
    between = one + 0.1 * other
    between /= np.linalg.norm(between)
    faces = [
        Face(name, None, at(0), some)
        for name, some in zip("abc", (near, one, between), strict=True)
    ]
    found = {face.image: face.why for face in doubts(faces)}
    assert found["c"] == "nearly the same picture as a"
    assert found["b"] == "nearly the same picture as a"


def test_nothing_to_compare() -> None:
    assert doubts([]) == []
    assert doubts([face("a", None, 0)]) == []


def test_the_same_photo_made_smaller_and_turned_is_the_same_picture() -> None:
    image = cv2.imread(str(ASTRONAUT))
    assert image is not None
    turn = cv2.getRotationMatrix2D((229, 136), 20, 0.5)
    other = cv2.warpAffine(image, turn, (400, 400))
    _, encoded = cv2.imencode(".jpg", other, [cv2.IMWRITE_JPEG_QUALITY, 40])
    other = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert other is not None
    moved = LANDMARKS @ turn[:, :2].T + turn[:, 2]
    one = thumbnail(np.asarray(image, np.uint8), LANDMARKS)
    two = thumbnail(np.asarray(other, np.uint8), moved)
    mirrored = thumbnail(np.asarray(other[:, ::-1], np.uint8), moved * (-1, 1) + (400, 0))
    assert float(one @ two) > SAME_PICTURE
    assert float(one @ mirrored) < SAME_PICTURE
    assert np.linalg.norm(one) == pytest.approx(1)


def test_the_report(tmp_path: Path) -> None:
    found = [
        Doubt("a,b.jpg", "anna", "same picture as c"),
        Doubt("d.jpg", None, "same picture as c"),
    ]
    write_doubts(tmp_path / "report.csv", found)
    assert (tmp_path / "report.csv").read_text() == (
        'photo,person,why\n"a,b.jpg",anna,same picture as c\nd.jpg,,same picture as c\n'
    )
