"""`pocketface recognize`: photos compared, enrolled, found, sorted, forgotten and measured."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import pocketface
from pocketface.apps.gallery import stamped

from ..pixel_recognizer import (
    MEASURED,
    PLACES,
    landmarks_of,
    write_detector,
    write_photo,
    write_recognizer,
)
from ..tasks.recognition.tiny_recognizer import write_list

Run = Callable[..., Any]

ANNA, BERT, CARL = 1, 2, 3
ONE, TWO = ("--detector", "one.onnx"), ("--detector", "two.onnx")
MODEL = ("--load-weights", "pixels.onnx")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_recognizer(folder / "pixels.onnx", **MEASURED)
    write_recognizer(folder / "plain.onnx")
    write_recognizer(folder / "other.onnx", name="other", **MEASURED)
    write_detector(folder / "one.onnx", 40)
    write_detector(folder / "two.onnx", 40, 40)
    write_detector(folder / "sizes.onnx", 40, 36)  # the best is not the largest
    write_detector(folder / "tiny.onnx", 20)
    return folder


@pytest.fixture
def place(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models and photos: of Anna, and of her and others."""
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    write_photo(Path("anna.png"), ANNA)
    write_photo(Path("in/same.png"), ANNA, blur=0.1)
    write_photo(Path("in/more/other.png"), BERT)
    write_photo(Path("in/perhaps.png"), ANNA, blur=0.5)
    write_photo(Path("in/nobody.png"), is_bright=False)
    Path("in/half.png").write_bytes(Path("anna.png").read_bytes()[:300])
    return tmp_path


def seen(photo: str, detector: Any, model: pocketface.FaceRecognizer) -> list[pocketface.Embedding]:
    """The faces of a photo, from left to right."""
    faces = detector.predict(photo)
    return model.predict(photo, faces.landmarks[faces.boxes[:, 0].argsort()])


def rows_of(text: str) -> dict[str, dict[str, str]]:
    return {row["image"]: row for row in csv.DictReader(text.splitlines())}


def lines_of(text: str) -> dict[str, Any]:
    return {line["file"]: line for line in map(json.loads, text.splitlines())}


@pytest.mark.usefixtures("place")
def test_compare_says_yes_no_unsure_and_no_face(run: Run) -> None:
    result = run("recognize", "compare", "anna.png", "in", *MODEL, *ONE, "--output", "drawn")
    assert result.code == 0
    assert result.err.startswith("pocketface: warning: left out: in/half.png: ")
    assert len(result.err.splitlines()) == 1
    said = dict(line.split(": ", 1) for line in result.out.splitlines() if ": " in line)
    assert said["in/same.png"].startswith("yes (")
    assert said["in/more/other.png"].startswith("no (")
    assert said["in/perhaps.png"].startswith("unsure (")
    assert said["in/nobody.png"] == "no face"
    *_, counts, written = result.out.splitlines()
    assert counts == "1 yes, 1 unsure, 1 no, 1 without a face, 1 unreadable"
    assert written == "written: drawn"
    drawn = cv2.imread("drawn/more/other.png")
    photo = cv2.imread("in/more/other.png")
    changed = (drawn != photo).any(axis=2)
    x, y = PLACES[0]
    assert changed[y - 3 : y + 3, x : x + 40].any()  # the box
    assert changed[:15, :15].mean() > 0.9  # the face that was looked for


@pytest.mark.usefixtures("place")
def test_of_many_faces_one_is_often_taken_for_the_person(run: Run) -> None:
    write_photo(Path("in/same.png"), BERT, ANNA, blur=0.1)
    flags = ("recognize", "compare", "anna.png", "in/same.png", *MODEL, *TWO, "--face", "1")
    assert "of such photos of strangers" not in run(*flags, "--max-fmr", "0.01").err
    said = run(*flags, "--max-fmr", "0.1").err
    assert "in/same.png: 2 faces at --max-fmr 0.1: in up to 19 % of such photos" in said
    assert "one is taken for the person; --max-fmr 0.02 makes that 4 %" in said
    write_photo(Path("in/same.png"), BERT, CARL)
    result = run(*flags, "--max-fmr", "0.1")
    assert "in/same.png: no" in result.out
    assert "of such photos of strangers" not in result.err


