"""Metadata that are kept if they are asked for: tag by tag, never one that may hold a picture."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from numbers import Rational
from typing import TYPE_CHECKING, Any, Literal, get_args

from ...errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Group = Literal["date", "camera", "exposure", "copyright", "description", "location"]
GROUPS: tuple[Group, ...] = get_args(Group)

_ROOT, _EXIF, _GPS = 0, 0x8769, 0x8825
"""The directories of tags (Exif 2.32, section 4.6.3)."""

_ORIENTATION = 0x0112

_TAGS: Mapping[Group, Mapping[int, frozenset[int]]] = {
    "date": {
        _ROOT: frozenset({0x0132}),
        _EXIF: frozenset({0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292}),
    },
    "camera": {
        _ROOT: frozenset({0x010F, 0x0110}),
        # Of the lens too, but no serial number and no owner.
        _EXIF: frozenset({0xA432, 0xA433, 0xA434}),
    },
    "exposure": {
        _EXIF: frozenset(
            {
                *(0x829A, 0x829D, 0x8822, 0x8827, *range(0x8830, 0x8836)),
                *range(0x9201, 0x920B),
                *(0xA215, 0xA217, *range(0xA401, 0xA40B), 0xA40C),
            }
        )
    },
    "copyright": {_ROOT: frozenset({0x013B, 0x8298})},
    "description": {_ROOT: frozenset({0x010E})},
    "location": {_GPS: frozenset({*range(0x12 + 1), *range(0x13, 0x1B), 0x1D, 0x1F})},
}
"""Tags of each group (Exif 2.32, sections 4.6.4 to 4.6.6).

Never the maker's note, user comments or thumbnails, whose content nobody can know.
"""

_LONGEST = 1000
"""Letters of a text; longer ones are left out."""

_MOST = 8
"""Numbers of a tag, and bytes of one without a type."""


def check_groups(names: list[str]) -> frozenset[Group]:
    """The groups of metadata by their names.

    Raises:
        UserError: There is no such group.
    """
    for name in names:
        if name not in GROUPS:
            raise UserError(
                f"--keep-metadata {name}: expected some of {', '.join(GROUPS)}, with commas"
            )
    return frozenset(name for name in GROUPS if name in names)


def kept_tags(image: PILImage, keep: frozenset[Group]) -> bytes:
    """EXIF data with nothing but the tags of some groups; empty if there are none.

    Args:
        image: An opened photo.
        keep: The groups.
    """
    from PIL import Image

    if not keep:
        return b""
    fresh = Image.Exif()
    try:
        there = image.getexif()
        directories = {_ROOT: there, _EXIF: there.get_ifd(_EXIF), _GPS: there.get_ifd(_GPS)}
    except Exception:  # damaged metadata of an intact photo are left out
        return b""
    holds_any = False
    for group in keep:
        for place, tags in _TAGS[group].items():
            found = {
                tag: directories[place][tag]
                for tag in sorted(tags)
                if tag in directories[place] and _is_harmless(directories[place][tag])
            }
            if found:  # an empty directory would be written too
                (fresh if place == _ROOT else fresh.get_ifd(place)).update(found)
                holds_any = True
    return fresh.tobytes() if holds_any else b""


def with_orientation(exif: bytes, orientation: int) -> bytes:
    """EXIF data with an orientation."""
    from PIL import Image

    tags = Image.Exif()
    tags.load(exif)
    tags[_ORIENTATION] = orientation
    return tags.tobytes()


def _is_harmless(value: Any) -> bool:
    """Whether a value is a short text or a few numbers."""
    if isinstance(value, str):
        return len(value) <= _LONGEST and value.isprintable()
    if isinstance(value, bytes):
        return len(value) <= _MOST
    if isinstance(value, tuple):
        return len(value) <= _MOST and all(map(_is_number, value))
    return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Rational | Fraction)
