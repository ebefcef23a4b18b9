"""Read CSV files with a heading, as people and spreadsheets write them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from ..files import reading

_SEPARATORS = ",;\t"
"""What spreadsheets put between cells: semicolons where the comma is for decimals, tabs as text."""

_SAID = re.compile(r'"?sep=([^"\w])"?', re.IGNORECASE)
"""The line above the heading in which Excel says what separates cells."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Table:
    """A table with a heading.

    Attributes:
        names: The names of the columns, in small letters.
        rows: For each row that is not empty the number of its last line, and its cells by column;
            cells that a row lacks are empty.
        comma: Whether the comma is for decimals, as cells are separated by semicolons.
    """

    names: Sequence[str]
    rows: Iterator[tuple[int, dict[str, str]]]
    comma: bool

    def column(self, *names: str) -> str | None:
        """The first of these columns that the table has."""
        return next((name for name in names if name in self.names), None)


def read_table(file: Path) -> Table:
    """Read a CSV, whose cells are separated by commas, semicolons or tabs, or by what "sep=" says.

    Raises:
        DataError: See `read_text`; or it is JSON, or two columns have one name. A damaged row, or
            one with more cells than the heading, raises when that row is reached.
    """
    text = read_text(file)
    if text.lstrip().startswith(("{", "[")):
        raise DataError(f"{file}: is JSON; expected a CSV with a heading")
    first, _, rest = text.partition("\n")
    said = _SAID.fullmatch(first)
    if said is not None:
        text, first = rest, rest.partition("\n")[0]
    separator = said[1] if said is not None else max(_SEPARATORS, key=first.count)
    above = int(said is not None)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator, restval="")
    try:
        names = [name.strip().casefold() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num + 1 + above}: no CSV: {error}") from error
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{file}: two columns are called {twice[:80]!r}")
    reader.fieldnames = names
    return Table(names, _rows(reader, file, above), comma=separator == ";")


def read_text(file: Path) -> str:
    """Read a text: UTF-8, or UTF-16 with the mark that spreadsheets begin it with.

    Raises:
        DataError: The file cannot be read or is neither.
    """
    with reading(file, DataError):
        content = file.read_bytes()
    encoding, name = ("utf-16", "UTF-16") if content.startswith(_UTF_16) else ("utf-8-sig", "UTF-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not {name} text (byte {error.start})") from error
    if "\0" in text:
        raise DataError(f"{file}: not {name} text: it has NUL characters")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _rows(
    reader: csv.DictReader[str], file: Path, above: int
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows that are not empty; `above` is the number of lines above the heading."""
    heading = len(reader.fieldnames or ())
    try:
        for row in reader:
            more: Sequence[str] = row.pop(None, ())
            line = reader.line_num + above
            if any(more):
                raise DataError(
                    f"{file}:{line}: {heading + len(more)} cells; expected {heading}, "
                    "as in the heading"
                )
            if any(cell.strip() for cell in row.values()):
                yield line, row
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num + 1 + above}: no CSV: {error}") from error
