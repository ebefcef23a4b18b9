"""`pocketface visualize --gallery`: known people are named in photos and videos."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

import pocketface
from pocketface.apps import recognize_people
from pocketface.apps.recognize_calibration import write_calibration
from pocketface.apps.recognize_find import FoundFace
from pocketface.apps.recognize_people import one_each
from pocketface.apps.recognize_verdict import Verdict

from ..pixel_recognizer import MEASURED, write_detector, write_photo, write_recognizer
from ..videos import write_video

Run = Callable[..., Any]

ANNA, BERT, CARL = 1, 2, 3
ONE, TWO = ("--detector", "one.onnx"), ("--detector", "two.onnx")
MODEL = ("--load-weights", "pixels.onnx")
LOOK = ("visualize", "--no-show", *MODEL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_recognizer(folder / "pixels.onnx", **MEASURED)
    write_recognizer(folder / "plain.onnx")
    write_recognizer(folder / "other.onnx", name="other", **MEASURED)
    write_detector(folder / "one.onnx", 40)
    write_detector(folder / "two.onnx", 40, 40)
    write_photo(folder / "people/Anna/0.png", ANNA)
    write_photo(folder / "people/Bert/0.png", BERT)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert run("recognize", "enroll", "a.gallery", "people", *MODEL, *ONE).code == 0
    return tmp_path


pytestmark = pytest.mark.usefixtures("place")


def results(text: str) -> dict[float, dict[str, Any]]:
    """Of a line of JSON: what is said of the face at each left edge."""
    return {face["box"][0]: face["result"] for face in json.loads(text)["faces"]}


def test_people_of_a_photo_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photo(Path("both.png"), ANNA, CARL, blur=0.1)
    flags = (*LOOK, "both.png", "--gallery", "a.gallery", *TWO)
    said = results(run(*flags, "--json").out)
    assert (said[15]["answer"], said[15]["name"], said[15]["small"]) == ("known", "Anna", False)
    assert 0.8 < said[15]["similarity"] <= 1
    assert 0 < said[15]["probability"] < 1
    assert (said[65]["answer"], said[65]["name"]) == ("unknown", None)

    drawn: list[Any] = []
    draw = recognize_people.draw_verdicts
    monkeypatch.setattr(
        recognize_people,
        "draw_verdicts",
        lambda *given, captions: drawn.append(captions) or draw(*given, captions=captions),
    )
    result = run(*flags, "--output", "drawn.png")
    assert (result.code, result.err) == (0, "")
    first, *faces, _ = result.out.splitlines()
    assert first == "both.png: 2 faces, 1 Anna, 1 unknown"
    chance = f"{said[15]['probability']:.0%}"
    assert f"Anna ({chance}, similarity {said[15]['similarity']:.2f})" in faces[1]
    assert faces[0].endswith("  unknown")
    assert [sorted(face[0] for face in captions) for captions in drawn] == [
        [f"Anna {chance}", "unknown"]
    ]
    assert (cv2.imread("drawn.png") != cv2.imread("both.png")).any()


def test_nobody_is_twice_in_a_photo(run: Run) -> None:
    """The better face keeps the name."""
    write_photo(Path("mirror.png"), ANNA, ANNA, blur=0.1)
    better, worse = cv2.imread("people/Anna/0.png"), cv2.imread("mirror.png")
    worse[20:60, 15:55] = better[20:60, 15:55]
    cv2.imwrite("mirror.png", worse)
    flags = (*LOOK, "mirror.png", "--gallery", "a.gallery", *TWO)
    said = results(run(*flags, "--json").out)
    assert [said[x]["answer"] for x in (15, 65)] == ["known", "unsure"]
    assert {one["name"] for one in said.values()} == {"Anna"}
    assert said[65]["similarity"] > 0.8
    assert run(*flags).out.startswith("mirror.png: 2 faces, 1 Anna, 1 unknown?\n")


@pytest.mark.parametrize("first", [True, False])
def test_who_keeps_a_name(first: bool) -> None:
    sure = FoundFace("Anna", Verdict("yes", 0.8, None, small=False))
    perhaps = FoundFace("Anna", Verdict("unsure", 0.79, None, small=False))
    small = FoundFace("Anna", Verdict("unsure", 0.99, None, small=True))
    other = FoundFace("Bert", Verdict("yes", 0.9, None, small=False))
    faces = [sure, perhaps] if first else [perhaps, sure]
    said = {one.found.verdict.similarity: one.said for one in one_each([*faces, small, other])}
    assert said == {0.8: "Anna", 0.79: "unknown?", 0.99: "?", 0.9: "Bert"}


def test_people_of_a_video_are_named(run: Run) -> None:
    for number, person in enumerate((ANNA, BERT, CARL)):
        write_photo(Path(f"frames/{number}.png"), person)
    frames = [cv2.imread(f"frames/{number}.png") for number in range(3)]
    write_video(Path("all.mp4"), frames, options={}, codec="ffv1", pix_fmt="bgr0")
    flags = (*LOOK, "all.mp4", "--gallery", "a.gallery", *ONE)
    result = run(*flags, "--json", "--output", "drawn.mp4")
    assert (result.code, result.err) == (0, "")
    said = [json.loads(line)["faces"][0]["result"]["name"] for line in result.out.splitlines()]
    assert said == ["Anna", "Bert", None]
    assert Path("drawn.mp4").stat().st_size > 0


def test_in_a_video_a_face_stays_known_through_a_bad_frame(run: Run) -> None:
    for number, blur in enumerate((0.0, 0.5)):
        write_photo(Path(f"frames/{number}.png"), ANNA, blur=blur)
    frames = [cv2.imread(f"frames/{number}.png") for number in range(2)]
    write_video(Path("all.mp4"), frames, options={}, codec="ffv1", pix_fmt="bgr0")

    def said(source: str) -> list[str]:
        result = run(*LOOK, source, "--gallery", "a.gallery", *ONE, "--json")
        return [
            json.loads(line)["faces"][0]["result"]["answer"] for line in result.out.splitlines()
        ]

    assert said("all.mp4") == ["known", "known"]
    assert said("frames") == ["known", "unsure"]  # photos have nothing to do with each other


def test_without_a_gallery_faces_alone_are_drawn(run: Run) -> None:
    result = run(*LOOK, "people/Anna/0.png", *ONE, "--output", "drawn.png")
    assert (result.code, result.err) == (0, "")
    assert "Anna/0.png: 1 face\n" in result.out
    assert (cv2.imread("drawn.png") != cv2.imread("people/Anna/0.png")).any()


def test_a_rate_of_ones_own(run: Run) -> None:
    write_photo(Path("blurred.png"), ANNA, blur=0.5)
    flags = (*LOOK, "blurred.png", "--gallery", "a.gallery", *ONE)
    assert run(*flags).out.startswith("blurred.png: 1 face, 1 Anna?\n")
    assert run(*flags, "--max-fmr", "0.01").out.startswith("blurred.png: 1 face, 1 Anna\n")
    assert "up to 19 % of strangers" in run(*flags, "--max-fmr", "0.1").err


def test_what_was_measured_by_oneself(run: Run) -> None:
    model = pocketface.load("pixels.onnx")
    assert isinstance(model, pocketface.FaceRecognizer)
    write_calibration(Path("own.json"), model, model.rules)
    plain = ("visualize", "--no-show", "--load-weights", "plain.onnx", "people/Bert/0.png", *ONE)
    result = run(*plain, "--gallery", "a.gallery", "--calibration", "own.json")
    assert result.out.startswith("people/Bert/0.png: 1 face, 1 Bert\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*MODEL, "--gallery", "no.gallery"), "no.gallery: no such gallery"),
        ((*MODEL, "--gallery", "one.onnx"), "one.onnx: expected a name that ends"),
        (
            ("--load-weights", "other.onnx", "--gallery", "a.gallery"),
            "a.gallery: its embeddings are of pixels",
        ),
        (
            ("--load-weights", "one.onnx", "--gallery", "a.gallery"),
            "--gallery a.gallery: one.onnx is for face-detection; expected a face recogniser",
        ),
        (
            ("--load-weights", "plain.onnx", "--gallery", "a.gallery"),
            "plain.onnx: its thresholds were never measured",
        ),
        ((*MODEL, "--gallery", "a.gallery", "--max-fmr", "2"), "--max-fmr 2: expected a share"),
        ((*MODEL, "--max-fmr", "0.01"), "--max-fmr 0.01: goes with --gallery alone"),
        ((*MODEL, "--calibration", "x"), "--calibration x: goes with --gallery alone"),
    ],
)
def test_what_is_refused(run: Run, arguments: tuple[str, ...], message: str) -> None:
    detector = () if "one.onnx" in arguments else ONE
    result = run("visualize", "--no-show", "people/Anna/0.png", *arguments, *detector)
    assert (result.code, result.out) == (2, "")
    error, *hints = result.err.splitlines()
    assert error.startswith("pocketface: error: ")
    assert message in error
    assert all(hint.startswith("hint: ") for hint in hints)
