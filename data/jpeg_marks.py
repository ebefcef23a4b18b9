"""Walk over a JPEG's markers (ITU-T T.81, annex B) before it is decoded."""

from __future__ import annotations

import re

from ..errors import ImageError

MAX_SCANS = 100
"""Most scans of a JPEG. Ordinary ones have up to about ten, but a hundred bytes can demand another
pass over all pixels, so a small file could keep a core busy for hours. libtiff has this limit."""

MAX_SEGMENTS = 10_000
MAX_HEADER = 32_000_000
MAX_JUNK = 65_536
"""Limits on the segments, on the bytes before the first scan, and on those of them outside of
segments, which Pillow reads one by one; beyond them a file is damaged or malicious."""

_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""A marker that has a length or ends the picture (B.1.1.3). Compressed data holds none."""

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN, _END_OF_PICTURE = 0xDA, 0xD9

END = bytes([0xFF, _END_OF_PICTURE])

# Compressed data, and what may follow each restart marker, of a picture that goes on.
_NOISE = bytes.fromhex("a55a9669c33cb44b") * 32
MORE = _NOISE + b"".join(bytes([0xFF, 0xD0 + number]) + _NOISE for number in range(8)) + END
"""Something else than the end, with which a picture that has all its pixels looks the same."""


def find_end(data: bytes, source: str) -> int | None:
    """The position behind the picture's end mark; None if it has none but all its scans.

    What follows the end, such as a phone's video, and an EXIF thumbnail do not count.

    Raises:
        ImageError: A limit is exceeded, or it neither ends nor has the scans of every component.
    """
    segments = scans = junk = position = 0
    missing: dict[int, set[int]] = {}
    while found := _SEGMENT.search(data, position):
        marker, body = found[0][1], found.end()
        if marker == _END_OF_PICTURE:
            return body
        if not scans:
            junk += found.start() - position
            if junk > MAX_JUNK or body > MAX_HEADER:
                raise ImageError(f"{source}: a JPEG whose pixels do not begin where they should")
        segments += 1
        if segments > MAX_SEGMENTS:
            raise ImageError(f"{source}: a JPEG of more than {MAX_SEGMENTS:,} segments")
        position = body + int.from_bytes(data[body : body + 2], "big")
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                raise ImageError(f"{source}: a JPEG of more scans than the limit of {MAX_SCANS}")
            _note_scan(missing, data[body + 2 : position])
        elif marker in _FRAMES:
            components = data[body + 8 : position : 3]
            missing = {component: set(range(64)) for component in components}
    if not scans or any(missing.values()):
        raise ImageError(f"{source}: damaged or cut-off image: it ends before its last scan")
    return None


def _note_scan(missing: dict[int, set[int]], header: bytes) -> None:
    """Take away the coefficients that a scan brings to their last bit (B.2.3, G.1.1.1)."""
    if len(header) < 4 or header[-1] & 15:
        return
    first, last = header[-3], header[-2]
    for component in header[1:-3:2]:
        missing.get(component, set()).difference_update(range(first, last + 1))