@pytest.mark.usefixtures("place")
def test_compare_as_json_has_all_pairs(run: Run) -> None:
    write_photo(Path("in/same.png"), BERT, ANNA, blur=0.1)
    result = run("recognize", "compare", "anna.png", "in", *MODEL, *TWO, "--face", "1", "--json")
    lines = lines_of(result.out)
    assert lines.keys() == {f"in/{n}.png" for n in ("same", "more/other", "perhaps", "nobody")}
    one = lines["in/same.png"]
    assert (one["answer"], one["face"]) == ("yes", 2)
    faces = {face["number"]: face for face in one["faces"]}
    assert faces[1]["result"]["answer"] == "no"
    assert faces[2]["result"]["answer"] == "yes"
    assert faces[2]["box"][0] == pytest.approx(PLACES[1][0], abs=0.1)
    assert one["similarity"] == faces[2]["result"]["similarity"]
    expected = 1 / (1 + np.exp(-(10 * one["similarity"] - 7)))
    assert one["probability"] == pytest.approx(expected, abs=2e-3)
    assert one["reference"] == {"file": "anna.png", "face": 1}
    nobody = lines["in/nobody.png"]
    assert (nobody["answer"], nobody["similarity"], nobody["faces"]) == ("no_face", None, [])
    # What the functions of Python say.
    model, detector = pocketface.load("pixels.onnx"), pocketface.load("two.onnx")
    assert isinstance(model, pocketface.FaceRecognizer)
    person, *_ = seen("anna.png", detector, model)
    _, found = seen("in/same.png", detector, model)
    assert one["similarity"] == pytest.approx(person.similarity(found), abs=1e-4)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("to_file", [True, False])
def test_compare_as_a_table(run: Run, to_file: bool) -> None:
    target = "all.csv" if to_file else "-"
    result = run(
        "recognize", "compare", "anna.png", "in", *MODEL, *TWO, "--face", "1", "--csv", target
    )
    assert result.code == 0
    rows = rows_of(Path("all.csv").read_text() if to_file else result.out)
    assert len(rows) == 4
    assert ("written: all.csv" in result.out) == to_file
    same = rows["in/same.png"]
    assert (same["answer"], same["faces"]) == ("yes", "2")
    assert rows["in/nobody.png"]["answer"] == "no_face"
    assert rows["in/nobody.png"]["face"] == rows["in/nobody.png"]["similarity"] == ""


@pytest.mark.usefixtures("place")
def test_the_largest_face_is_the_reference_and_face_chooses_another(run: Run) -> None:
    write_photo(Path("two.png"), ANNA, BERT)
    write_photo(Path("later.png"), ANNA, CARL, blur=0.1)
    flags = ("compare", "two.png", "later.png", *MODEL, "--detector", "sizes.onnx")
    result = run("recognize", *flags)
    assert "two.png: 2 faces: the largest is taken, number 1 from the left" in result.err
    assert "later.png: yes" in result.out
    result = run("recognize", *flags, "--face", "2")
    assert result.err == ""
    assert "later.png: no" in result.out
    result = run("recognize", *flags, "--face", "3")
    assert result.code == 2
    assert "--face 3: two.png has 2 faces: expected a number from 1" in result.err


@pytest.mark.usefixtures("place")
def test_two_faces_of_one_person_in_a_photo_are_warned_of(run: Run) -> None:
    write_photo(Path("mirror.png"), ANNA, ANNA)
    result = run("recognize", "compare", "anna.png", "mirror.png", *MODEL, *TWO, "--face", "1")
    assert "mirror.png: 2 faces are taken for the same person: a mirror" in result.err
    assert "mirror.png: yes" in result.out


