"""Copies of photos: what is gone meanwhile costs no other; a full disk is named by the copy."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from pocketface.apps.copies import Copies


def test_a_photo_that_is_gone_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copies = Copies(tmp_path / "out", [])
    assert copies.add(tmp_path / "gone.jpg", Path("gone.jpg")) is None
    assert f"{tmp_path / 'gone.jpg'}: not copied: No such file or directory" in caplog.text
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert copies.add(tmp_path / "a.jpg", Path("a.jpg")) == tmp_path / "out" / "a.jpg"
    assert os.listdir(tmp_path / "out") == ["a.jpg"]


def test_a_full_disk_is_of_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), str(target))

    (tmp_path / "a.jpg").write_bytes(b"x")
    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(OSError, match="No space left") as caught:
        Copies(tmp_path / "out", []).add(tmp_path / "a.jpg", Path("a.jpg"))
    assert caught.value.filename == str(tmp_path / "out" / "a.jpg")
