"""Read CSV files with a heading, as people and spreadsheets write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError


def read_table(file: Path) -> tuple[Sequence[str], Iterator[tuple[int, dict[str, str]]]]:
    """Read a CSV.

    Args:
        file: UTF-8, with or without a byte order mark.

    Returns:
        The names of the columns, and for each row the number of its last line and its cells by
        column; cells that a row lacks are empty.

    Raises:
        DataError: The file cannot be read or is not UTF-8. A damaged row raises when that row is
            reached.
    """
    reader = csv.DictReader(io.StringIO(read_text(file)), restval="")
    try:
        names = reader.fieldnames or ()
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num + 1}: no CSV: {error}") from error
    return names, _rows(reader, file)


def read_text(file: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: The file cannot be read or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")  # spreadsheets write a byte order mark
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text (byte {error.start})") from error


def _rows(reader: csv.DictReader[str], file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num + 1}: no CSV: {error}") from error