@pytest.mark.usefixtures("place")
def test_a_face_that_is_too_small_is_unsure(run: Run) -> None:
    # Eyes that are 6.4 pixels apart; the reference was seen at full size.
    run("recognize", "enroll", "a.gallery", "anna.png", "--name", "Anna", *MODEL, *ONE)
    tiny = ("--detector", "tiny.onnx")
    result = run("recognize", "find", "a.gallery", "anna.png", *MODEL, *tiny, "--json")
    (line,) = lines_of(result.out).values()
    assert line["faces"][0]["result"]["answer"] == "unsure"
    assert line["faces"][0]["result"]["small"]
    assert line["faces"][0]["result"]["name"] is None
    assert line["faces"][0]["result"]["probability"] is None
    row = next(csv.DictReader(run("recognize", "find", "a.gallery", "anna.png", *MODEL, *tiny,
                                  "--csv", "-").out.splitlines()))  # fmt: skip
    assert (row["answer"], row["probability"]) == ("unsure", "")
    assert row["similarity"]
    result = run("recognize", "find", "a.gallery", "anna.png", *MODEL, *tiny)
    assert result.out.startswith("anna.png: 1 too small\n1 photo, 0 faces of known people, ")
    assert result.out.endswith("0 unsure, 0 unknown, 1 too small\n")
    result = run("recognize", "compare", "anna.png", "in", *MODEL, *tiny)
    assert (result.code, "too small to be compared" in result.err) == (2, True)
    result = run("recognize", "enroll", "a.gallery", "in/same.png", "--name", "B", *MODEL, *tiny)
    assert "in/same.png: the face is too small" in result.err
    assert "0 faces added, 1 too small; a.gallery knows 1 person" in result.out


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("in/nobody.png", "in", *MODEL), "in/nobody.png: no face in the photo to compare with"),
        (("gone.png", "in", *MODEL), "gone.png: "),
        (("anna.png", "gone", *MODEL), "gone: no such file or folder"),
        (("anna.png", "in/half.png", *MODEL), "none of the 1 photos could be read"),
        (("anna.png", "clip.mp4", *MODEL), "clip.mp4: is a video: expected photos"),
        (("anna.png", "in", *MODEL, "--max-fmr", "1.5"), "--max-fmr 1.5: expected a share"),
        (("anna.png", "in", *MODEL, "--max-fmr", "1e-6"), "--max-fmr 1e-06: expected 0.001"),
        (("anna.png", "in", "--load-weights", "plain.onnx"), "thresholds were never measured"),
        (("anna.png", "in", "--load-weights", "one.onnx"), "one.onnx: is for face-detection"),
        (("anna.png", "in", *MODEL, "--output", "in/drawn"), "--output in/drawn: lies in in"),
        (("anna.png", "in", *MODEL, "--csv", "in/same.png"), "--csv in/same.png: is one of"),
        (("anna.png", "in", *MODEL, "--csv", "-", "--json"), "--csv -: not with --json"),
        (("anna.png", "in", *MODEL, "--calibration", "anna.png"), "anna.png"),
    ],
)
def test_compare_refuses(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run("recognize", "compare", *arguments, *ONE)
    assert result.code == 2
    *warnings, error = [one for one in result.err.splitlines() if not one.startswith("hint: ")]
    assert error.startswith("pocketface: error: ")
    assert message in error
    assert all(one.startswith("pocketface: warning: left out") for one in warnings)
    assert result.out == ""


@pytest.mark.usefixtures("place")
def test_drawn_photos_are_not_overwritten(run: Run) -> None:
    flags = ("recognize", "compare", "anna.png", "in", *MODEL, *ONE, "--output", "drawn")
    assert run(*flags).code == 0
    result = run(*flags)
    assert (result.code, "is there already" in result.err) == (2, True)
    assert run(*flags, "--force").code == 0


@pytest.mark.usefixtures("people")
def test_tables_replace_nothing_that_may_be_wanted(run: Run) -> None:
    write_photo(Path("in/a.gallery.png"), ANNA)
    run("recognize", "enroll", "a.gallery", "people", *MODEL, *ONE)
    shutil.copy("anna.png", "me.png")
    os.symlink("me.png", "link.png")
    Path("mine.csv").write_text("my own notes")
    shutil.copy("mine.csv", "own.json")
    compare = ("recognize", "compare", "me.png", "in", *MODEL, *ONE)
    find = ("recognize", "find", "a.gallery", "in", *MODEL, *ONE)
    own = ("--calibration", "own.json")
    files = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    for command, name in (
        *((compare, name) for name in ("me.png", "./link.png", "in/same.png", "pixels.onnx")),
        *((find, name) for name in ("a.gallery", "one.onnx")),
        *(((*one, *own), "own.json") for one in (compare, find)),
    ):
        result = run(*command, "--csv", name, "--force")
        assert result.code == 2
        assert f"--csv {Path(name)}: is one of the files to be read" in result.err
    for command in (compare, find):
        result = run(*command, "--csv", "mine.csv")
        assert result.code == 2
        assert "--csv mine.csv: is there already" in result.err
        assert "--force replaces it" in result.err
    assert {path: path.read_bytes() for path in files} == files
    assert run(*compare, "--csv", "mine.csv", "--force").code == 0
    assert Path("mine.csv").read_text().startswith("image,answer")


@pytest.mark.usefixtures("place")
def test_drawn_photos_do_not_replace_the_person_s(run: Run) -> None:
    Path("drawn").mkdir()
    shutil.copy("anna.png", "drawn/same.png")
    before = Path("drawn/same.png").read_bytes()
    flags = (*MODEL, *ONE, "--output", "drawn", "--force")
    result = run("recognize", "compare", "drawn/same.png", "in", *flags)
    assert result.code == 2
    assert "--output drawn: drawn/same.png: is one of the files to be read" in result.err
    assert Path("drawn/same.png").read_bytes() == before


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("named", [("in", "old"), ("in/same.png", "old/same.png")])
def test_photos_of_one_name_are_drawn_in_their_own_folders(
    run: Run, named: tuple[str, ...]
) -> None:
    write_photo(Path("old/same.png"), BERT)
    assert (
        run("recognize", "compare", "anna.png", *named, *MODEL, *ONE, "--output", "out").code == 0
    )
    assert sorted(Path("out").rglob("same.png")) == [
        Path("out/in/same.png"),
        Path("out/old/same.png"),
    ]


@pytest.fixture
def people(place: Path) -> Path:
    """A folder with a folder for each person."""
    for person, name in ((ANNA, "Anna"), (BERT, "Bert Ж")):
        for turn in range(2):
            write_photo(place / "people" / name / f"{turn}.png", person, blur=0.1 * turn)
    return place


@pytest.mark.usefixtures("people")
def test_enrolled_people_are_found_and_others_are_unknown(run: Run) -> None:
    write_photo(Path("in/all.png"), BERT, CARL, blur=0.1)
    write_photo(Path("people/loose.png"), CARL)
    result = run("recognize", "enroll", "a.gallery", "people", *MODEL, *ONE)
    assert result.code == 0
    assert "left out: 1 photos in no person's folder: loose.png" in result.err
    assert result.out == "4 faces added; a.gallery knows 2 people\n"
    flags = ("recognize", "find", "a.gallery", "in/all.png", "in/nobody.png", *MODEL, *TWO)
    result = run(*flags, "--json", "--csv", "all.csv", "--output", "drawn")
    assert (result.code, result.err) == (0, "")
    lines = lines_of(result.out)
    assert lines["in/nobody.png"]["faces"] == []
    found = {face["number"]: face["result"] for face in lines["in/all.png"]["faces"]}
    assert (found[1]["answer"], found[1]["name"]) == ("known", "Bert Ж")
    assert (found[2]["answer"], found[2]["name"]) == ("unknown", None)
    rows = list(csv.DictReader(Path("all.csv").read_text().splitlines()))
    by_face = {row["face"]: (row["answer"], row["name"]) for row in rows}
    assert by_face == {"1": ("known", "Bert Ж"), "2": ("unknown", ""), "": ("", "")}
    assert sorted(os.listdir("drawn")) == ["all.png", "nobody.png"]
    result = run(*flags)
    first, *_, counts = result.out.splitlines()
    assert first.startswith("in/all.png: Bert Ж (")
    assert "; 1 unknown" in first
    assert counts == ("2 photos, 1 face of known people, 0 unsure, 1 unknown, 1 without a face")


@pytest.mark.usefixtures("people")
def test_a_second_start_skips_what_is_enrolled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pocketface.apps import recognize_enroll, recognize_faces

    flags = ("recognize", "enroll", "a.gallery", "people", *MODEL, *ONE)
    see = recognize_faces.Recognizer.see
    seen: list[Path] = []

    def interrupted(self: Any, path: Path, image: Any) -> Any:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(path)
        return see(self, path, image)

    monkeypatch.setattr(recognize_faces.Recognizer, "see", interrupted)
    monkeypatch.setattr(recognize_enroll, "SAVED_EACH", 2)
    result = run(*flags)
    assert (result.code, "interrupted; 3 faces are in a.gallery" in result.err) == (130, True)
    seen.clear()
    result = run(*flags)
    assert result.out == "1 face added, 3 enrolled before; a.gallery knows 2 people\n"
    assert len(seen) == 1
    os.utime("people/Anna/0.png", (1, 1))  # perhaps another photo
    seen.clear()
    assert run(*flags).out.startswith("1 face added, 3 enrolled before")
    assert seen == [Path("people/Anna/0.png")]


@pytest.mark.usefixtures("people")
def test_photos_without_a_face_are_looked_at_again(run: Run) -> None:
    write_photo(Path("people/Anna/2.png"), ANNA, is_bright=False)
    flags = ("recognize", "enroll", "a.gallery", "people", *MODEL)
    assert run(*flags, "--detector", "tiny.onnx").out == (
        "0 faces added, 1 without a face, 4 too small; a.gallery knows 0 people\n"
    )
    sure = run(*flags, *ONE, "--face-score", "0.95").out
    assert sure == "0 faces added, 5 without a face; a.gallery knows 0 people\n"
    # As older versions kept them.
    gallery = pocketface.Gallery.open("a.gallery")
    for path in Path("people").rglob("*.png"):
        name = path.relative_to("people").as_posix()
        gallery.add_photo(stamped(path.parent.name, path, name), [], np.empty((0, 4)))
    gallery.save()
    last = "1 without a face; a.gallery knows 2 people\n"
    assert run(*flags, *ONE).out == f"4 faces added, {last}"
    assert run(*flags, *ONE).out == f"0 faces added, 4 enrolled before, {last}"


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(("change", "faces"), [(("--face-score", "0.95"), 0), (TWO, 8)])
def test_clusters_of_another_detector_or_score_begin_anew(
    run: Run, change: tuple[str, ...], faces: int
) -> None:
    for name in ("Anna", "Bert Ж"):
        write_photo(Path(f"people/{name}/0.png"), ANNA, CARL)
    flags = ("recognize", "cluster", "people", "--output", "out", *MODEL)
    assert run(*flags, *ONE).out.startswith("4 photos, 4 faces, ")
    for path in (*Path("out").glob("person-*"), Path("out/alone")):
        shutil.rmtree(path, ignore_errors=True)
    os.unlink("out/faces.csv")
    result = run(*flags, *ONE, *change)
    assert result.out.startswith(f"4 photos, {faces} faces, ")
    assert result.err == (
        "pocketface: warning: out/faces.gallery: of another --detector or --face-score: photos "
        "are seen anew\n"
    )


@pytest.mark.usefixtures("people")
def test_the_gallery_is_written_before_the_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pocketface.apps import recognize_enroll, recognize_faces

    def killed(self: Any, path: Path, image: Any) -> Any:
        if path.parent.name != "Anna":
            raise SystemExit(9)
        return see(self, path, image)

    see = recognize_faces.Recognizer.see
    monkeypatch.setattr(recognize_faces.Recognizer, "see", killed)
    monkeypatch.setattr(recognize_enroll, "SAVED_EACH", 2)
    assert run("recognize", "enroll", "a.gallery", "people", *MODEL, *ONE).code == 9
    assert len(pocketface.Gallery.open("a.gallery")) == 2


@pytest.mark.usefixtures("people")
def test_forget(run: Run) -> None:
    run("recognize", "enroll", "a.gallery", "people", *MODEL, *ONE)
    before = Path("a.gallery").read_bytes()
    result = run("recognize", "forget", "a.gallery", "--name", "Bart Ж")
    assert result.code == 2
    assert "nobody is called 'Bart Ж'" in result.err
    assert "did you mean 'Bert Ж'?" in result.err
    assert Path("a.gallery").read_bytes() == before
    result = run("recognize", "forget", "a.gallery", "--name", "Bert Ж")
    assert result.out == "forgotten: Bert Ж, 2 faces; left: 2 faces of 1 person\n"
    assert b"Bert" not in Path("a.gallery").read_bytes()
    found = run("recognize", "find", "a.gallery", "people/Bert Ж", *MODEL, *ONE).out
    assert "Bert Ж/0.png: 1 unknown" in found


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("enroll", "a.npz", "people", *MODEL), "a.npz: expected a name that ends in .gallery"),
        (("enroll", "a.gallery", "anna.png", *MODEL), "anna.png: whom does it show?"),
        (("enroll", "a.gallery", "people/Anna", *MODEL), "no photo in a folder of a person"),
        (("enroll", "a.gallery", "anna.png", "--name", " ", *MODEL), "name ' ': expected a text"),
        (("enroll", "a.gallery", "in/half.png", "--name", "A", *MODEL), "none of the 1 photos"),
        (("find", "a.gallery", "in", *MODEL), "a.gallery: no such gallery"),
        (("find", "empty.gallery", "in", *MODEL), "empty.gallery: nobody is enrolled"),
        (("find", "anna.gallery", "in", *MODEL), "anna.gallery: not a gallery, or damaged"),
        (("find", "sorted/faces.gallery", "in", *MODEL), "faces.gallery: its faces have no names"),
        (("find", "of.gallery", "in", *MODEL), "of.gallery: its embeddings are of other"),
        (("enroll", "of.gallery", "people", *MODEL), "of.gallery: its embeddings are of other"),
    ],
)
def test_galleries_refuse(run: Run, arguments: tuple[str, ...], message: str) -> None:
    shutil.copy("anna.png", "anna.gallery")
    other = ("--load-weights", "other.onnx")
    run("recognize", "enroll", "of.gallery", "anna.png", "--name", "A", *other, *ONE)
    run("recognize", "enroll", "empty.gallery", "in/nobody.png", "--name", "A", *MODEL, *ONE)
    run("recognize", "cluster", "people", "--output", "sorted", *MODEL, *ONE)
    result = run("recognize", *arguments, *ONE)
    assert result.code == 2
    errors = [one for one in result.err.splitlines() if "error: " in one]
    assert len(errors) == 1
    assert message in errors[0]
    assert not Path("a.gallery").exists()


