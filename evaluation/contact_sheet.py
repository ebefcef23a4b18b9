"""A contact sheet: many small pictures in one, each with a caption."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 140
_TEXT = 18
_COLUMNS = 8


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str]
) -> NDArray[np.uint8]:
    """Arrange pictures in rows of eight, with a caption above each.

    Args:
        pictures: Pictures, uint8 (H, W, 3), BGR; scaled to squares.
        captions: Caption of each picture, in ASCII; about 18 letters fit.

    Returns:
        uint8 (H, W, 3), BGR; one empty row if there are no pictures.
    """
    rows = max(1, -(-len(pictures) // _COLUMNS))
    sheet = np.zeros((rows * (_SIDE + _TEXT), _COLUMNS * _SIDE, 3), np.uint8)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(index, _COLUMNS)
        top, left = row * (_SIDE + _TEXT), column * _SIDE
        scaled = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
        sheet[top + _TEXT : top + _TEXT + _SIDE, left : left + _SIDE] = scaled
        place = (left + 3, top + _TEXT - 5)
        cv2.putText(sheet, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
    return sheet
