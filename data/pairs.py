"""Pair annotation files with the folders of their photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError, UserError


def paired(
    files: Sequence[Path],
    roots: Sequence[Path],
    *,
    flags: tuple[str, str] = ("--*-ann-files", "--*-data-roots"),
) -> list[tuple[Path, Path]]:
    """Pair each file with the folder of its photos.

    Args:
        files: One or more annotation files.
        roots: One folder for each file, or one for all.
        flags: Names of the flags of `files` and `roots`, for the error message.

    Raises:
        DataError: The numbers of files and folders do not match.
    """
    if not files or len(roots) not in (1, len(files)):
        raise DataError(
            f"{flags[0]} names {len(files)} file(s) and {flags[1]} {len(roots)} folder(s): "
            "expected one folder for each file, or one for all"
        )
    shared = [*roots] * len(files) if len(roots) == 1 else roots
    return [*zip(files, shared, strict=True)]


def check_there(files: Sequence[Path], roots: Sequence[Path], *, flags: tuple[str, str]) -> None:
    """Refuse annotation files and folders of photos that are not there, or not paired.

    Args:
        files: Annotation files, or none.
        roots: Folders of the photos, or none.
        flags: Names of the flags or parameters of both, for error messages.

    Raises:
        UserError: One flag is without the other, or there are neither one folder nor one for
            each file.
        DataError: A file or folder is not there.
    """
    if bool(files) != bool(roots):
        raise UserError(f"{flags[0]} and {flags[1]} go together")
    if files:
        paired(files, roots, flags=flags)
    for file in files:
        if not file.exists():
            raise DataError(f"{flags[0]} {file}: no such file")
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{flags[1]} {root}: no such folder")
