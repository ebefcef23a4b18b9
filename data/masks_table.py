"""Read a CSV that says to which list a pair belongs, and to which subsets."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import DataError
from .images import IMAGE_SUFFIXES
from .photo_paths import plain_name
from .record_set import named
from .table import read_table

_log = logging.getLogger(__name__)

_NAMES = ("image", "name", "path", "file")
_PART = "split"
_PART_NAME = re.compile("[A-Za-z0-9_-]+")
_FLAGS = ("0", "1")


@dataclass(frozen=True)
class Listed:
    """What a row says of a pair: the name of its list, if it says one, and its tags."""

    part: str | None
    tags: Sequence[str]


class PairTable:
    """What a CSV says of pairs, by the name of the photo.

    Attributes:
        file: The CSV.
        says_parts: Whether it has a column `split`.

    Args:
        file: A CSV with a column `image` (or name, path, file), perhaps `split`, and perhaps
            columns with 0 and 1 alone, whose heading is a tag.

    Raises:
        DataError: The file is none of these, or says different things of one photo.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        table = read_table(file)
        column = table.column(*_NAMES)
        if column is None:
            raise DataError(
                f"{file}: columns {named(table.names) or 'none'}: expected one of "
                f"{', '.join(_NAMES)}"
            )
        self.says_parts = _PART in table.names
        rows = list(table.rows)
        others = [name for name in table.names if name and name not in (column, _PART)]
        tags = [name for name in others if _is_tag(file, name, rows)]
        self._rows: dict[str, Listed] = {}
        self._unused: dict[str, str] = {}
        for line, row in rows:
            name, part = row[column].strip(), row.get(_PART, "").strip()
            if not name:
                raise DataError(f"{file}:{line}: {column} is empty; expected the name of a photo")
            if self.says_parts and not _PART_NAME.fullmatch(part):  # it becomes a file's name
                raise DataError(
                    f"{file}:{line}: split {part[:80]!r}: expected letters, digits, _ and -"
                )
            listed = Listed(part or None, [tag for tag in tags if row[tag].strip() == "1"])
            self._unused[key_of(name)] = name
            if self._rows.setdefault(key_of(name), listed) != listed:
                raise DataError(f"{file}:{line}: {name[:80]}: is there already, and differs")
        if not self._rows:
            raise DataError(f"{file}: no rows; expected one for each photo")

    def find(self, *names: str) -> Listed | None:
        """The row of a photo, of whose names the first that is known counts."""
        for key in map(key_of, names):
            if key in self._rows:
                self._unused.pop(key, None)
                return self._rows[key]
        return None

    def unused(self) -> list[str]:
        """The names in rows that nobody has asked for."""
        return list(self._unused.values())


def _is_tag(file: Path, column: str, rows: Sequence[tuple[int, Mapping[str, str]]]) -> bool:
    """Whether a column has 0 and 1 alone; warns of one that nearly has."""
    cells = [(line, cell) for line, row in rows if (cell := row[column].strip())]
    other = [(line, cell) for line, cell in cells if cell not in _FLAGS]
    if other and 2 * len(other) < len(cells):
        line, cell = other[0]
        _log.warning(
            "%s:%d: column %s: %r is neither 0 nor 1, so the column gives no tag%s",
            file,
            line,
            column,
            cell[:80],
            "" if len(other) == 1 else f" (and {len(other) - 1} more)",
        )
    return not other


def key_of(name: str) -> str:
    """A name without its suffix, by which photo, mask and row belong together."""
    path = PurePosixPath(plain_name(name))
    return str(path.with_suffix("")) if path.suffix in IMAGE_SUFFIXES else str(path)
