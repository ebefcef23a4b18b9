"""What is done of a long run: one line of JSON for each file that was written, or failed.

A line is appended when its file has its final name, with one write and a sync to disk, so a run
that was killed loses at most what it was at. It is free of how a run is started: workers may hand
`Done` to the process that holds the manifest.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ...errors import DataError, UserError
from ...files import reading, sha256_file

MANIFEST = "blurred.manifest.jsonl"
"""Its name in the folder of what is written."""

_LOCK = ".pocketface-blur.lock"
_VERSION = 1
_HEAD = json.dumps({"pocketface_blur": _VERSION}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Done:
    """One file that was written.

    Attributes:
        source: The path of what was blurred, as the run names it.
        source_sha256: SHA-256 of its content.
        settings: See `digest_of`.
        output: What was written, as a path below the manifest's folder.
        output_sha256: SHA-256 of its content.
        faces: How many faces were found.
        hidden: How many of them are hidden.
        frames: How many frames it has.
        source_version: What a store's listing said of the source, see `archive.store`; "" where it
            was not asked.
        output_version: The same of what was written.
    """

    source: str
    source_sha256: str
    settings: str
    output: str
    output_sha256: str
    faces: int
    hidden: int
    frames: int = 1
    source_version: str = ""
    output_version: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """One file of which nothing was written; the next run tries again.

    Attributes:
        source: The path of what was to be blurred, as the run names it.
        failed: Why it was not, one line.
    """

    source: str
    failed: str


class Manifest:
    """The manifest of a folder, held by one process; see `open_manifest`.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path, stream: IO[bytes], done: Mapping[str, Done]) -> None:
        self.folder = folder
        self._stream = stream
        self._done = dict(done)

    def __len__(self) -> int:
        return len(self._done)

    def find(self, output: str, *, source_sha256: str, settings: str) -> Done | None:
        """What was written of a file, if it is still what a run would write again; else None.

        Args:
            output: The path below the folder.
            source_sha256: SHA-256 of the file as it is.
            settings: See `digest_of`.
        """
        done = self._done.get(output)
        if done is None or (done.source_sha256, done.settings) != (source_sha256, settings):
            return None
        try:
            there = sha256_file(self.folder / output)
        except OSError:
            return None
        return done if there == done.output_sha256 else None

    def noted(self, output: str) -> Done | None:
        """The last line of a file, whatever became of it since."""
        return self._done.get(output)

    def add(self, *lines: Done | Failed) -> None:
        """Note files that have their final names, or could not be blurred.

        They are on disk when this returns.

        Raises:
            OSError: They cannot be written.
        """
        _write_lines(self._stream, [asdict(line) for line in lines])
        self._done |= {line.output: line for line in lines if isinstance(line, Done)}


@contextmanager
def open_manifest(folder: Path, path: Path | None = None) -> Iterator[Manifest]:
    """Open the manifest of a folder, or begin one; both are made where they are missing.

    Args:
        folder: Where files are written.
        path: The manifest's own file; None for `MANIFEST` in the folder.

    Raises:
        DataError: It is no manifest, or of a later version.
        OSError: It cannot be read or written.
    """
    path = folder / MANIFEST if path is None else path
    path.parent.mkdir(parents=True, exist_ok=True)
    done = read_manifest(path)
    with path.open("ab") as stream:
        _end_line(path, stream)
        yield Manifest(folder, stream, done)


def is_begun(path: Path) -> bool:
    """Whether there is more than an empty file, so that an earlier run may have written files."""
    return path.is_file() and path.stat().st_size >= len(_HEAD)


def read_manifest(path: Path) -> dict[str, Done]:
    """What a manifest says is done, by the output's path; nothing where there is none.

    A last line that was cut off is ignored.

    Raises:
        DataError: It is no manifest, or of a later version.
    """
    if not path.exists():
        return {}
    with reading(path, DataError):
        whole, end, torn = path.read_bytes().rpartition(b"\n")
    if not end and _HEAD.startswith(torn):  # not even the first line is whole
        return {}
    head, *lines = whole.split(b"\n")
    if not end or not _is_head(head):
        raise DataError(f"{path}: is no manifest of version {_VERSION}: remove it to begin anew")
    found = {}
    for number, line in enumerate(lines, 2):
        try:
            record = json.loads(line)
            if "failed" in record:
                Failed(**record)
                continue
            record["settings"] = sys.intern(record["settings"])  # the same in a million lines
            done = Done(**record)
            found[done.output] = done
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is damaged: remove it, or the file") from error
    return found


def _is_head(line: bytes) -> bool:
    try:
        return bool(json.loads(line) == {"pocketface_blur": _VERSION})
    except ValueError:
        return False


def _end_line(path: Path, stream: IO[bytes]) -> None:
    """Cut off a torn last line, and write the first one if there is none."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.ftruncate(stream.fileno(), whole)
    if not whole:
        _write(stream, _HEAD)


def _write_lines(stream: IO[bytes], records: Sequence[Mapping[str, Any]]) -> None:
    _write(stream, b"".join(json.dumps(record).encode() + b"\n" for record in records))


def _write(stream: IO[bytes], lines: bytes) -> None:
    if os.write(stream.fileno(), lines) < len(lines):  # the disk is full
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), stream.name)
    os.fsync(stream.fileno())


@contextmanager
def only_run(folder: Path, manifest: Path | None = None) -> Iterator[None]:
    """Keep other runs from writing into a folder, or a manifest.

    Args:
        folder: The folder of what is written, or of the manifest.
        manifest: A manifest of its own; None for the whole folder.

    Raises:
        UserError: Another one does.
        OSError: The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / (_LOCK if manifest is None else f".{manifest.name}.lock")
    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                # Removed while it is held, so that no other process holds a file that is gone.
                with suppress(OSError):
                    lock.unlink()
    except Timeout:
        what = f"--output {folder}" if manifest is None else f"--manifest {manifest}"
        raise UserError(f"{what}: another run is writing into it") from None


def digest_of(settings: Mapping[str, Any], models: Mapping[str, Path | bytes]) -> str:
    """One digest of all that a file depends on beside its source.

    Args:
        settings: Values that JSON knows.
        models: Model files, and other files that are read, or what is in these, by what they are
            for. What lies beside an OpenVINO file is part of it.
    """
    files = {}
    for name, path in models.items():
        if isinstance(path, bytes):
            files[name] = [hashlib.sha256(path).hexdigest()]
            continue
        parts = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
        if path.is_dir():
            parts = sorted(one for one in path.rglob("*") if one.is_file())
        files[name] = [sha256_file(part) for part in parts if part.exists()]
    text = json.dumps({"settings": settings, "files": files}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
