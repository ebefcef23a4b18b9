"""TIFF files that no library here writes."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray


def grey_of_12_bits(pixels: NDArray[np.uint16]) -> bytes:
    """A TIFF of pixels (H, W) below 4096; W is even."""
    one, other = pixels.reshape(-1, 2).T
    data = np.stack([one >> 4, (one & 15) << 4 | other >> 8, other & 255], 1).astype(np.uint8)
    return _strip(data.tobytes(), pixels.shape, bits=12)


def grey_of_4_bits(pixels: NDArray[np.uint8]) -> bytes:
    """A TIFF of pixels (H, W) below 16; W is even."""
    return _strip((pixels[:, ::2] << 4 | pixels[:, 1::2]).tobytes(), pixels.shape, bits=4)


def _strip(data: bytes, shape: tuple[int, ...], *, bits: int) -> bytes:
    """A TIFF of one strip (TIFF 6.0, section 8)."""
    height, width = shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    tags[279] = len(data)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(data) + len(data) % 2)
    body = data + bytes(len(data) % 2)
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4)
