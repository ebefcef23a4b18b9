"""Atomic writing and SHA-256 of files."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pocketface.files import atomic_write, sha256_file, why_not_writable


def test_writes_bytes_and_text(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "model.onnx"
    with atomic_write(path) as handle:
        handle.write(b"\r\n\x00")
        assert not path.exists()
        assert Path(handle.name).suffix == ".onnx"
    assert path.read_bytes() == b"\r\n\x00"
    with atomic_write(path, "w") as handle:
        handle.write("é\n")
        assert path.read_bytes() == b"\r\n\x00"
    assert path.read_bytes() == b"\xc3\xa9\n"
    assert os.listdir(path.parent) == ["model.onnx"]


def test_a_name_as_long_as_file_systems_take(tmp_path: Path) -> None:
    path = tmp_path / ("写" * 83 + ".jpg")
    with atomic_write(path) as handle:
        handle.write(b"x")
    assert os.listdir(tmp_path) == [path.name]


def test_whether_a_file_can_be_replaced_is_up_to_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda asked, _: asked != path)
    assert why_not_writable(path) is None
    monkeypatch.setattr(os, "access", lambda asked, _: asked != tmp_path)
    assert why_not_writable(path) == f"{tmp_path} is not writable"
    assert why_not_writable(tmp_path / "new.txt") == f"{tmp_path} is not writable"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path, "w") as handle:
            handle.write("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f.txt"]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)
    path.mkdir()
    with pytest.raises(OSError, match="directory") as caught, atomic_write(path):
        pass
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from pocketface.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as handle:\n"
        "    handle.write(b'new' * 100000); handle.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -9
    assert path.read_text() == "old"


def test_files_are_readable_as_the_umask_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with atomic_write(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3_000_000)
    assert sha256_file(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256_file(tmp_path / "gone")
