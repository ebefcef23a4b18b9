"""From labelled photos to figures, by commands."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest
import skimage
import yaml

from pocketface.cli import main
from pocketface.model_templates import template_path
from pocketface.models.network import make_network
from pocketface.models.weights import read_weights, write_weights
from pocketface.tasks.templates import open_template

Run = Callable[..., Any]
ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
DETECTOR = template_path("face-detection-n").with_name("weights.safetensors")
GLASSES = template_path("glasses-n").with_name("weights.safetensors")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for label, photo in (("no_glass", ASTRONAUT), ("glass", HOPPER)):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        shutil.copy(photo, folder)
    return tmp_path / "photos"


def test_from_photos_to_figures(run: Run, photos: Path) -> None:
    (photos / "glass" / "broken.jpg").write_text("text")
    made = run("data", "glasses", "photos", "--output", "lists")
    assert made.code == 0
    assert made.out == (
        "written: lists/all.csv (2 photos, 0 without a face, 1 left out as unreadable)\n"
    )
    assert "left out: photos/glass/broken.jpg: not an image" in made.err
    with open("lists/all.csv", newline="") as file:
        rows = {row["label"]: row for row in csv.DictReader(file)}
    assert rows["glass"]["image"] == "glass/grace_hopper.jpg"
    assert float(rows["glass"]["x_left_eye"]) == pytest.approx(225, abs=8)
    measured = run(
        *("eval", "--template", "glasses-n", "--test-ann-files", "lists/all.csv"),
        *("--test-data-roots", "photos", "--save-metrics-to", "metrics.yaml"),
    )
    assert (measured.code, measured.err) == (0, "")
    assert "Balanced accuracy" in measured.out
    assert "100.00" in measured.out
    assert "balanced_accuracy" in Path("metrics.yaml").read_text()


@pytest.mark.usefixtures("photos")
def test_a_labelled_photo_shows_a_face(run: Run) -> None:
    """Be it fainter than the detector's own threshold asks for."""
    weights = read_weights(DETECTOR)
    strict, count = re.subn("score_threshold: .*", "score_threshold: 0.99", weights.template_text)
    assert count == 1
    state = weights.state_dict
    write_weights(Path("strict.safetensors"), template_text=strict, state_dict=state, epochs=0)
    for detector in ("strict.safetensors", str(DETECTOR)):
        command = ("data", "glasses", "photos", "--detector", detector, "--output", "lists")
        assert run(*command).out == "written: lists/all.csv (2 photos, 0 without a face)\n"


@pytest.mark.usefixtures("photos")
def test_a_detector_without_landmarks_makes_no_lists(run: Run) -> None:
    template = template_path("face-detection-0200")
    network = make_network(open_template(template).spec.architecture)
    text = template.read_text()
    write_weights(Path("ssd.pth"), template_text=text, state_dict=network.state_dict(), epochs=0)
    refused = run("data", "glasses", "photos", "--output", "lists", "--detector", "ssd.pth")
    assert (refused.code, refused.out) == (2, "")
    assert "ssd.pth: finds no landmarks, by which faces are aligned" in refused.err
    assert not Path("lists").exists()


@pytest.mark.usefixtures("photos")
def test_photos_of_a_list_that_are_not_there_do_not_count(run: Run) -> None:
    Path("some.csv").write_text("image,label\nphotos/glass/grace_hopper.jpg,1\ngone.jpg,0\n")
    done = run("data", "glasses", "some.csv", "--output", "lists")
    assert done.code == 0
    assert done.out == "written: lists/all.csv (1 photos, 0 without a face)\n"
    assert "some.csv: 1 of 2 photos are not in " in done.err
    assert done.err.rstrip().endswith("gone.jpg")


def test_names_that_lists_cannot_hold(run: Run, photos: Path) -> None:
    shutil.copy(HOPPER, photos / "glass" / os.fsdecode(b"h\xff.jpg"))
    done = run("data", "glasses", "photos", "--output", "lists")
    assert done.out.startswith("written: lists/all.csv (2 photos, 0 without a face")
    assert "its name is no UTF-8" in done.err
    measured = run("eval", "--template", "glasses-n", "--test-ann-files", "lists/all.csv",
                   "--test-data-roots", "photos")  # fmt: skip
    assert measured.code == 0