@pytest.mark.usefixtures("people")
def test_many_people_are_warned_of(run: Run) -> None:
    run("recognize", "enroll", "a.gallery", "people", *MODEL, *ONE)
    result = run("recognize", "find", "a.gallery", "in/same.png", *MODEL, *ONE, "--max-fmr", "0.1")
    assert "4 faces of 2 people at --max-fmr 0.1: up to 34 % of strangers" in result.err


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("name", ["no\udcfftext", "line\nbreak", "😀/Ж\\", "n" * 400])
def test_names_of_any_text_are_drawn_and_told(run: Run, name: str) -> None:
    flags = ("recognize", "enroll", "a.gallery", "anna.png", *MODEL, *ONE)
    assert run(*flags, "--name", name).code == 0
    flags = ("recognize", "find", "a.gallery", "in/same.png", *MODEL, *ONE)
    result = run(*flags, "--output", "drawn", "--csv", "all.csv", "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out)["faces"][0]["result"]["name"] == name
    assert (cv2.imread("drawn/same.png") != cv2.imread("in/same.png")).any()
    assert run(*flags, "--csv", "-").code == 0
    result = run(*flags)
    assert len(result.out.splitlines()) == 2
    assert run("recognize", "forget", "a.gallery", "--name", name).code == 0


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("link", [False, True])
def test_cluster_makes_a_folder_for_each_person(run: Run, link: bool) -> None:
    write_photo(Path("people/more/0.png"), BERT, blur=0.05)
    write_photo(Path("people/carl.png"), CARL)
    write_photo(Path("people/nobody.png"), is_bright=False)
    flags = ("--link",) if link else ()
    result = run("recognize", "cluster", "people", "--output", "out", *MODEL, *ONE, *flags)
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "7 photos, 6 faces, 2 people twice or more, 1 alone, 1 without a face\nwritten: out\n"
    )
    files = sorted(path for path in Path("out").rglob("*") if path.is_file())
    assert [str(path.relative_to("out")) for path in files] == [
        "alone/carl.png",
        "faces.csv",
        "faces.gallery",
        "person-001/0-2.png",
        "person-001/0.png",
        "person-001/1.png",
        "person-002/0.png",
        "person-002/1.png",
    ]
    assert os.path.samefile("out/alone/carl.png", "people/carl.png") == link
    assert Path("out/alone/carl.png").read_bytes() == Path("people/carl.png").read_bytes()
    rows = list(csv.DictReader(Path("out/faces.csv").read_text().splitlines()))
    assert {row["image"]: row["person"] for row in rows} == {
        "Anna/0.png": "person-002",
        "Anna/1.png": "person-002",
        "Bert Ж/0.png": "person-001",
        "Bert Ж/1.png": "person-001",
        "more/0.png": "person-001",
        "carl.png": "alone",
    }
    x, y = PLACES[0]
    assert [float(rows[0][side]) for side in ("x1", "y1")] == pytest.approx([x, y], abs=0.1)


