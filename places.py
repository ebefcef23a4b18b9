"""Whether a command may write where a flag says, known before its work begins."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .errors import UserError
from .files import FULL, atomic_write

CSV = (".csv", ".txt")
"""What the names of tables may end in: a spreadsheet's own format is another."""


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
    try:
        if os.access(place, os.W_OK | os.X_OK):
            # /proc, and some mounts, only say that they can be written.
            with tempfile.TemporaryFile(dir=place):
                return None
    except OSError as error:
        if error.errno in FULL:  # there may be room when it is written
            return None
    return f"{place} is not writable"


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


def check_not_read(path: Path, flag: str, inputs: Iterable[Path]) -> None:
    """Refuse to write a file over one that the same command reads.

    Args:
        path: The file to write later.
        flag: The command-line flag that named the path.
        inputs: The files that are read, under whatever names.

    Raises:
        UserError: It is one of them.
    """
    if not os.path.lexists(path):
        return
    place, there = os.path.realpath(path), _stat(path)
    for one in inputs:
        # Where names differ by their case alone the system may call two paths one file.
        other = None if there is None else _stat(one)
        is_same = there is not None and other is not None and os.path.samestat(there, other)
        if is_same or os.path.realpath(one) == place:
            raise UserError(f"{flag} {path}: is one of the files to be read")


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def check_new_file(
    path: Path, flag: str, *, inputs: Iterable[Path], force: bool, suffixes: Sequence[str] = ()
) -> None:
    """Refuse to write a file over anything that may be wanted, before the work for it begins.

    Args:
        path: The file to write later.
        flag: The command-line flag that named the path.
        inputs: The files that the command reads, which are never replaced.
        force: Whether any other older file may be replaced.
        suffixes: What its name may end in, if it has a suffix; none for anything.

    Raises:
        UserError: It is one that is read, its name ends otherwise, there is a file already, or see
            `check_place`.
    """
    check_not_read(path, flag, inputs)
    if suffixes and path.suffix and path.suffix.lower() not in suffixes:
        raise UserError(f"{flag} {path}: expected a name that ends in {' or '.join(suffixes)}")
    check_place(path, flag)
    if not force and os.path.lexists(path):
        raise UserError(
            f"{flag} {path}: is there already", hint="--force replaces it; or name a new file"
        )


def write_lists(texts: Mapping[Path, str]) -> None:
    """Write the lists of one `--output`, of which none takes the place of another.

    A list that is there may have been corrected by hand.

    Args:
        texts: The text of each file.

    Raises:
        UserError: A file of another content is there; nothing was written.
        OSError: See `atomic_write`.
    """
    for path, text in texts.items():
        if os.path.lexists(path) and not _holds(path, text):
            raise UserError(
                f"--output {path.parent}: its {path.name} is there already, and is another; "
                "expected a folder without it"
            )
    for path, text in texts.items():
        with atomic_write(path, "w") as handle:
            handle.write(text)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode("utf-8", "surrogateescape")
    except OSError:
        return False
