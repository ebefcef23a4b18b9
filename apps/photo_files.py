"""The photos that a user names, as files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.images import list_images
from ..errors import UserError


def find_photos(sources: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The photos of files and folders, each once, with its path below its source.

    Raises:
        UserError: A file or folder is missing, or there is no photo in any.
        DataError: See `list_images`.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for source in sources:
        if source.is_dir():
            for path in list_images(source):
                found.setdefault(_place(path), (path, path.relative_to(source)))
        elif source.exists():
            found.setdefault(_place(source), (source, Path(source.name)))
        else:
            raise UserError(f"{source}: no such file or folder")
    if not found:
        raise UserError(f"{', '.join(map(str, sources))}: no photo in there")
    return list(found.values())


def _place(path: Path) -> Path:
    """The same path for all ways to write it; links to photos are not resolved."""
    return path.parent.resolve() / path.name