@pytest.mark.usefixtures("people")
def test_cluster_sees_each_photo_once_and_overwrites_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pocketface.apps import recognize_faces

    flags = ("recognize", "cluster", "people", "--output", "out", *MODEL, *ONE)
    see = recognize_faces.Recognizer.see
    seen: list[str] = []

    def counted(self: Any, path: Path, image: Any) -> Any:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(path.name)
        return see(self, path, image)

    monkeypatch.setattr(recognize_faces.Recognizer, "see", counted)
    assert run(*flags).code == 130
    assert os.listdir("out") == ["faces.gallery"]
    seen.clear()
    assert run(*flags).code == 0
    assert len(seen) == 2
    result = run(*flags)
    assert (result.code, "is there already" in result.err) == (2, True)
    for name in ("person-001", "person-002"):
        shutil.rmtree(f"out/{name}")
    os.unlink("out/faces.csv")
    os.unlink("people/Anna/1.png")  # what is gone counts no more
    assert run(*flags).out.startswith("3 photos, 3 faces, 1 person twice or more, 1 alone")


@pytest.mark.usefixtures("people")
def test_a_group_photo_is_with_each_of_its_people(run: Run) -> None:
    for name, pair in (("a", (ANNA, BERT)), ("b", (ANNA, CARL)), ("c", (BERT, BERT))):
        write_photo(Path(f"groups/{name}.png"), *pair, blur=0.05)
    result = run("recognize", "cluster", "groups", "--output", "out", *MODEL, *TWO)
    assert "1 photos have two faces that are taken for one person, as c.png" in result.err
    assert sorted(str(p.relative_to("out")) for p in Path("out").glob("*/*")) == [
        *("person-001/a.png", "person-001/c.png"),
        *("person-002/a.png", "person-002/b.png"),
    ]
    rows = list(csv.DictReader(Path("out/faces.csv").read_text().splitlines()))
    assert sum(row["person"] == "alone" for row in rows) == 1


