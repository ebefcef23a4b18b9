"""The chunks of a PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

_COLOURS = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"pHYs": 9}
"""What its colours mean, and how large its pixels are (PNG 3rd edition, section 11.3).

Each with its length: one of another length holds something else.
"""


def chunks_of(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk of a PNG that was decoded before."""
    start = 8
    while start + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, start)
        yield name, content[start + 8 : start + 8 + size]
        start += 12 + size


def colour_chunks(content: bytes) -> Sequence[tuple[bytes, bytes]]:
    """The chunks that a PNG's pixels need to look the same; its profile is not among them."""
    found = {name: data for name, data in chunks_of(content) if _COLOURS.get(name) == len(data)}
    return list(found.items())


def with_chunks(content: bytes, chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG with chunks behind its header, in place of those that it has of the same names."""
    names = {name for name, _ in chunks}
    parts = [content[:8]]
    for name, data in chunks_of(content):
        if name not in names:
            parts.append(_chunk(name, data))
        if name == b"IHDR":
            parts.extend(_chunk(*one) for one in chunks)
    return b"".join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", check)
