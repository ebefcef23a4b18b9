"""Lists of people's photos are made of folders and tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.identities import read_identities
from pocketface.data.identities_lists import IdentitiesRequest, WrittenList, make_identities
from pocketface.data.identities_source import Split
from pocketface.data.landmark_geometry import ARCFACE_POINTS
from pocketface.errors import DataError, UserError

POINTS: NDArray[np.float32] = np.array(ARCFACE_POINTS, np.float32) / 4
PEOPLE = {"anna": 3, "bob": 2, "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}": 1}

Make = Callable[..., list[WrittenList]]


def put(path: Path, *, size: tuple[int, int] = (40, 30), grey: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)


def find(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Finds a face in all photos but black ones."""
    return POINTS if image.any() else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for person, number in PEOPLE.items():
        for place in range(number):
            put(root / person / f"{person}_{place + 1:04d}.png")
    return root


@pytest.fixture
def make(folder: Path) -> Make:
    """Makes lists in `folder`/../lists."""

    def make(**changes: Any) -> list[WrittenList]:
        request = IdentitiesRequest(folder, folder.parent / "lists", find_landmarks=find)
        return make_identities(replace(request, **changes))[0]

    return make


def content(one: WrittenList) -> Any:
    return json.loads(one.path.read_text())


def test_a_folder_for_each_person(make: Make, folder: Path) -> None:
    put(folder / "anna" / "2020" / "a.png", grey=0)
    (one,) = make()
    assert one.path == folder.parent / "lists" / "all.identities.json"
    assert (one.photos, one.people, one.alone, one.found, one.pairs) == (7, 3, 1, 6, 0)
    read = read_identities([one.path], [folder])
    assert {photo.person for photo in read.photos} == set(PEOPLE)
    by_name = {photo.path.name: photo for photo in read.photos}
    assert (by_name["a.png"].person, by_name["a.png"].found) == ("anna", False)
    landmarks = by_name["bob_0001.png"].landmarks
    assert landmarks is not None
    np.testing.assert_allclose(landmarks, POINTS, atol=0.006)