@pytest.mark.usefixtures("people")
def test_cluster_leaves_a_gallery_of_named_people_alone(run: Run) -> None:
    run("recognize", "enroll", "out/faces.gallery", "people", *MODEL, *ONE)
    before = Path("out/faces.gallery").read_bytes()
    result = run("recognize", "cluster", "in", "--output", "out", *MODEL, *ONE)
    assert result.code == 2
    assert "out/faces.gallery: holds faces of 'Anna', as `enroll` names them" in result.err
    assert Path("out/faces.gallery").read_bytes() == before
    assert os.listdir("out") == ["faces.gallery"]


@pytest.mark.usefixtures("people")
def test_a_photo_of_two_names_is_warned_of(run: Run) -> None:
    for name in ("Anna", "Zoe"):
        run("recognize", "enroll", "a.gallery", "anna.png", "--name", name, *MODEL, *ONE)
    result = run("recognize", "find", "a.gallery", "anna.png", *MODEL, *ONE, "--json")
    assert "anna.png: a face is as much like Zoe as like Anna: is a photo enrolled" in result.err
    (face,) = lines_of(result.out)["anna.png"]["faces"]
    assert face["result"]["name"] == "Anna"
    assert 0.45 < face["result"]["probability"] < 0.5


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone",), "gone: expected a folder of photos"),
        (("anna.png",), "anna.png: expected a folder of photos"),
        (("in", "--output", "in/out"), "--output in/out: lies in in"),
        (("in", "--output", "anna.png"), "--output anna.png: cannot be written"),
    ],
)
def test_cluster_refuses(run: Run, arguments: tuple[str, ...], message: str) -> None:
    output = () if "--output" in arguments else ("--output", "out")
    result = run("recognize", "cluster", *arguments, *output, *MODEL, *ONE)
    assert result.code == 2
    assert message in result.err
    assert not Path("out").exists()


