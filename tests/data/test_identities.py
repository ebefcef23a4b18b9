"""Lists of people's photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketface.data.identities import read_identities
from pocketface.errors import DataError

POINTS = [[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of photos, which reading a list does not open."""
    for name in "abcdef":
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def photo(name: str, person: str | None = "anna", **others: Any) -> dict[str, Any]:
    return {"image": f"{name}.jpg", "person": person, **others}


def listed(folder: Path, *photos: Any, name: str = "all", **others: Any) -> Path:
    path = folder / f"{name}.identities.json"
    path.write_text(json.dumps({"photos": photos, **others}))
    return path


def test_what_is_read(folder: Path) -> None:
    file = listed(
        folder,
        photo("a", landmarks=POINTS, tags=["male", "race=2"]),
        photo("b", "A/\N{GRINNING FACE}"),
        photo("c", None),
        pairs=[[0, 1, 1], [1, 0, 10]],
    )
    read = read_identities([file], [folder])
    one, other, third = read.photos
    assert (one.path, one.image_id, one.person, one.found) == (folder / "a.jpg", 0, "anna", True)
    assert one.tags == ("male", "race=2")
    assert one.landmarks is not None
    assert (one.landmarks.tolist(), one.landmarks.dtype) == (POINTS, "float32")
    assert (other.person, other.landmarks, other.found) == ("A/\N{GRINNING FACE}", None, False)
    assert (third.person, third.image_id) == (None, 2)
    assert read.pairs.tolist() == [[0, 1, 1], [1, 0, 10]]
    assert read.pairs.dtype == "int64"


def test_without_pairs(folder: Path) -> None:
    assert read_identities([listed(folder, photo("a"))], [folder]).pairs.shape == (0, 3)


def test_several_lists(folder: Path) -> None:
    composed, decomposed = "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}", "Zoe\N{COMBINING DIAERESIS}"
    one = listed(folder, photo("a", composed), photo("b"), pairs=[[0, 1, 1]])
    other = listed(
        folder, photo("c", decomposed), photo("b"), photo("d"), name="more", pairs=[[0, 1, 2]]
    )
    read = read_identities([one, other], [folder])
    assert [photo.person for photo in read.photos] == [composed, "anna", composed, "anna"]
    assert read.pairs.tolist() == [[0, 1, 1], [2, 1, 2]]  # b is the photo of the first list


def test_what_is_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    one_point = [[5, 5]] * 5
    file = listed(
        folder,
        photo("../a"), photo("gone"), photo("a", landmarks=one_point),
        photo("b"), photo("c"), photo("b", "bob"), photo("./d"), photo("d"), photo("e", "bob"),
        photo("f"), photo("f"), photo("f"),
        pairs=[[4, 0, 1], [3, 4, 1], [5, 4, 1], [6, 7, 1], [7, 4, 1], [6, 8, 1], [4, 8, 1],
               [9, 4, 1]],
    )  # fmt: skip
    read = read_identities([file], [folder])
    assert [one.path.name for one in read.photos] == ["c.jpg", "d.jpg", "e.jpg", "f.jpg"]
    assert read.pairs.tolist() == [[1, 0, 1], [1, 2, 1], [0, 2, 1], [3, 0, 1]]
    for text in (
        "1 x name that leads out of the data root (first: photos[0] of all.identities.json)",
        "1 x photo that is not there (first: photos[1]",
        "1 x landmarks that are one point (first: photos[2]",
        "2 x photo under two names of people (first: photos[5 (b.jpg)]",
        "3 x pair of a photo that is left out (first: pairs[0]",
        "1 x pair of one photo (first: pairs[3]",
        "mended 3 records: 3 x photo listed again (first: photos[7]",
    ):
        assert text in caplog.text


def test_a_name_wins_over_none(folder: Path) -> None:
    file = listed(folder, photo("a", None), photo("a", "bob"), photo("a", None))
    assert [one.person for one in read_identities([file], [folder]).photos] == ["bob"]


def test_unknown_people_make_no_pairs(folder: Path) -> None:
    file = listed(folder, photo("a"), photo("b", None), photo("c"), pairs=[[0, 1, 1], [0, 2, 1]])
    assert read_identities([file], [folder]).pairs.tolist() == [[0, 2, 1]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"photos": []}, "photos: List should have at least 1 item"),
        ({"photos": [{"image": "a.jpg", "person": " "}]}, "photos.0.person: found ' ': expected"),
        ({"photos": [{"image": ""}]}, "photos.0.image: found '': expected a text"),
        ({"photos": [{"image": "a.jpg", "who": "anna"}]}, "photos.0.who: Extra inputs"),
        ({"photos": [{"image": "a.jpg", "landmarks": POINTS[:4]}]}, "photos.0.landmarks"),
        ({"photos": [photo("a")], "pairs": [[0, 1, 1]]}, "pairs[0]: photo 1: expected 0 to 0"),
        ({"photos": [photo("a")], "pairs": [[0, 0, 2**70]]}, "pairs.0.2: "),
        ({"photos": [photo("a")], "pairs": [[0, 0, 0]]}, "pairs.0.2: Input should be greater"),
        ({"photos": [photo("x"), photo("y")]}, "2 photos are not in"),
        (
            {"photos": [photo("a"), photo("a", "b")]},
            "2 of 2 photos cannot be used: 2 x photo under",
        ),
        ({"photos": [photo("a"), photo("b")], "pairs": [[0, 0, 1]]}, "1 of 1 pairs cannot be used"),
    ],
)
def test_lists_that_are_refused(content: Any, message: str, folder: Path) -> None:
    file = folder / "all.identities.json"
    file.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_identities([file], [folder])
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