def test_photos_beside_the_folders_are_of_unknown_people(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(folder / "who.png")
    (one,) = make()
    assert (one.photos, one.people) == (7, 3)
    assert "person" not in content(one)["photos"][-1]
    assert "1 photos lie in no person's folder and count as of unknown people: who" in caplog.text


def test_a_face_that_fills_its_photo_is_found_within_a_border(make: Make) -> None:
    seen = []

    def find_in_large(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        seen.append(image.shape)
        return POINTS + 20 if image.shape == (70, 80, 3) else None

    (one,) = make(find_landmarks=find_in_large)
    assert one.found == one.photos == 6
    assert seen[:2] == [(30, 40, 3), (70, 80, 3)]
    points = content(one)["photos"][0]["landmarks"]
    np.testing.assert_allclose(points, POINTS, atol=0.006)


def test_aligned_faces_need_no_detector(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in folder.rglob("*.png"):
        put(path, size=(56, 56))
    put(folder / "bob" / "wide.png", size=(112, 96))
    (one,) = make(find_landmarks=None)
    assert one.found == one.photos == 6
    points = content(one)["photos"][0]["landmarks"]
    np.testing.assert_allclose(points, np.array(ARCFACE_POINTS) / 2, atol=0.006)
    assert "1 x aligned face that is not square (first: bob/wide.png (112x96)" in caplog.text


def test_a_table(make: Make, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = folder / "list.csv"
    table.write_text(
        "File,Identity,Split,Age,Hat\n"
        "anna/anna_0001.png,A,train,30,1\n"
        "anna\\anna_0002.png,A,test,,1\n"
        "bob/bob_0001.png,,test,7,0\n"
        "./anna/anna_0001.png,A,train,30,1\n"
        "bob/bob_0002.png,B,train,,\n"
        "bob/bob_0002.png,C,train,,\n"
        "../bob/bob_0001.png,B,train,,\n"
        "gone.png,B,train,,\n"
    )
    table.write_text(table.read_text() + "anna/anna_0003.png,A,test,31,\n")
    test, train = make(table=table, tags=["age", "Hat"])
    assert [photo["image"] for photo in content(train)["photos"]] == ["anna/anna_0001.png"]
    assert content(train)["photos"][0]["tags"] == ["age=30", "hat=1"]
    read = read_identities([test.path], [folder]).photos
    assert [(one.person, one.tags) for one in read] == [
        ("A", ("hat=1",)), (None, ("age=7", "hat=0")), ("A", ("age=31",))
    ]  # fmt: skip
    for text in (
        "2 x photo under two names of people (first: line 7 (bob/bob_0002.png) of list.csv)",
        "1 x name that leads out of",
        "1 x photo that is not in",
        "mended 1 records: 1 x photo listed twice with the same person (first: line 5",
        "1 people are in several lists: A",
    ):
        assert text in caplog.text


def test_a_table_without_people(make: Make, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "list.csv").write_text("path\nbob/bob_0001.png\n")
    (one,) = make(table=folder / "list.csv")
    assert (one.photos, one.people) == (1, 0)
    assert "no column person or identity: all people are unknown" in caplog.text


def test_nobody_is_in_two_lists_and_a_growing_set_keeps_its_split(make: Make, folder: Path) -> None:
    for number in range(60):
        put(folder / f"p{number}" / "a.png", size=(4, 4))
        put(folder / f"p{number}" / "b.png", size=(4, 4))

    def split(output: str, seed: int = 0) -> dict[str, str]:
        lists = make(split=Split(0.2, 0.3, seed), output=folder.parent / output)
        return {
            photo["person"]: one.path.name.split(".")[0]
            for one in lists
            for photo in content(one)["photos"]
        }

    first = split("lists")
    for one in make(split=Split(0.2, 0.3, 0)):
        part = one.path.name.split(".")[0]
        assert one.people == sum(place == part for place in first.values())
        assert all(first[photo["person"]] == part for photo in content(one)["photos"])
    parts = list(first.values())
    assert 5 <= parts.count("val") <= 20
    assert 10 <= parts.count("test") <= 28
    put(folder / "new" / "a.png")
    again = split("again")
    assert {name: again[name] for name in first} == first
    assert split("other", seed=1) != again


def test_a_list_to_which_nobody_falls_is_told_of(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    lists = make(split=Split(0.0, 0.01))
    assert [one.path.name for one in lists] == ["train.identities.json"]
    assert "nobody falls to the list test, which was to have 1 % of the people" in caplog.text
    assert "the list val" not in caplog.text


def test_official_pairs(make: Make, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = folder.parent / "pairs.txt"
    pairs.write_text(
        "2\t2\nanna\t1\t2\nanna\t1\t3\nanna\t2\tbob\t1\nbob\t1\tcarl\t1\n"
        "bob\t1\t2\nanna\t2\t3\nbob\t2\tanna\t3\nanna\t1\tbob\t2\n"
    )
    (one,) = make(pairs=pairs)
    assert one.pairs == 7
    read = read_identities([one.path], [folder])
    names = [
        (read.photos[a].path.stem, read.photos[b].path.stem, fold) for a, b, fold in read.pairs
    ]
    assert names[:3] == [
        ("anna_0001", "anna_0002", 1), ("anna_0001", "anna_0003", 1), ("anna_0002", "bob_0001", 1)
    ]  # fmt: skip
    assert names[3:5] == [("bob_0001", "bob_0002", 2), ("anna_0002", "anna_0003", 2)]
    assert "1 x pair of a photo that is not there (first: line 5 of pairs.txt)" in caplog.text


def test_pairs_of_a_photo_that_cannot_be_read_are_left_out(make: Make, folder: Path) -> None:
    (folder / "anna" / "anna_0001.png").write_text("no photo")
    pairs = folder.parent / "pairs.txt"
    pairs.write_text("1\nanna 1 2\nanna 3 bob 2\n")
    (one,) = make(pairs=pairs)
    assert (one.photos, one.pairs) == (5, 1)
    read = read_identities([one.path], [folder])
    assert [read.photos[place].path.stem for place in read.pairs[0, :2]] == [
        "anna_0003",
        "bob_0002",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected the numbers of folds and of pairs, as in 10 300"),
        ("ten 300\n", ":1: expected the numbers"),
        ("1 0\n", ":1: expected the numbers"),
        ("1 1\nanna 1 2\n", "1 pairs: expected 2, 2 x 1 in each of 1 folds"),
        ("1 1\nanna 1\nanna 1 bob 1\n", ":2: 'anna 1': expected a name and two numbers"),
        ("1 1\nanna 1 2\nanna 1 2\n", ":3: 'anna 1 2': expected a name and a number, twice"),
        ("1 1\nanna 1 x\nanna 1 bob 2\n", ":2: 'x': expected a photo's number"),
        ("1 1\ncarl 1 2\ncarl 1 bob 2\n", "2 of 2 pairs cannot be used"),
    ],
)
def test_pairs_that_are_refused(text: str, message: str, make: Make, folder: Path) -> None:
    (folder.parent / "pairs.txt").write_text(text)
    with pytest.raises(DataError) as caught:
        make(pairs=folder.parent / "pairs.txt")
    assert message in str(caught.value)
    assert not (folder.parent / "lists").exists()


@pytest.mark.parametrize(
    ("changes", "table", "message"),
    [
        ({"split": Split(0.5, 0.5)}, None, "--val-fraction 0.5 and --test-fraction 0.5: expected"),
        ({"tags": ["age"]}, None, "--tags: goes with --list"),
        ({"tags": ["age"]}, "image\na.png\n", "columns image: expected age of --tags"),
        ({}, "photo\na.png\n", "columns photo: expected one of image, file, path"),
        ({}, "image,split\nbob/bob_0001.png,a/b\n", ":2: split 'a/b': expected letters"),
        ({}, "image,person\n,anna\n", ":2: image is empty"),
        ({}, "image\ngone.png\n", "1 of 1 photos cannot be used"),
        (
            {"split": Split(0.5)},
            "image,split\nbob/bob_0001.png,a\n",
            "has a column split: expected",
        ),
        ({"split": Split(0.5), "pairs": Path("a")}, None, "--pairs a: expected photos in one list"),
        ({"folder": Path("gone")}, None, "gone: no such folder"),
        ({"output": Path(__file__)}, None, "is in the way"),
    ],
)
def test_what_is_refused(
    changes: dict[str, Any], table: str | None, message: str, make: Make, folder: Path
) -> None:
    if table is not None:
        (folder / "list.csv").write_text(table)
        changes = {**changes, "table": folder / "list.csv"}
    with pytest.raises(UserError) as caught:
        make(**changes)
    assert message in str(caught.value)
    assert not (folder.parent / "lists").exists()


def test_nothing_is_written_of_photos_that_cannot_be_read(make: Make, folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_text("no photo")
    with pytest.raises(DataError, match="6 of 6 photos cannot be used: 6 x photo that cannot be r"):
        make()
    assert not (folder.parent / "lists").exists()