@pytest.fixture
def measured(place: Path) -> Path:
    """A list of 60 photos of 20 people."""
    photos = []
    for person in range(20):
        for turn in range(3):
            name = f"{person}/{turn}.png"
            write_photo(place / "known" / name, 100 + person, blur=0.15 * turn)
            photos.append((name, str(person)))
    return write_list(place / "known.identities.json", photos, landmarks_of())


def test_calibrate_measures_what_compare_uses(run: Run, measured: Path) -> None:
    plain = ("--load-weights", "plain.onnx")
    flags = ("calibrate", measured.name, "--data-roots", "known", *plain)
    result = run("recognize", *flags, "--save", "own.json")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(
        "60 photos of 20 people, 60 pairs of one person, 1,710 of two; 0 photos left out\n"
    )
    assert "--max-fmr may be 0.03 or more" in result.out
    rules = json.loads(Path("own.json").read_text())["rules"]
    rates = [point["fmr"] for point in rules["thresholds"]]
    assert rates == [0.3, 0.1, 0.03]
    # Counted again from the embeddings.
    model = pocketface.load("plain.onnx")
    assert isinstance(model, pocketface.FaceRecognizer)
    points = np.array(landmarks_of(), np.float32)[None]
    photos = [f"known/{person}/{turn}.png" for person in range(20) for turn in range(3)]
    rows = np.stack([model.predict(photo, points)[0].vector for photo in photos])
    strangers = (rows @ rows.T)[~np.kron(np.eye(20, dtype=bool), np.ones((3, 3), bool))]
    for point in rules["thresholds"]:
        assert (strangers >= point["cosine"]).mean() <= point["fmr"]
        assert (strangers >= point["cosine"] - 0.02).mean() > 0.5 * point["fmr"]
    own = ("--calibration", "own.json", "--max-fmr", "0.03")
    result = run("recognize", "compare", "anna.png", "in", *plain, *ONE, *own)
    assert result.code == 0
    assert "in/same.png: yes" in result.out
    assert "in/more/other.png: no" in result.out
    # The smallest rate is of that file, not of the model, and nobody may have typed the flag.
    result = run("recognize", "compare", "anna.png", "in", *plain, *ONE, *own[:2])
    assert result.code == 2
    assert "--max-fmr 0.001: expected 0.03, the smallest that was measured (own.json)" in result.err
    assert "without the flag it is the command's default" in result.err
    other = ("--load-weights", "other.onnx")
    result = run(
        "recognize", "compare", "anna.png", "in", *other, *ONE, "--calibration", "own.json"
    )
    assert result.code == 2
    assert "--calibration own.json: was measured of pixels (" in result.err


