"""First labels for one's own photos, by a detector."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest
import skimage

from pocketface.data.coco import read_coco
from pocketface.model_templates import template_path
from pocketface.tasks.templates import open_template

Run = Callable[..., Any]
ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
CLASSIFIER = template_path("glasses-n").with_name("weights.safetensors")
DETECTOR = template_path("face-detection-n").with_name("weights.safetensors")
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    shutil.copy(ASTRONAUT, folder)
    shutil.copy(HOPPER, folder / "more")
    cv2.imwrite(str(folder / "empty.png"), np.full((90, 120, 3), 128, np.uint8))
    return folder


def test_photos_become_what_training_reads(run: Run, photos: Path) -> None:
    (photos / "broken.jpg").write_text("text")
    made = run("data", "label", photos, "--output", "new/faces.json", "--score", "0.8")
    assert made.code == 0
    assert made.out.startswith("written: new/faces.json (3 photos, 2 faces, ")
    assert made.out.endswith(" perhaps faces; 1 left out as unreadable)\n")
    assert "left out: " in made.err
    read = read_coco([Path("new/faces.json")], [photos])
    assert not read.skipped
    by_name = {photo.path.name: photo for photo in read.photos}
    assert list(by_name) == ["astronaut.png", "empty.png", "grace_hopper.jpg"]
    assert len(by_name["empty.png"].boxes) == 0
    astronaut = by_name["astronaut.png"]
    box = astronaut.boxes[~astronaut.ignore][0]
    np.testing.assert_allclose(box, [178, 60, 273, 178], atol=15)
    nose = astronaut.landmarks[~astronaut.ignore][0, 2]
    assert (box[:2] < nose).all()
    assert (nose < box[2:]).all()


def test_fainter_ones_are_to_be_ignored(run: Run, photos: Path) -> None:
    assert run("data", "label", photos, "--output", "faces.json", "--score", "0.99").code == 0
    content = json.loads(Path("faces.json").read_text())
    assert content["annotations"]
    assert all(one["iscrowd"] and one["score"] < 0.99 for one in content["annotations"])
    (photo,) = (
        one for one in read_coco([Path("faces.json")], [photos]).photos if "astro" in one.path.name
    )
    assert photo.ignore.all()


def test_faces_and_perhaps_faces_begin_at_the_scores_asked_for(
    run: Run, tmp_path: Path, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("white").mkdir()
    assert cv2.imwrite("white/a.png", np.full((80, 160, 3), 255, np.uint8))
    boxes = [[left, 10.0, left + 20.0, 30.0] for left in (10.0, 40.0, 70.0, 100.0)]
    file = make_model(boxes, [0.875, 0.75, 0.5, 0.25])
    scores = ("--score", "0.75", "--unsure", "0.5")
    made = run("data", "label", "white", "--detector", file, "--output", "faces.json", *scores)
    assert made.out == "written: faces.json (1 photos, 2 faces, 1 perhaps faces)\n"
    found = json.loads(Path("faces.json").read_text())["annotations"]
    assert [(one["score"], one["iscrowd"]) for one in found] == [(0.875, 0), (0.75, 0), (0.5, 1)]


def test_a_file_with_its_own_threshold(run: Run, photos: Path, onnx_files: dict[str, Path]) -> None:
    """With NMS inside, it gives nothing below the threshold: nothing is unsure by default."""
    flags = ("--detector", onnx_files["nms"], "--output", "faces.json")
    made = run("data", "label", photos, *flags)
    assert (made.code, made.err) == (0, "")
    assert made.out == "written: faces.json (3 photos, 2 faces, 0 perhaps faces)\n"
    Path("faces.json").unlink()
    threshold = open_template(template_path("face-detection-n")).spec.inference["score_threshold"]
    assert run("data", "label", photos, *flags, "--unsure", "0.1").err.strip() == (
        f"pocketface: error: --unsure 0.1: expected {threshold:g} or more, and no more than "
        f"--score {threshold:g}"
    )
    result = run("data", "label", photos, *flags, "--score", "0.1")
    assert f"error: --score 0.1: model_nms.onnx gives no face below {threshold:g}" in result.err


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("photos", "--output", "old.json"), "old.json: is there already; expected"),
        (("photos", "--output", "link.json"), "link.json: is there already; expected"),
        (("photos", "--output", "old.json/new.json"), "old.json is in the way"),
        (("photos", "--output", "new"), "--output new: expected a name that ends in .json"),
        (
            ("photos", "--output", "new.json", "--unsure", "0.5", "--score", "0.1"),
            "--unsure 0.5: expected 0 or more, and no more than --score 0.1",
        ),
        (
            ("photos", "--output", "new.json", "--detector", CLASSIFIER),
            "is for face-classification; expected a face detector",
        ),
        (("nothing", "--output", "new.json"), "nothing: no such folder"),
        (("blank", "--output", "new.json"), "blank: no photo in it that can be read"),
    ],
)
def test_what_cannot_be_labelled(arguments: tuple[str, ...], message: str, run: Run) -> None:
    if "--detector" not in arguments:
        arguments += ("--detector", DETECTOR)  # smaller than the default
    Path("old.json").write_text("corrected")
    Path("link.json").symlink_to("nowhere.json")
    Path("blank").mkdir()
    made = run("data", "label", *arguments)
    assert made.code == 2
    assert message in made.err
    assert Path("old.json").read_text() == "corrected"
    assert not Path("new.json").exists()
