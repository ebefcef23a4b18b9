"""TIFF files that no library here writes."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray


def grey_of_12_bits(pixels: NDArray[np.uint16]) -> bytes:
    """A TIFF of one strip (TIFF 6.0, section 8).

    Args:
        pixels: (H, W) below 4096; W is even.
    """
    height, width = pixels.shape
    one, other = pixels.reshape(-1, 2).T
    data = np.stack([one >> 4, (one & 15) << 4 | other >> 8, other & 255], 1).astype(np.uint8)
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    tags[279] = data.size
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + data.size + data.size % 2)
    body = data.tobytes() + bytes(data.size % 2)
    return head + body + struct.pack("<H", len(tags)) + entries + bytes(4)