def test_calibrate_names_the_list_that_is_of_one_person(run: Run, measured: Path) -> None:
    content = json.loads(measured.read_text())
    content["photos"] = content["photos"][:3]
    measured.write_text(json.dumps(content))
    result = run("recognize", "calibrate", measured.name, "--data-roots", "known", *MODEL)
    assert result.code == 2
    assert "known.identities.json: 3 pairs of one person and 0 of two: expected" in result.err


def test_calibrate_saves_over_nothing_that_may_be_wanted(run: Run, measured: Path) -> None:
    flags = ("recognize", "calibrate", measured.name, "--data-roots", "known", *MODEL, "--save")
    Path("mine.json").write_text("my own notes")
    for name in (measured.name, "pixels.onnx", "known/0/0.png"):
        before = Path(name).read_bytes()
        result = run(*flags, name, "--force")
        assert result.code == 2
        assert f"--save {name}: is one of the files to be read" in result.err
        assert Path(name).read_bytes() == before
    result = run(*flags, "mine.json")
    assert (result.code, "--save mine.json: is there already" in result.err) == (2, True)
    assert run(*flags, "mine.json", "--force").code == 0
    assert "thresholds" in json.loads(Path("mine.json").read_text())["rules"]


def test_calibrate_refuses_too_few_people(run: Run, measured: Path) -> None:
    content = json.loads(measured.read_text())
    content["photos"] = content["photos"][:6]
    measured.write_text(json.dumps(content))
    result = run("recognize", "calibrate", measured.name, "--data-roots", "known", *MODEL)
    assert result.code == 2
    assert "known.identities.json: 9 pairs of two people: expected 100 or more" in result.err


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "model: Field required"),
        ("[]", "input should be an object"),
        ("nonsense", "Invalid JSON"),
        ('{"format": "other"}', "format: "),
    ],
)
def test_calibrations_that_are_none(run: Run, content: str, message: str) -> None:
    Path("own.json").write_text(content)
    flags = (*MODEL, *ONE, "--calibration", "own.json")
    result = run("recognize", "compare", "anna.png", "in", *flags)
    assert result.code == 2
    assert "--calibration own.json: " in result.err
    assert message.lower() in result.err.lower()


@pytest.mark.usefixtures("people")
def test_clusters_of_many_faces_are_warned_of(run: Run) -> None:
    flags = ("recognize", "cluster", "people", "--output", "out", *MODEL, *ONE)
    result = run(*flags, "--max-fmr", "0.5")
    assert "4 faces at --max-fmr 0.5: each is taken for one of about 2 strangers" in result.err
    assert "--max-fmr 0.2 makes purer folders" in result.err


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ("0.5", "--max-fmr 0.3, the smallest that was measured, makes that 1; sort fewer photos"),
        (
            "0.3",
            "that is the smallest rate that was measured: sort fewer photos at once, or `recog",
        ),
    ],
)
def test_no_rate_is_advised_that_cluster_refuses(run: Run, asked: str, advice: str) -> None:
    write_recognizer(
        Path("pixels.onnx"), **{**MEASURED, "thresholds": [{"fmr": 0.3, "cosine": 0.4}]}
    )
    flags = ("recognize", "cluster", "people", "--output", "out", *MODEL, *ONE)
    result = run(*flags, "--max-fmr", asked)
    assert result.code == 0
    assert advice in result.err
