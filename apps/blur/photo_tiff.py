"""Colour profile and resolution of a TIFF's pages, for which OpenCV has no place."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any

from .photo_profile import sound_profile

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_ICC_PROFILE = 34675
"""Tag of the profile (ICC.1:2022, annex B.4)."""

_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
"""Tags (TIFF 6.0, section 8)."""

_INCH, _UNITS = 2, (1, 2, 3)
"""Of the resolution: what none means, and all."""

_SHORT, _RATIONAL, _UNDEFINED = 3, 5, 7
"""Types of values (TIFF 6.0, section 2)."""

_FINEST, _DENSEST = 1000, 1_000_000
"""Largest denominator of a resolution, and the largest one that is none by accident."""


def page_settings(image: PILImage) -> dict[str, Any]:
    """What Pillow's `save` has to be told of an opened page alone: its profile and resolution."""
    found: dict[str, Any] = {}
    tags: Any = getattr(image, "tag_v2", {})  # `info` still has what an earlier page told
    if profile := sound_profile(tags.get(_ICC_PROFILE)):
        found["icc_profile"] = profile
    across, down = (tags.get(tag) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    unit = tags.get(_UNIT, _INCH)
    if _is_density(across) and _is_density(down) and unit in _UNITS:
        found |= {
            "x_resolution": float(across),
            "y_resolution": float(down),
            "resolution_unit": unit,
        }
    return found


def _is_density(value: Any) -> bool:
    return isinstance(value, Real) and 0 < float(value) <= _DENSEST


def with_page_settings(content: bytes, settings: Mapping[str, Any]) -> bytes:
    """The file with profile and resolution in its only directory (TIFF 6.0, section 2).

    Args:
        content: A small-endian TIFF of one page without them.
        settings: See `page_settings`.
    """
    assert content.startswith(b"II*\0")
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [content[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count)]
    data = content + bytes(len(content) % 2)

    def add(tag: int, kind: int, numbers: int, value: bytes) -> None:
        nonlocal data
        place = value.ljust(4, b"\0")
        if len(value) > 4:
            place = struct.pack("<I", len(data))
            data += value + bytes(len(value) % 2)
        entries.append(struct.pack("<HHI4s", tag, kind, numbers, place))

    if profile := settings.get("icc_profile"):
        add(_ICC_PROFILE, _UNDEFINED, len(profile), profile)
    for tag, name in ((_X_RESOLUTION, "x_resolution"), (_Y_RESOLUTION, "y_resolution")):
        if name in settings:
            ratio = Fraction(settings[name]).limit_denominator(_FINEST)
            add(tag, _RATIONAL, 1, struct.pack("<II", ratio.numerator, ratio.denominator))
    if unit := settings.get("resolution_unit"):
        add(_UNIT, _SHORT, 1, struct.pack("<H", unit))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory
