"""Write a BMP with alpha, which Pillow makes without: readers take it for opaque."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_HEADER, _INFO = 14, 108
"""Bytes of the file's header and of BITMAPV4HEADER (Microsoft, wingdi.h)."""

_BITFIELDS = 3
_MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
"""Of red, green, blue and alpha in each number of 32 bits."""

_SRGB = b"BGRs"
_METRE = 39.3701
"""Inches."""


def bmp_with_alpha(pixels: NDArray[np.uint8], dpi: tuple[float, float] | None) -> bytes:
    """A BMP of 32 bits, which says where its alpha is.

    Args:
        pixels: uint8 (H, W, 4), BGR and alpha.
        dpi: Across and down; None for none.
    """
    height, width = pixels.shape[:2]
    start = _HEADER + _INFO
    density = [round(one * _METRE) for one in dpi or (0, 0)]
    info = struct.pack(
        "<IiiHHIIiiII4I4s48x",
        *(_INFO, width, height, 1, 32, _BITFIELDS, pixels.nbytes, *density, 0, 0),
        *_MASKS,
        _SRGB,
    )
    head = struct.pack("<2sIHHI", b"BM", start + pixels.nbytes, 0, 0, start)
    return head + info + pixels[::-1].tobytes()
