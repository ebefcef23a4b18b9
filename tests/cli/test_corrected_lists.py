"""Lists that were corrected by hand stay as they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of two people, one of them with glasses; their masks; and one of WIDER's layout."""
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((112, 112), np.uint8)
    mask[30:80, 30:80] = 1
    for person in ("glass", "no_glass"):
        for kind, pixels in (("photos", np.full((112, 112, 3), 90, np.uint8)), ("masks", mask)):
            Path(kind, person).mkdir(parents=True)
            Image.fromarray(pixels).save(f"{kind}/{person}/a.png")
    Path("wider_face_split").mkdir()
    listed = "0--A/a.png\n1\n10 20 30 40 0 0 0 0 0 0\n"
    Path("wider_face_split/wider_face_val_bbx_gt.txt").write_text(listed)
    shutil.copytree("photos/glass", "WIDER_val/images/0--A")


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("identities photos --aligned --test-fraction 0.5", "train.identities.json"),
        ("masks photos masks --classes face=1 --in-place", "all.masks.json"),
        ("wider .", "wider_val.json"),
        ("glasses photos", "all.csv"),
    ],
)
def test_a_second_run_replaces_no_list_but_an_equal_one(
    command: str, file: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "lists" / file
    asked = ["data", *command.split(), "--output", "lists"]
    for _ in range(2):
        assert run(*asked).code == 0
    corrected = path.read_text().replace("a.png", "b.png")
    path.write_text(corrected)
    others = {other: other.stat().st_mtime_ns for other in path.parent.iterdir()}
    refused = run(*asked)
    assert refused.code == 2
    assert f"--output lists: its {file} is there already, and is another; expected" in refused.err
    assert path.read_text() == corrected
    assert {other: other.stat().st_mtime_ns for other in path.parent.iterdir()} == others


def test_masks_go_into_a_folder_without_a_list(run: Run) -> None:
    shutil.copytree("masks", "lists/old")
    Path("lists/train.masks.json").write_text("mine")
    made = run("data", "masks", "photos", "masks", "--classes", "face=1", "--output", "lists")
    assert made.code == 2
    assert "--output lists: its train.masks.json is there already; expected a new" in made.err
    assert sorted(path.name for path in Path("lists").iterdir()) == ["old", "train.masks.json"]
