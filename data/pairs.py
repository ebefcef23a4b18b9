"""Annotation files, each with the folder of its photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import DataError


def paired(
    files: Sequence[Path],
    roots: Sequence[Path],
    *,
    flags: tuple[str, str] = ("--*-ann-files", "--*-data-roots"),
) -> list[tuple[Path, Path]]:
    """Each file with its folder.

    Args:
        files: One or more.
        roots: As many, or one for all.
        flags: That both were given by.

    Raises:
        DataError: Their numbers do not fit.
    """
    if not files or len(roots) not in (1, len(files)):
        raise DataError(
            f"{flags[0]} names {len(files)} file(s) and {flags[1]} {len(roots)} folder(s): "
            "expected one folder for each file, or one for all"
        )
    shared = [*roots] * len(files) if len(roots) == 1 else roots
    return [*zip(files, shared, strict=True)]
