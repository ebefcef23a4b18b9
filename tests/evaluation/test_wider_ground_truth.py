"""Reading WIDER's list and nested .mat cells, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pocketface.errors import DataError
from pocketface.evaluation.wider import LIST_FILE, read_ground_truth

MakeWider = Callable[..., Path]

PHOTOS = {
    "0--Parade/one": {"faces": [[10, 20, 30, 40], [100, 20, 8, 9]], "easy": [0], "hard": [0, 1]},
    "0--Parade/none": {"faces": []},
    "0--Parade/unlisted": {"faces": [[1, 1, 5, 5]], "easy": [0], "medium": [0], "hard": [0]},
    "1--Handshaking/two": {"faces": [[5, 6, 7, 8]], "medium": [0], "hard": [0]},
}


def test_reads_the_listed_photos_of_the_official_layout(make_wider: MakeWider) -> None:
    truth = read_ground_truth(make_wider(PHOTOS, unlisted=["0--Parade/unlisted"]))
    assert truth.files == {key: f"{key}.webp" for key in PHOTOS if key != "0--Parade/unlisted"}
    assert truth.boxes["0--Parade/one"].tolist() == [[10, 20, 40, 60], [100, 20, 108, 29]]
    assert truth.boxes["0--Parade/none"].shape == (0, 4)
    counted = {
        setting: {key: mask.tolist() for key, mask in masks.items()}
        for setting, masks in truth.counted.items()
    }
    assert counted == {
        "easy": {"0--Parade/one": [True, False], "0--Parade/none": [], "1--Handshaking/two": [0]},
        "medium": {"0--Parade/one": [0, 0], "0--Parade/none": [], "1--Handshaking/two": [1]},
        "hard": {"0--Parade/one": [1, 1], "0--Parade/none": [], "1--Handshaking/two": [1]},
    }


def test_real_ground_truth(shared: Path) -> None:
    truth = read_ground_truth(shared / "wider_face")
    assert len(truth.files) == 500
    assert sum(map(len, truth.boxes.values())) == 5596  # the faces that the text list counts
    total = {key: sum(mask.sum() for mask in v.values()) for key, v in truth.counted.items()}
    assert total["easy"] < total["medium"] < total["hard"] < 5596


def test_refuses_a_folder_without_the_files(make_wider: MakeWider, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wider_face_val_bbx_gt\.txt.*cannot be read"):
        read_ground_truth(tmp_path / "nowhere")
    folder = make_wider(PHOTOS)
    medium = folder / "ground_truth" / "wider_medium_val.mat"
    whole = medium.read_bytes()
    for damaged in (whole[:400], whole[:150], b"", b"not Matlab" * 100):
        medium.write_bytes(damaged)
        with pytest.raises(DataError, match=r"wider_medium_val\.mat: (cannot|not an official)"):
            read_ground_truth(folder)
    medium.unlink()
    with pytest.raises(DataError, match=r"wider_medium_val\.mat: cannot be read: No such file"):
        read_ground_truth(folder)


def test_refuses_a_listed_photo_that_the_ground_truth_has_not(make_wider: MakeWider) -> None:
    folder = make_wider(PHOTOS)
    with (folder / LIST_FILE).open("a") as handle:
        handle.write("0--Parade/other.webp\n1\n1 2 3 4 0 0 0 0 0 0\n")
    with pytest.raises(DataError, match=r"wider_face_val\.mat: has no photo '0--Parade/other'"):
        read_ground_truth(folder)


def test_refuses_a_count_of_a_face_that_is_not_there(make_wider: MakeWider) -> None:
    photos = PHOTOS | {"0--Parade/one": {"faces": [[1, 2, 3, 4]], "hard": [1]}}
    with pytest.raises(DataError, match=r"wider_hard_val\.mat: '0--Parade/one' names a face"):
        read_ground_truth(make_wider(photos))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no photo"),
        ("e/p.webp\n0\ne/q.webp\n0\n0 0 0 0\ne/p.webp\n0\n", "'e/p.webp' is listed twice"),
        ("e/p.webp\n0\n\ne/q.webp\n0\n", ":3: '': expected <event>/<file name>"),
    ],
)
def test_refuses_a_damaged_list(make_wider: MakeWider, text: str, message: str) -> None:
    folder = make_wider(PHOTOS)
    (folder / LIST_FILE).write_text(text)
    with pytest.raises(DataError) as caught:
        read_ground_truth(folder)
    assert message in str(caught.value)
