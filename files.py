"""Write files atomically, check that a path can be written, and compute SHA-256."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from .errors import UserError


@contextmanager
def atomic_write(path: Path, mode: Literal["wb", "w"] = "wb") -> Iterator[IO[Any]]:
    r"""Write a file so that `path` holds either its old content or the whole new one.

    The data go to a temporary file beside `path` (same suffix, same file system; its name is
    the handle's `.name`), are synced to disk, and take the place of `path` only when the block
    ends without an exception; otherwise the temporary file is removed.

    Args:
        path: The file to write; missing parent folders are made.
        mode: "wb" for bytes, "w" for UTF-8 text with "\n" line ends.

    Yields:
        The open temporary file.

    Raises:
        OSError: The folder cannot be made or written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Shortened, as a letter may take four of the 255 bytes of a name.
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(6)}{path.suffix}")
    # File names may hold bytes that are not UTF-8; they are written unchanged.
    utf8 = {"encoding": "utf-8", "newline": "\n", "errors": "surrogateescape"}
    text = {} if mode == "wb" else utf8
    try:
        # "x" never writes into an existing file, and uses the usual umask, unlike `mkstemp`.
        with open(temporary, mode.replace("w", "x"), **text) as handle:  # type: ignore[call-overload]
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or error.filename == str(temporary):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    _sync_folder(path.parent)


def why_not_writable(path: Path, *, folder: bool = False) -> str | None:
    """The reason why `path` cannot become a file, or a folder with files; None if it can.

    An existing file can be replaced.
    """
    there = next((one for one in (path, *path.parents) if os.path.lexists(one)), None)
    if there is None:
        return f"there is no {path.anchor}"
    fits = there.is_file() if there == path and not folder else there.is_dir()
    if not fits:
        return f"{there} is in the way"
    # A file is replaced by one written beside it, so its own permissions do not matter.
    place = there if there.is_dir() else there.parent
    return None if os.access(place, os.W_OK | os.X_OK) else f"{place} is not writable"


def check_place(path: Path, flag: str, *, folder: bool = False) -> None:
    """Refuse a path that cannot be written, before the work for it begins.

    Args:
        path: The file to write later; an existing file can be replaced.
        flag: The command-line flag that named the path.
        folder: Whether the path is to be a folder, new or existing, for files.

    Raises:
        UserError: Something else has this path, a file is in place of its folder, or the folder
            cannot be written.
    """
    why = why_not_writable(path, folder=folder)
    if why is not None:
        raise UserError(f"{flag} {path}: cannot be written: {why}")


def name_in_utf8(name: str) -> str:
    """A file's name for UTF-8 text, with "?" for bytes that are not UTF-8."""
    return name.encode("utf-8", "replace").decode("utf-8")


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, 64 lower-case hex digits.

    Raises:
        OSError: The file is missing or unreadable.
    """
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    # The rename itself must survive a power cut too; not every system can sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
