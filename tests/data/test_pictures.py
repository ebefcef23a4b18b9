"""Which pictures model files are run on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from pocketface.data.pictures import check_photos
from pocketface.errors import DataError


def test_photos_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "deep/b.ppm", "c.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 7), "red").save(tmp_path / name)
    (tmp_path / "broken.jpg").write_text("no photo")
    assert [photo.name for photo in check_photos(tmp_path)] == ["a.png", "c.gif", "deep/b.ppm"]
    assert "left out: " in caplog.text
    assert "broken.jpg" in caplog.text
    for name in ("a.png", "deep/b.ppm", "c.gif"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"--photos .*: none of its 1 photos can be read"):
        check_photos(tmp_path)
    (tmp_path / "broken.jpg").unlink()
    with pytest.raises(DataError, match=r"--photos .*: holds no photo \(\.apng, \.avif"):
        check_photos(tmp_path)


def test_names_can_be_written_as_utf_8(tmp_path: Path) -> None:
    """Certificates have them; those of other systems may be any bytes."""
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    assert [photo.name for photo in check_photos(tmp_path)] == ["caf?.png"]


def test_of_many_photos_some_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for index in range(99):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{index:02}.png")
    names = [photo.name for photo in check_photos(tmp_path)]
    assert (names[0], names[1], names[-1], len(names)) == ("00.png", "02.png", "98.png", 50)
    assert "50 of its 99 photos" in caplog.text
