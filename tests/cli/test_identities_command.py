"""`pocketface data identities`: what it prints, refuses and leaves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import skimage
from PIL import Image

from ..pixel_recognizer import write_detector, write_photo, write_recognizer

Run = Callable[..., Any]
ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two people, one of them with a photo of a wall, as the current folder's `people`."""
    monkeypatch.chdir(tmp_path)
    for name, photo in (("eileen", ASTRONAUT), ("grace", HOPPER)):
        (tmp_path / "people" / name).mkdir(parents=True)
        shutil.copy(photo, tmp_path / "people" / name)
    Image.new("RGB", (64, 48), (128, 128, 128)).save("people/grace/wall.png")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_from_folders_to_a_list(run: Run) -> None:
    made = run("data", "identities", "people", "--output", "lists")
    assert (made.code, made.out) == (
        0,
        "written: lists/all.identities.json (3 photos, 1 without a face; 2 people, 1 of them with "
        "one photo; data root people)\n",
    )
    photos = json.loads(Path("lists/all.identities.json").read_text())["photos"]
    points = {photo["image"]: photo.get("landmarks") for photo in photos}
    assert points["grace/wall.png"] is None
    assert points["eileen/astronaut.png"][2] == pytest.approx([217, 130], abs=20)


@pytest.mark.usefixtures("folder")
def test_aligned_faces_of_a_table(run: Run) -> None:
    Image.new("RGB", (112, 112)).save("people/a.png")
    Path("people.csv").write_text(
        "image,split,age\na.png,test,30\ngrace/wall.png,train,\na.png,test,"
    )
    made = run(
        "data", "identities", "people", "--list", "people.csv", "--tags", "age", "--aligned",
        "--output", "lists",
    )  # fmt: skip
    assert made.code == 0
    assert made.out == (
        "written: lists/test.identities.json (1 photos, 0 without a face; people unknown; "
        "data root people)\n"
    )
    (photo,) = json.loads(Path("lists/test.identities.json").read_text())["photos"]
    assert photo["tags"] == ["age=30"]
    assert photo["landmarks"][0] == [38.29, 51.7]


def test_doubtful_photos_are_reported(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, person in (("anna", 1), ("bob", 2)):
        for place in "123":
            write_photo(Path("people", name, f"{place}.png"), person, blur=0.3)
    write_photo(Path("people/bob/wrong.png"), 1, blur=0.3)
    shutil.copy("people/anna/2.png", "people/anna/copy.png")
    write_detector(Path("detector.onnx"), 40)
    write_recognizer(Path("recognizer.onnx"))
    made = run(
        "data", "identities", "people", "--detector", "detector.onnx", "--embedder",
        "recognizer.onnx", "--output", "lists",
    )  # fmt: skip
    assert made.code == 0
    last = "written: lists/report.csv (2 photos to look at; nothing is left out for it)"
    assert made.out.splitlines()[1] == last
    assert Path("lists/report.csv").read_text().splitlines() == [
        "photo,person,why",
        "anna/copy.png,anna,nearly the same picture as anna/2.png",
        "bob/wrong.png,bob,looks like anna rather than bob",
    ]
    assert "8 photos" in made.out


def test_a_report_replaces_reports_alone(run: Run, folder: Path) -> None:
    (folder / "lists").mkdir()
    flags = ("data", "identities", "people", "--output", "lists", "--embedder", "glasses-n")
    Path("lists/report.csv").write_text("my own notes")
    made = run(*flags)
    assert made.code == 2
    assert "--output lists: its report.csv is there already, and is no report" in made.err
    assert os.listdir("lists") == ["report.csv"]
    assert Path("lists/report.csv").read_text() == "my own notes"
    Path("lists/report.csv").write_text("photo,person,why\n")
    assert "report.csv" not in run(*flags).err


def test_a_folder_with_a_blank_name_is_nobody_s(run: Run, folder: Path) -> None:
    for name in (" ", " grace "):
        (folder / "people" / name).mkdir()
        shutil.copy(HOPPER, folder / "people" / name)
    made = run("data", "identities", "people", "--output", "lists")
    assert made.code == 0
    assert "1 photos lie in no person's folder and count as of unknown people" in made.err
    photos = json.loads(Path("lists/all.identities.json").read_text())["photos"]
    people = {photo["image"]: photo.get("person") for photo in photos}
    assert people[" /grace_hopper.jpg"] is None
    assert people[" grace /grace_hopper.jpg"] == people["grace/grace_hopper.jpg"] == "grace"


@pytest.mark.usefixtures("folder")
def test_a_report_does_not_replace_its_list(run: Run) -> None:
    text = "image\ngrace/wall.png\n"
    Path("report.csv").write_text(text)
    made = run(
        "data", "identities", "people", "--list", "report.csv", "--output", ".", "--embedder",
        "glasses-n",
    )  # fmt: skip
    assert (made.code, "is one of the files to be read" in made.err) == (2, True)
    assert Path("report.csv").read_text() == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone: no such folder"),
        (["people", "--list", "gone.csv"], "gone.csv: cannot be read: No such file"),
        (["people", "--aligned", "--detector", "face-detection-n"], "not with --aligned"),
        (["people", "--detector", "glasses-n"], "expected a face detector"),
        (["people", "--embedder", "glasses-n"], "expected a face recogniser"),
        (
            ["people", "--val-fraction", "0.6", "--test-fraction", "0.4"],
            "--val-fraction 0.6 and --test-fraction 0.4: expected less than 1",
        ),
        (["people", "--val-fraction", "20"], "expected a number from 0 to 1, found '20'"),
        (["people", "--pairs", "people/grace/wall.png"], "not UTF-8 text"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, run: Run, folder: Path) -> None:
    made = run("data", "identities", *arguments, "--output", "lists")
    assert (made.code, made.out) == (2, "")
    assert message in made.err
    assert not (folder / "lists").exists()
