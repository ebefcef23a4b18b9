"""Who a recogniser learns from is in none of its tests."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pocketface.tools.recognition_lists import plain


@pytest.mark.parametrize(
    ("one", "other"),
    [("p_Adriana Lima", "Adriana_Lima"), ("ytf/José_Bové", "Jose Bove"), ("O'Neal", "oneal")],
)
def test_names_of_one_person_are_alike(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def test_people_of_the_tests_are_in_no_training_part(shared: Path) -> None:
    pairs = (shared / "lfw" / "pairs.txt").read_text(encoding="utf-8").splitlines()[1:]
    tested = {plain(word) for line in pairs for word in line.split("\t") if not word.isdigit()}
    assert len(tested) > 4000
    with open(shared / "face_identities" / "labels.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    parts = {part: {r["person"] for r in rows if r["split"] == part} for part in ("train", "val")}
    assert not parts["train"] & parts["val"]
    assert not {plain(name) for name in parts["train"] if name.startswith("p_")} & tested
    clips = {
        part: {plain(folder.name) for folder in (shared / "youtube_faces" / part).iterdir()}
        for part in ("train", "test")
    }
    assert not clips["train"] & clips["test"]
