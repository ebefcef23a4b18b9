"""What a model file may be, checked before anything reads it."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from pathlib import Path

from ..errors import ModelFileError

MAX_BYTES = 2**31 - 1
"""Most bytes of one file, and of a folder's files together: what a protobuf may have."""

WEIGHTS_SUFFIXES = (".safetensors", ".pth")
"""Of weights files; `weights_formats` reads them."""

FOREIGN_SUFFIXES = (".pth", ".pkl", ".xml")
"""Of other people's checkpoints, which need a template; `foreign` reads them."""

FOREIGN_HINT = "a checkpoint of others needs the template of its network: --template NAME"

MAX_FILES = 1000
"""Most files of a model that is a folder."""

_MAX_EXPANSION, _FREE_EXPANSION = 10, 64 << 20
"""An archive may unpack to this many times its own size, and to this many bytes in any case."""

_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISSOCK: "a socket",
}
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def check_weights_name(path: Path, *, template: bool = False) -> None:
    """Refuse a path that is no weights file by its suffix.

    Args:
        path: The path.
        template: Whether a template is given, which other people's checkpoints need.

    Raises:
        ModelFileError: It is such.
    """
    if path.suffix in WEIGHTS_SUFFIXES or (template and path.suffix in FOREIGN_SUFFIXES):
        return
    foreign = not template and path.suffix in FOREIGN_SUFFIXES
    raise ModelFileError(
        f"{path}: not a weights file; expected a name that ends in {' or '.join(WEIGHTS_SUFFIXES)}",
        hint=FOREIGN_HINT if foreign else None,
    )


def check_file(path: Path, *, name: str | None = None, may_be_empty: bool = False) -> int:
    """Check that a path is a file that can be read, neither empty nor too large.

    Opening a named pipe would wait for ever, and reading a device may never end.

    Args:
        path: The file.
        name: What messages begin with; None for the path.
        may_be_empty: Whether it may have no bytes.

    Returns:
        Its size in bytes.

    Raises:
        ModelFileError: It is not.
    """
    name = name or str(path)
    try:
        found = path.stat()
    except OSError as error:
        raise ModelFileError(f"{name}: cannot be read: {error.strerror or error}") from error
    if not stat.S_ISREG(found.st_mode):
        kind = next((kind for is_one, kind in _KINDS.items() if is_one(found.st_mode)), "no file")
        raise ModelFileError(f"{name}: is {kind}; expected a file")
    if found.st_size == 0 and not may_be_empty:
        raise ModelFileError(f"{name}: is empty: damaged")
    if found.st_size > MAX_BYTES:
        raise ModelFileError(
            f"{name}: {found.st_size:,} bytes are too many: model files may have {MAX_BYTES:,}"
        )
    return found.st_size


def check_folder(path: Path) -> None:
    """Check the files of a model that is a folder: their kinds, number and sizes.

    Raises:
        ModelFileError: One is no file, or a link that leads out of the folder; or they are too
            many or too large. Empty files are allowed.
    """
    root, count, total = path.resolve(), 0, 0
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            part = Path(folder, name)
            shown = f"{path}: {part.relative_to(path).as_posix()!r}"
            if part.is_symlink() and not is_inside(part, root):
                raise ModelFileError(f"{shown} is a link that leads out of it")
            if part.is_symlink() and part.is_dir():
                raise ModelFileError(f"{shown} is a link to a folder; expected a file")
            count += 1
            if name in files:
                total += check_file(part, name=shown, may_be_empty=True)
    if count > MAX_FILES or total > MAX_BYTES:
        raise ModelFileError(
            f"{path}: {count:,} files of {total:,} bytes are too many: models may have "
            f"{MAX_FILES:,} of {MAX_BYTES:,}"
        )


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, wherever links on the way lead; False for loops."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def most_unpacked(size: int) -> int:
    """Most bytes that a file of this size may unpack to."""
    return min(MAX_BYTES, max(_FREE_EXPANSION, _MAX_EXPANSION * size))


def check_archive(path: Path) -> None:
    """Check a zip archive by its directory, before any of it is unpacked.

    A member of 2.5 MB may unpack to 2.5 GB. What a member declares is the most that is read of it.

    Raises:
        ModelFileError: It is no archive, its members unpack to too much, or a member's name leads
            out of the archive or is there twice.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # the library raises many kinds on damaged archives
        raise damaged(path, error) from error
    names = [member.filename for member in members]
    size = path.stat().st_size
    limit = most_unpacked(size)
    total = sum(member.file_size for member in members)
    if total > limit:
        raise ModelFileError(
            f"{path}: its {size:,} bytes unpack to {total:,}, more than the limit of {limit:,}"
        )
    for name in names:
        parts = re.split(r"[/\\]", name)
        if not parts[0] or ".." in parts or ":" in parts[0]:
            raise ModelFileError(f"{path}: its member {name!r} leads out of it")
    if len(set(names)) != len(names):
        raise ModelFileError(f"{path}: has members of the same name: damaged")


def damaged(path: Path, error: Exception) -> ModelFileError:
    """The error for a file that a library could not read."""
    return ModelFileError(f"{path}: damaged, or not a {path.suffix} file: {reason(error)}")


def reason(error: BaseException) -> str:
    """A library's message as a part of ours: one line, printable, 200 characters at most."""
    if isinstance(error, KeyError):
        return f"it has no {error}"
    lines = [" ".join(_TERMINAL_CODES.sub("", line).split()) for line in str(error).splitlines()]
    text, *more = [*filter(None, lines), ""]
    if text.endswith(":"):
        text = f"{text} {more[0]}"
    return printable(text or type(error).__name__)


def printable(text: str) -> str:
    """Text of a file as a part of a message: one line, printable, 200 characters at most."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:201])
    return shown if len(shown) <= 200 else shown[:197] + "..."
