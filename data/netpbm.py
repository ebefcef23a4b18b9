"""Read binary Netpbm pictures (PBM, PGM, PPM) row by row.

Pillow reads those of an unusual maximum pixel by pixel, in Python, and headers without a limit.
Source: https://netpbm.sourceforge.net/doc/ppm.html, pgm.html and pbm.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError

_MAX_HEADER = 4096
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_BITMAP = re.compile(rb"P4" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})\s")
_MAP = re.compile(
    rb"P[56]" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,10})" + _GAP + rb"(\d{1,5})\s"
)


@dataclass(frozen=True)
class Netpbm:
    """A picture whose header was read.

    Attributes:
        stream: The file, at the first row.
        size: Width and height in pixels.
        channels: 1 or 3.
        maximum: The value of white, 1 to 65535; 0 for a bitmap.
    """

    stream: IO[bytes]
    size: tuple[int, int]
    channels: int
    maximum: int

    def strips(self, rows: int, source: str) -> Iterator[NDArray[np.uint8]]:
        """Yield the picture from the top, up to `rows` rows at once: uint8 (h, W, 3), BGR.

        Raises:
            ImageError: The file ends too early.
        """
        width, height = self.size
        depth = 2 if self.maximum > 255 else 1
        row_bytes = width * self.channels * depth if self.maximum else -(-width // 8)
        shades = _shades(self.maximum)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            data = self.stream.read(count * row_bytes)
            if len(data) < count * row_bytes:
                raise ImageError(f"{source}: damaged or cut-off image: it ends before its last row")
            if self.maximum:
                values = np.frombuffer(data, ">u2" if depth == 2 else np.uint8)
                pixels = values.astype(np.uint8) if self.maximum == 255 else shades[values]
                pixels = pixels.reshape(count, width, self.channels)
            else:
                bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(count, -1), axis=1)
                pixels = shades[bits[:, :width, None]]
            code = cv2.COLOR_RGB2BGR if self.channels == 3 else cv2.COLOR_GRAY2BGR
            yield np.asarray(cv2.cvtColor(pixels, code), dtype=np.uint8)


def read_header(stream: IO[bytes], source: str) -> Netpbm:
    """Read the header of a binary picture, and leave the stream at its first row.

    Raises:
        ImageError: It has no such header in its first 4096 bytes, or its maximum is not 1 to 65535.
    """
    head = stream.read(_MAX_HEADER)
    found = (_BITMAP if head.startswith(b"P4") else _MAP).match(head)
    if found is None:
        raise ImageError(
            f"{source}: damaged or cut-off image: no PNM header in its first {_MAX_HEADER} bytes"
        )
    width, height, *maximum = (int(one) for one in found.groups())
    if maximum and not 0 < maximum[0] < 65536:
        raise ImageError(f"{source}: damaged image: its maximum is {maximum[0]}: expected 1..65535")
    stream.seek(found.end())
    return Netpbm(
        stream=stream,
        size=(width, height),
        channels=3 if head.startswith(b"P6") else 1,
        maximum=maximum[0] if maximum else 0,
    )


def _shades(maximum: int) -> NDArray[np.uint8]:
    """The 8-bit shade of each stored value; values above the maximum are white."""
    if not maximum:
        return np.array([255, 0], np.uint8)
    values = np.arange(256 if maximum < 256 else 65536)
    return np.minimum(np.rint(values * 255 / maximum), 255).astype(np.uint8)
