"""The trainings of the table of losses learn from what their rows say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pocketface.data.identities import read_identities
from pocketface.data.landmark_geometry import ARCFACE_POINTS
from pocketface.tools.recognition_ablations import copied, every_other_person


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    landmarks = [list(point) for point in ARCFACE_POINTS]
    content = [
        {"image": f"{place}.png", "person": person, "landmarks": None if place == 5 else landmarks}
        for place, person in enumerate(["a", "a", "b", "c", None, "a"])
    ]
    path = tmp_path / "all.identities.json"
    path.write_text(json.dumps({"photos": content}))
    return path


def images(path: Path) -> list[tuple[str, str]]:
    return [(one["image"], one["person"]) for one in json.loads(path.read_text())["photos"]]


def test_half_of_the_people(photos: Path, tmp_path: Path) -> None:
    half = every_other_person(photos, tmp_path / "half.identities.json")
    assert images(half) == [("0.png", "a"), ("1.png", "a"), ("3.png", "c"), ("5.png", "a")]


def test_two_views_of_each_photo_with_a_face(photos: Path, tmp_path: Path) -> None:
    for place in range(6):
        (tmp_path / f"{place}.png").write_text(str(place))
    lists, roots = copied(photos, tmp_path, tmp_path / "copies")
    people: dict[str | None, list[str]] = {}
    for photo in read_identities(lists, roots).photos:
        people.setdefault(photo.person, []).append(photo.path.read_text())
    # Of the photo without landmarks there is none.
    assert sorted(people.values()) == [[str(place)] * 2 for place in range(5)]
