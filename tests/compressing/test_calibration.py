"""Which photos ranges come from."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.compressing.calibration import calibrate
from pocketface.data.coco import Photo
from pocketface.data.labelled_faces import read_labelled_faces
from pocketface.errors import DataError
from pocketface.model_templates import template_path
from pocketface.model_templates.contract import Contract
from pocketface.tasks.describe import contract_for
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template


def contract(name: str) -> Contract:
    return contract_for(open_template(template_path(name)).spec)


def photo(folder: Path, number: int, *, face: float, ignore: bool = False) -> Photo:
    """640 x 640, which is the network's input, with one face."""
    path = folder / f"{number}.png"
    assert cv2.imwrite(str(path), np.full((640, 640, 3), number % 250, np.uint8))
    return Photo(
        path=path,
        image_id=number,
        width=640,
        height=640,
        boxes=np.float32([[0, 0, face, face]]) if face else np.zeros((0, 4), np.float32),
        ignore=np.full(int(face > 0), ignore),
        landmarks=np.full((int(face > 0), 5, 2), np.nan, np.float32),
    )


def test_all_sizes_of_faces_alike(tmp_path: Path) -> None:
    sides = [10] * 20 + [40] * 3 + [300] * 7
    photos = [photo(tmp_path, number, face=side) for number, side in enumerate(sides)]
    photos += [photo(tmp_path, 100, face=0), photo(tmp_path, 101, face=50, ignore=True)]
    found = calibrate(contract("face-detection-n"), photos, count=9, seed=1)
    chosen = [sides[int(Path(name).stem)] for name in found.photos]
    assert sorted(chosen) == [10] * 3 + [40] * 3 + [300] * 3
    assert [batch.shape for batch in found.batches] == [(1, 3, 640, 640)] * 9
    for name, batch in zip(found.photos, found.batches, strict=True):
        assert (batch == int(Path(name).stem)).all()
    again = calibrate(contract("face-detection-n"), photos, count=9, seed=1)
    other = calibrate(contract("face-detection-n"), photos, count=9, seed=2)
    assert again.photos == found.photos != other.photos
    most = calibrate(contract("face-detection-n"), photos, count=99)
    assert sorted(int(Path(name).stem) for name in most.photos) == list(range(30))


def test_damaged_photos_are_replaced_and_too_few_are_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = [photo(tmp_path, number, face=20) for number in range(6)]
    for number in (0, 1):
        (tmp_path / f"{number}.png").write_text("text")
    with caplog.at_level(logging.WARNING):
        found = calibrate(contract("face-detection-n"), photos, count=5)
    assert (len(found.batches), found.unreadable, found.asked) == (4, 2, 5)
    assert "0.png: not an image" in caplog.text
    assert "4 photos instead of 5: there are no more" in caplog.text
    with pytest.raises(DataError, match=r"2 of 3 photos cannot be used: .*\.png: not an image"):
        calibrate(contract("face-detection-n"), photos[:3])


def test_roots_of_either_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        Path(folder).mkdir()
    photos = [photo(tmp_path / "a", 1, face=40), photo(Path("b"), 2, face=40)]
    found = calibrate(contract("face-detection-n"), photos, count=2)
    assert sorted(found.photos) == ["a/1.png", "b/2.png"]


def test_faces_of_all_labels(lists: Labels) -> None:
    target = contract("glasses-n")
    faces = read_labelled_faces(lists.files, lists.roots, classes=target.rules["labels"])
    found = calibrate(target, [*faces[:3], *faces[20:]], count=6)
    assert sum(name.startswith("glass") for name in found.photos) == 3
    assert {batch.shape for batch in found.batches} == {(1, 3, 80, 80)}
    assert found.batches[0].std() > 20