@pytest.mark.usefixtures("photos")
def test_mistakes_are_shown(run: Run) -> None:
    """One face of two has the wrong label here."""
    assert run("data", "glasses", "photos", "--output", "lists").code == 0
    text = Path("lists/all.csv").read_text()
    Path("lists/all.csv").write_text(text.replace("astronaut.png,no_glass", "astronaut.png,glass"))
    measured = run(
        *("eval", "--template", "glasses-n", "--test-ann-files", "lists/all.csv"),
        *("--test-data-roots", "photos", "--mistakes-to", "mistakes.png"),
    )
    assert (measured.code, measured.err) == (0, "")
    assert "written: mistakes.png" in measured.out
    sheet = cv2.imread("mistakes.png")
    assert sheet.shape == (158, 8 * 140, 3)
    assert sheet[18:, :140].mean() > 40
    assert sheet[:18, :140].max() == 255  # its caption
    assert sheet[:, 140:].max() == 0  # the other is right
    photo = Path("photos/no_glass/astronaut.png")
    refused = run(
        *("eval", "--template", "glasses-n", "--test-ann-files", "lists/all.csv"),
        *("--test-data-roots", "photos", "--mistakes-to", photo),
    )
    assert (refused.code, "is there already, and no such sheet" in refused.err) == (2, True)
    assert photo.read_bytes() == ASTRONAUT.read_bytes()
    other = shutil.copy(ASTRONAUT, "other.png")
    Path("notes.txt").write_text("mine")
    words = ("eval", "--template", "glasses-n", "--test-ann-files", "lists/all.csv")
    for name, why in (("other.png", "no such sheet"), ("notes.txt", "a name that ends in .png")):
        refused = run(*words, "--test-data-roots", "photos", "--mistakes-to", name)
        assert refused.code == 2
        assert f"--mistakes-to {name}: " in refused.err
        assert why in refused.err
    assert Path(other).read_bytes() == ASTRONAUT.read_bytes()
    assert Path("notes.txt").read_text() == "mine"
    done = run(*words, "--test-data-roots", "photos", "--mistakes-to", "mistakes.png")
    assert done.code == 0


