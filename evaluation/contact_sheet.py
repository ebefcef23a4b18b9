"""A contact sheet: many small pictures in one."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import reading

_TEXT = 18
_COLUMNS, _SIDE = 8, 140

_PNG = b"\x89PNG\r\n\x1a\n"


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]],
    captions: Sequence[str] = (),
    *,
    columns: int = _COLUMNS,
    side: int = _SIDE,
) -> NDArray[np.uint8]:
    """Arrange pictures in rows, with a caption above each.

    Args:
        pictures: Pictures, uint8 (H, W, 3), BGR; scaled to fit into squares, with a black rest.
        captions: Caption of each picture, in ASCII; about 18 letters fit into a side of 140. None
            of them leaves the captions out.
        columns: Pictures in a row.
        side: Side of the squares in pixels.

    Returns:
        uint8 (H, W, 3), BGR; one empty row if there are no pictures.
    """
    text = _TEXT if captions else 0
    rows = max(1, -(-len(pictures) // columns))
    sheet = np.zeros((rows * (side + text), columns * side, 3), np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top, left = row * (side + text) + text, column * side
        scale = side / max(picture.shape[:2])
        height, width = (max(1, round(scale * length)) for length in picture.shape[:2])
        scaled = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        y, x = top + (side - height) // 2, left + (side - width) // 2
        sheet[y : y + height, x : x + width] = scaled
        if captions:
            place = (left + 3, top - 5)
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(sheet, captions[index], place, font, 0.4, (255, 255, 255), 1)
    return sheet


def check_sheet(path: Path, flag: str) -> None:
    """Refuse to write a sheet with captions over anything but an older one, or as anything but PNG.

    Args:
        path: The file to write later.
        flag: The command-line flag that named the path.

    Raises:
        UserError: It has another suffix, or there is another file.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"{flag} {path}: expected a name that ends in .png")
    if not path.is_file():
        return
    with reading(path, UserError), path.open("rb") as handle:
        head = handle.read(24)
    width, height = struct.unpack(">II", head[16:]) if len(head) == 24 else (0, 0)
    rows_fit = height == _SIDE or not height % (_SIDE + _TEXT)  # one without captions is empty
    is_sheet = head.startswith(_PNG) and width == _COLUMNS * _SIDE and rows_fit
    if head and not is_sheet:
        raise UserError(f"{flag} {path}: is there already, and no such sheet; expected a new file")
