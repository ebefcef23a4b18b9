"""A contact sheet: many small pictures in one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_TEXT = 18


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]],
    captions: Sequence[str] = (),
    *,
    columns: int = 8,
    side: int = 140,
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