@pytest.mark.usefixtures("photos")
def test_from_which_score_on_they_are_glasses(run: Run) -> None:
    assert run("data", "glasses", "photos", "--output", "lists").code == 0
    lists = ("--test-ann-files", "lists/all.csv", "--test-data-roots", "photos")
    command = ("eval", "--template", "glasses-n", *lists, "--save-metrics-to", "m.yaml")
    assert run(*command, "--score-threshold", "1").code == 0
    content = yaml.safe_load(Path("m.yaml").read_text())
    figures = {entry["key"]: entry["value"] for entry in content["metrics"]}
    assert (figures["balanced_accuracy"], figures["f1"]) == (50, 0)  # nobody wears them
    assert content["protocol"]["score_threshold"] == 1
    refused = run(*command, "--nms-iou", "0.1")
    assert refused.code == 2
    assert "--nms-iou: " in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("eval", "--template", "face-detection-n", "--mistakes-to", "o.png"),
            "nothing to measure on",
        ),
        (("data", "glasses", "photos/glass", "--output", "o"), "expected a folder with folders"),
        (("data", "glasses", "none", "--output", "o"), "none: no such file or folder; expected a"),
        (("data", "glasses", "none.csv", "--output", "o"), "none.csv: no such file or folder"),
        (
            ("data", "glasses", "photos", "--output", "photos/glass/grace_hopper.jpg/o"),
            "--output photos/glass/grace_hopper.jpg/o: cannot be written",
        ),
        (
            ("data", "glasses", "photos", "--output", "o", "--test-fraction", "0.2"),
            "--test-fraction 0.2: photos does not say who is in its photos",
        ),
        (
            (
                *("visualize", "--template", "glasses-n", "--video", "photos", "--no-show"),
                *("--detector", str(GLASSES)),
            ),
            "is for face-classification; expected a face detector",
        ),
        (
            ("eval", "--template", "glasses-n", "--wider-dir", "photos"),
            "is for face-classification, not a detector",
        ),
        (("eval", "--template", "glasses-n"), "nothing to measure on"),
        (
            ("export", "--template", "glasses-n", "--with-nms", "--save-model-to", "o"),
            "NMS inside: glasses-n finds no boxes",
        ),
        (
            (
                *("export", "--template", "face-detection-n", "--with-nms"),
                *("--formats", "torchscript", "--save-model-to", "o"),
            ),
            "NMS inside: formats torchscript cannot hold it; expected some of openvino, onnx",
        ),
    ],
)
@pytest.mark.usefixtures("photos")
def test_bad_input(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert not Path("o").exists()


@pytest.mark.usefixtures("photos")
def test_visualize_labels_the_faces(run: Run) -> None:
    shown = run("visualize", "--template", "glasses-n", "--video", "photos", "--no-show")
    assert shown.code == 0
    assert "grace_hopper.jpg: 1 face, 1 glass\n" in shown.out
    assert "astronaut.png: 1 face, 1 no_glass\n" in shown.out
    for photo, label, colour in ((HOPPER, "glass", "orange"), (ASTRONAUT, "no_glass", "green")):
        one = ("--video", photo, "--no-show", "--output", f"{label}.png")
        assert f"  {label} 0.9" in run("visualize", "--template", "glasses-n", *one).out
        drawn = cv2.imread(f"{label}.png").astype(int)
        counts = {
            "orange": (np.abs(drawn - (40, 140, 255)).max(2) < 3).sum(),
            "green": (np.abs(drawn - (80, 220, 60)).max(2) < 3).sum(),
        }
        assert max(counts, key=lambda name: counts[name]) == colour
        assert min(counts.values()) < 50 < 500 < max(counts.values())


def test_names_that_are_no_text(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"h\xff.jpg")
    shutil.copy(HOPPER, photos / name)
    done = run("classify", photos, "--csv", "all.csv", "--copy-to", "copies")
    assert done.code == 0
    assert (Path("copies") / name).is_file()
    assert b"h\xff.jpg,glass" in Path("all.csv").read_bytes()
    printed = io.BytesIO()
    strict = io.TextIOWrapper(printed, encoding="utf-8", errors="strict")  # as a terminal's
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", strict)
        assert main(["classify", str(photos / name)]) == 0
    assert printed.getvalue() == os.fsencode(photos / name) + b"\n"


def test_a_photo_that_is_named_twice_is_looked_at_once(run: Run, photos: Path) -> None:
    one = photos / "glass" / HOPPER.name
    done = run("classify", one, photos / ".." / "photos" / "glass" / HOPPER.name)
    assert done.out == f"{one}\n"


@pytest.mark.usefixtures("photos")
def test_lists_do_not_choose_where_they_go(run: Run) -> None:
    for part, code in (("../../escaped", 2), ("/tmp/escaped", 2), ("a/b", 2), ("mine-2", 0)):
        text = f"image,label,split\nglass/{HOPPER.name},glass,{part}\n"
        Path("photos/some.csv").write_text(text, encoding="utf-8-sig")
        done = run("data", "glasses", "photos/some.csv", "--output", "deep/lists")
        assert done.code == code
        if code:
            assert f"photos/some.csv:2: split {part!r}: expected letters, digits" in done.err
            assert not Path("deep").exists()
    assert Path("deep/lists/mine-2.csv").is_file()


@pytest.mark.usefixtures("photos")
def test_a_list_does_not_take_the_place_of_its_source(run: Run) -> None:
    text = f"image,label,split\nglass/{HOPPER.name},glass,test\n"
    Path("photos/test.csv").write_text(text)
    done = run("data", "glasses", "photos/test.csv", "--output", "photos")
    assert done.code == 2
    assert "--output photos: test.csv would take the place of photos/test.csv" in done.err
    assert Path("photos/test.csv").read_text() == text


@pytest.mark.usefixtures("photos")
def test_a_faint_face_does_not_count(run: Run) -> None:
    flags = ("classify", "photos", "--csv", "all.csv", "--face-score", "0.99")
    none = run(*flags)
    assert (none.code, none.out) == (0, "")
    written = Path("all.csv").read_text()
    assert written.count("no_face") == 2
    Path("all.csv").write_text("my own notes")
    refused = run(*flags)
    assert (refused.code, "--csv all.csv: is there already" in refused.err) == (2, True)
    assert Path("all.csv").read_text() == "my own notes"
    assert run(*flags, "--force").code == 0
    assert Path("all.csv").read_text() == written


def test_classify_prints_the_photos_with_glasses(run: Run, photos: Path) -> None:
    (photos / "broken.jpg").write_text("text")
    cv2.imwrite(str(photos / "empty.png"), np.full((60, 80, 3), 90, np.uint8))
    two = [cv2.resize(cv2.imread(str(one)), (400, 400)) for one in (ASTRONAUT, HOPPER)]
    cv2.imwrite(str(photos / "two.png"), np.hstack(two))
    result = run("classify", "photos", "--csv", "out.csv", "--copy-to", "worn")
    assert result.code == 0
    assert result.out.splitlines() == ["photos/glass/grace_hopper.jpg", "photos/two.png"]
    assert result.err.count("broken.jpg") == 1
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    answers = {row["image"]: (row["answer"], row["faces"]) for row in rows}
    assert answers == {
        "photos/empty.png": ("no_face", "0"),
        "photos/glass/grace_hopper.jpg": ("glass", "1"),
        "photos/no_glass/astronaut.png": ("no_glass", "1"),
        "photos/two.png": ("glass", "2"),
    }
    both = {row["label"]: float(row["x1"]) for row in rows if row["image"] == "photos/two.png"}
    assert both["no_glass"] < 400 < both["glass"]
    copied = {path.relative_to("worn").as_posix() for path in Path("worn").rglob("*.*")}
    assert copied == {"glass/grace_hopper.jpg", "two.png"}
    assert Path("worn/glass/grace_hopper.jpg").read_bytes() == HOPPER.read_bytes()


def test_copies_overwrite_nothing(run: Run, photos: Path) -> None:
    Path("worn").mkdir()
    Path("worn/grace_hopper.jpg").write_text("mine")
    single = str(photos / "glass" / "grace_hopper.jpg")
    for _ in range(2):
        assert run("classify", single, single, "--copy-to", "worn").out == f"{single}\n"
    names = sorted(path.name for path in Path("worn").iterdir())
    assert names == ["grace_hopper-2.jpg", "grace_hopper.jpg"]
    assert Path("worn/grace_hopper.jpg").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.jpg",), "none.jpg: no such file or folder"),
        (("empty",), "empty: no photo in there"),
        (("photos", "--copy-to", "photos/worn"), "--copy-to photos/worn: lies in photos, among"),
        (("photos", "--copy-to", "file"), "--copy-to file: cannot be written: file is in the way"),
        (("photos", "--csv", "file/out.csv"), "--csv file/out.csv: cannot be written"),
        (("photos", "--csv", "out.xlsx"), "--csv out.xlsx: expected a name that ends in .csv or"),
        (("photos", "--csv", "empty"), "--csv empty: cannot be written"),
        (("photos", "--csv", "/dev/null"), "--csv /dev/null: cannot be written: /dev/null is in"),
        (("file", "--csv", "out.csv"), "none of the 1 photos could be read"),
        (("file", "--csv", "empty/../file"), "--csv empty/../file: is one of the files"),
        (("",), "expected a path, found ''"),
        (("p" * 300,), "File name too long"),
        (("photos", "--threads", "9999"), "threads 9999: expected 1 to"),
        (
            ("photos", "--template", "face-detection-n"),
            "is for face-detection; expected a face classifier",
        ),
        (("photos", "--detector", "file"), "file: unknown kind of model file"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_what_classify_refuses(run: Run, arguments: tuple[str, ...], message: str) -> None:
    Path("empty").mkdir()
    Path("file").write_text("")
    result = run("classify", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert not Path("out.csv").exists()


def test_memory_stays_flat(photos: Path) -> None:
    """Of sixty photos of 3 megapixels, and of what was found in them, only a few are held."""
    script = """
import resource, sys
import numpy as np
from pocketface import cli
from pocketface.apps import classify
from pocketface.results import Detections

class Crowds:
    positive = "glass"
    def answer(self, images):  # 6 MB each
        return [
            ("no_face", Detections(np.ones((300_000, 4), "f4"), np.ones(300_000, "f4")), ())
            for _ in images
        ]

classify.PhotoClassifier.open = lambda *_, **__: Crowds()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
# Five rounds: while one is answered, photos of the next are decoded.
files = ["--load-weights", sys.argv[1], "--detector", sys.argv[1]]  # nobody opens them
assert cli.main(["classify", *files, *sys.argv[1:41]]) == 0
before = peak()
for more in ([], ["--csv", "all.csv"]):
    assert cli.main(["classify", *files, *sys.argv[1:], *more]) == 0
print(peak() - before)
"""
    large = photos / "large.jpg"
    cv2.imwrite(str(large), np.full((1500, 2000, 3), 90, np.uint8))
    many = [photos / f"{number}.jpg" for number in range(60)]
    for one in many:
        one.hardlink_to(large)
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, many)], capture_output=True, text=True, check=True
    )
    # One such photo decoded is 9 MB; sixty would be 500,000 kB, and what was found 360,000.
    assert int(done.stdout) < 100_000
    assert len(Path("all.csv").read_text().splitlines()) == 61


@pytest.mark.usefixtures("photos")
def test_weights_of_another_classifier_need_no_template(run: Run) -> None:
    weights = template_path("glasses-cnn").with_name("weights.safetensors")
    result = run("classify", "photos", "--load-weights", weights)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == ["photos/glass/grace_hopper.jpg"]
