"""`pocketface data masks` and `data celebamask`: what they print, refuse and leave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import skimage
from PIL import Image

Run = Callable[..., Any]
ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two portraits and a grey wall with masks, and the same as COCO."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "labels"):
        (tmp_path / name).mkdir()
    shutil.copy(ASTRONAUT, "photos")
    shutil.copy(HOPPER, "photos")
    Image.new("RGB", (64, 48), (128, 128, 128)).save("photos/wall.png")
    images, shapes = [], []
    for place, path in enumerate(sorted((tmp_path / "photos").iterdir())):
        with Image.open(path) as photo:
            width, height = photo.size
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = 1
        Image.fromarray(mask).save(f"labels/{path.stem}.png")
        images.append({"id": place, "file_name": path.name, "width": width, "height": height})
        polygon = [0, 0, width / 2, 0, width / 2, height / 2]
        shapes.append({"image_id": place, "category_id": 1, "segmentation": [polygon]})
    content = {"images": images, "annotations": shapes, "categories": [{"id": 1, "name": "face"}]}
    Path("coco.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.usefixtures("folders")
def test_from_photos_to_a_list(run: Run) -> None:
    made = run(
        "data", "masks", "photos", "labels", "--classes", "face=1", "--align", "--output", "new"
    )
    assert made.code == 0
    assert made.out == "written: new/all.masks.json (2 photos; data root new)\n"
    assert "1 x photo in which no face was found (first: wall.png (64x48)" in made.err
    pairs = json.loads(Path("new/all.masks.json").read_text())["pairs"]
    points = {pair["image"]: pair.get("landmarks") for pair in pairs}
    assert points.keys() == {"images/astronaut.png", "images/grace_hopper.jpg"}
    assert not Path("new/images/wall.png").exists()
    nose = points["images/astronaut.png"][2]
    assert nose == pytest.approx([217, 130], abs=20)
    again = run("data", "masks", "photos", "labels", "--classes", "face=1", "--output", "new")
    assert again.code == 2
    assert "--output new: its images is there already; expected a new folder" in again.err


def test_in_place_and_split(run: Run, folders: Path) -> None:
    made = run(
        "data", "masks", "photos", "labels", "--classes", "face=1", "--in-place",
        "--test-fraction", "0.34", "--seed", "4", "--output", "lists",
    )  # fmt: skip
    assert made.code == 0
    assert made.out == (
        f"written: lists/test.masks.json (1 photos; data root {folders})\n"
        f"written: lists/train.masks.json (2 photos; data root {folders})\n"
    )
    assert sorted(path.name for path in Path("lists").iterdir()) == [
        "test.masks.json",
        "train.masks.json",
    ]


@pytest.mark.usefixtures("folders")
def test_from_coco_to_a_list(run: Run) -> None:
    pytest.importorskip("faster_coco_eval")
    made = run("data", "masks", "coco.json", "--photos", "photos", "--output", "new")
    assert (made.code, made.out) == (
        0,
        "written: new/all.masks.json (3 photos; data root new)\n",
    )


@pytest.mark.usefixtures("folders")
def test_from_the_official_layout(run: Run) -> None:
    for name in ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno/0"):
        Path("set", name).mkdir(parents=True)
    Image.new("RGB", (1024, 1024)).save("set/CelebA-HQ-img/3.jpg")
    skin = Image.new("RGB", (512, 512))
    skin.paste((255, 255, 255), (100, 100, 400, 400))
    skin.save("set/CelebAMask-HQ-mask-anno/0/00003_skin.png")
    made = run("data", "celebamask", "set", "--output", "pairs", "--size", "64")
    assert (made.code, made.out) == (
        0,
        "written: pairs/all.masks.json (1 photos; data root pairs)\n",
    )
    with Image.open("pairs/masks/00003.png") as mask:
        assert mask.size == (64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos"], "photos: expected the folder of masks after it"),
        (["photos", "labels"], "photos: expected --classes, as in face=1"),
        (["photos", "labels", "--classes", "face"], "--classes face: expected NAME=VALUE"),
        (
            ["photos", "labels", "--classes", "face=1", "--photos", "photos"],
            "--photos photos: goes with COCO JSON; photos is a folder",
        ),
        (
            ["photos", "labels", "--classes", "face=1", "--detector", "face-detection-n"],
            "--detector face-detection-n: goes with --align",
        ),
        (
            ["photos", "labels", "--classes", "face=1", "--test-fraction", "1"],
            "--test-fraction: expected a number above 0 and below 1, found '1'",
        ),
        (["photos", "labels", "--classes", "hair=2"], "--classes does not name 1 ("),
        (["coco.json"], "coco.json: expected a folder of photos, or COCO JSON with --photos"),
        (["coco.json", "labels"], "coco.json: MASKS goes with a folder of photos"),
        (["coco.json", "--photos", "photos", "--in-place"], "--in-place goes with a folder"),
        (["coco.json", "--photos", "photos", "--list", "a.csv"], "--list goes with a folder"),
        (["gone", "labels", "--classes", "face=1"], "gone: no such file or folder"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, run: Run, folders: Path) -> None:
    made = run("data", "masks", *arguments, "--output", "new")
    assert made.code == 2
    assert made.out == ""
    assert message in made.err
    assert not list(folders.rglob("*.masks.json"))


@pytest.mark.parametrize("command", ["train", "eval", "compress", "benchmark", "diagnose"])
def test_help_says_which_lists_a_segmenter_wants(command: str, run: Run) -> None:
    assert ".masks.json for a segmenter" in " ".join(run(command, "--help").out.split())
