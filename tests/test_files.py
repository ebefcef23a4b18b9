"""Atomic writing and SHA-256 of files."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pocketface import files
from pocketface.files import atomic_write, path_in_utf8, raise_if_full, scratch_folder, sha256_file

from .full_disk import full_disk


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


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_write_that_fails_names_the_file(tmp_path: Path, mode: Any) -> None:
    path = tmp_path / "f.txt"
    with (
        pytest.raises(OSError, match="File too large") as caught,
        full_disk(1000),
        atomic_write(path, mode) as out,
    ):
        out.write("x" * 9000 if mode == "w" else b"x" * 9000)
    assert caught.value.filename == str(path)
    assert not os.listdir(tmp_path)


def test_a_write_that_fails_inside_a_library_is_not_hidden_by_its_own_error(tmp_path: Path) -> None:
    path = tmp_path / "latest.pth"

    def write() -> None:
        with atomic_write(path) as out:
            try:
                out.write(b"x" * 100_000)
            except OSError:
                raise RuntimeError("unexpected pos 162816 vs 162720") from None

    with pytest.raises(OSError, match="File too large") as caught, full_disk(1000):
        write()
    assert caught.value.filename == str(path)


def test_a_write_that_fails_and_is_ignored_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_write(path) as out, suppress(OSError):
            out.write(b"x" * 100_000)

    with pytest.raises(OSError, match="File too large") as caught, full_disk(1000):
        write()
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"


def test_a_full_disk_is_named_as_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raise_if_full(tmp_path, RuntimeError("write failed"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    with pytest.raises(OSError, match="No space left") as caught:
        raise_if_full(tmp_path, RuntimeError("write failed"))
    assert caught.value.filename == str(tmp_path)


def test_a_killed_process_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from pocketface.files import atomic_write, scratch_folder\n"
        "path = Path(sys.argv[1])\n"
        "with scratch_folder(path.parent) as folder, atomic_write(path) as handle:\n"
        "    (folder / 'part').write_bytes(b'x')\n"
        "    handle.write(b'new' * 100000); handle.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -9
    assert path.read_text() == "old"
    assert len(os.listdir(tmp_path)) == 3
    alien = tmp_path / ".f.0123456789ab.txt"
    alien.write_text("a user's own")
    pipe = tmp_path / ".x.pocketface-0123456789ab"
    os.mkfifo(pipe)  # which would block whoever opens it
    with atomic_write(path) as handle:
        handle.write(b"new")
    assert sorted(os.listdir(tmp_path)) == [alien.name, pipe.name, "f.txt"]


def test_what_others_are_at_work_on_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch_folder(tmp_path) as folder, atomic_write(tmp_path / "a") as handle:
        handle.write(b"first")
        monkeypatch.setattr(files, "_swept", set())
        with atomic_write(tmp_path / "b") as other:
            other.write(b"second")
        assert folder.is_dir()
    assert (tmp_path / "a").read_bytes() == b"first"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_files_are_readable_as_the_umask_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with atomic_write(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret.json"
    path.write_text("old")
    path.chmod(mode)
    with atomic_write(path, "w") as handle:
        assert Path(handle.name).stat().st_mode & 0o777 == mode
        handle.write("new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_root_replaces_stays_its_owner_s(tmp_path: Path) -> None:
    path = tmp_path / "secret.json"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1234, 4321)
    with atomic_write(path, "w") as handle:
        handle.write("new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 4321, 0o640)
    assert path.read_text() == "new"


def test_a_new_private_file_is_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with atomic_write(path, private=True) as handle:
        assert Path(handle.name).stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with atomic_write(path, private=True):
        pass
    assert path.stat().st_mode & 0o777 == 0o644


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 3_000_000)
    assert sha256_file(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256_file(tmp_path / "gone")


@pytest.mark.parametrize("name", [b"d\xe9/model.onnx", b"d/mod\xe8l.onnx", b"d\xe9/mod\xe8l.onnx"])
def test_libraries_that_take_utf_8_alone_get_a_path_in_it(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir()
    with path_in_utf8(path) as plain:  # to be written
        assert str(plain).encode()
        assert plain.suffix == ".onnx"
        plain.write_text("new")
    assert path.read_text() == "new"
    with path_in_utf8(path) as plain:
        assert plain.read_text() == "new"
    assert not plain.exists()
    with path_in_utf8(path.parent) as folder:
        assert [one.name for one in folder.iterdir()] == [path.name]
    assert path.exists()


def test_other_paths_stay_as_they_are(tmp_path: Path) -> None:
    for path in (tmp_path / "é.onnx", Path("model.onnx"), Path()):
        with path_in_utf8(path) as plain:
            assert plain == path


def test_nobody_else_looks_into_a_scratch_folder(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as scratch:
        assert scratch.stat().st_mode & 0o077 == 0
