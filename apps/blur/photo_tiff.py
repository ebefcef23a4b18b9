"""Give a TIFF that OpenCV wrote the colour profile that it has no place for."""

from __future__ import annotations

import struct

_ICC_PROFILE = 34675
"""Tag of the profile (ICC.1:2022, annex B.4)."""


def with_profile(content: bytes, profile: bytes | None) -> bytes:
    """The file with a colour profile in its only directory (TIFF 6.0, section 2).

    Args:
        content: A small-endian TIFF of one page.
        profile: The profile; None leaves the file as it is.
    """
    if profile is None:
        return content
    assert content.startswith(b"II*\0")
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [content[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count)]
    data = content + bytes(len(content) % 2)
    entries.append(struct.pack("<HHII", _ICC_PROFILE, 7, len(profile), len(data)))
    data += profile + bytes(len(profile) % 2)
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory
