"""What the pixels of a mask stand for: values or colours, which a flag names as classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError, UserError
from ..model_templates.schema import BACKGROUND
from .class_names import FLAG
from .image_headers import format_of, open_pillow, stored_as
from .masks import BadPair
from .pillow_quiet import pillow_quiet

REST = "rest"
"""In the place of a value: all that are named nowhere else, except 0."""

_EXACT = ("PNG", "BMP", "GIF", "TIFF")
"""Formats that keep the values of pixels."""

_VALUE = re.compile("([0-9]{1,3})(?:-([0-9]{1,3}))?")
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
_MAX_LISTED = 8


@dataclass
class MaskValues:
    """Names of the values, or of the colours, of masks.

    Attributes:
        names: Name by value, 0 to 255; or by colour, as the number that its six digits are.
        coloured: Whether these are colours.
        rest: Name of all other values except 0; None if there must be none.
        strange: Pixels by value that has no name, as far as masks were read.
        first: For each of these values the first mask.
    """

    names: dict[int, str]
    coloured: bool
    rest: str | None = None
    strange: Counter[int] = field(default_factory=Counter)
    first: dict[int, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> MaskValues:
        """Parse texts such as "face=1,2", "face=128-255", "hair=#0000ff" or "background=rest".

        Raises:
            UserError: A text is not of this form, a value is named twice, there are both values and
                colours, or nothing but background.
        """
        pairs: list[tuple[str, str]] = []
        name = ""
        for part in (part.strip() for text in texts for part in text.split(",")):
            ours, sign, value = part.rpartition("=")
            name = ours.strip() if sign else name
            if not name or not value:
                raise UserError(
                    f"{FLAG} {part}: expected NAME=VALUE, as in face=1,2 or face=#ff0000"
                )
            pairs.append((name, value.strip()))
        rest = [name for name, value in pairs if value == REST]
        coloured = any(value.startswith("#") for _, value in pairs)
        names: dict[int, str] = {}
        for name, value in pairs:
            if value == REST:
                continue
            for number in _colour(name, value) if coloured else _numbers(name, value):
                if names.setdefault(number, name) != name:
                    raise UserError(f"{FLAG}: {value} is to be {names[number]!r} and {name!r}")
        if len(set(rest)) > 1:
            raise UserError(f"{FLAG}: {REST} is to be {rest[0]!r} and {rest[1]!r}")
        if not {*names.values(), *rest} - {BACKGROUND}:
            raise UserError(f"{FLAG}: expected a class beside {BACKGROUND}, as in face=1")
        return cls(names, coloured, rest[0] if rest else None)

    @property
    def classes(self) -> list[str]:
        """The classes in order, without background; the first is 1 in masks that are written."""
        names = [*self.names.values(), *([self.rest] if self.rest else [])]
        return [name for name in dict.fromkeys(names) if name != BACKGROUND]

    def indices(self, pixels: NDArray[np.uint8], file: Path) -> NDArray[np.uint8]:
        """Places in `classes` plus 1, and 0 for background: uint8 (H, W).

        Values without a name are counted in `strange`, and 0 here.

        Args:
            pixels: See `read_mask_file`.
            file: The mask, for messages.

        Raises:
            BadPair: The mask is in colour and should not be, or the reverse.
        """
        if self.coloured and pixels.ndim == 2:
            raise BadPair(f"mask in grey, where {FLAG} has colours", file.name)
        if self.coloured:
            codes = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        elif pixels.ndim == 3:
            codes = _grey(pixels, file).astype(np.uint32)
        else:
            codes = pixels.astype(np.uint32)
        number = {name: place for place, name in enumerate(self.classes, start=1)}
        found, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
        indices = np.zeros(len(found), np.uint8)
        for place, (code, count) in enumerate(zip(found.tolist(), counts.tolist(), strict=True)):
            name = self.names.get(code)
            if name is None and code:
                name = self.rest
                if name is None or not self.coloured:
                    self.strange[code] += count
                    self.first.setdefault(code, file.name)
            indices[place] = number.get(name or BACKGROUND, 0)
        return indices[where].reshape(codes.shape)

    def check(self, masks: Path) -> None:
        """Refuse values that have no name.

        Raises:
            DataError: There are; the message has their numbers of pixels, and the first mask.
        """
        if self.rest is not None or not self.strange:
            return
        most = self.strange.most_common()
        some = [f"{self._text(value)} ({count} pixels)" for value, count in most[:_MAX_LISTED]]
        more = f" and {len(most) - len(some)} more" if len(most) > len(some) else ""
        hint = f"name them, or say {FLAG} … {BACKGROUND}={REST} where they are no class"
        if more and not self.coloured:  # far more than there are classes: shades of borders
            hint = f"if borders are soft, say {FLAG} {self.classes[0]}=128-255 {BACKGROUND}={REST}"
        raise DataError(
            f"{masks / self.first[most[0][0]]}: {FLAG} does not name {', '.join(some)}{more}",
            hint=hint,
        )

    def _text(self, value: int) -> str:
        return f"#{value:06x}" if self.coloured else str(value)


def _colour(name: str, value: str) -> list[int]:
    """The number of a colour's text.

    Raises:
        UserError: It is none.
    """
    if not _COLOUR.fullmatch(value):
        raise UserError(f"{FLAG} {name}={value}: expected a colour as #ff0000")
    return [int(value[1:], 16)]


def _numbers(name: str, value: str) -> Sequence[int]:
    """The values of a text such as 7 or 128-255.

    Raises:
        UserError: It is none.
    """
    match = _VALUE.fullmatch(value)
    if match is None:
        raise UserError(
            f"{FLAG} {name}={value}: expected 0 to 255, some as 128-255, or a colour as #ff0000"
        )
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last <= 255:
        raise UserError(f"{FLAG} {name}={value}: expected 0 to 255")
    return range(first, last + 1)


def _grey(pixels: NDArray[np.uint8], file: Path) -> NDArray[np.uint8]:
    """The one channel of a mask that is grey, though it is stored in colour."""
    coloured = (pixels != pixels[:, :, :1]).any(2)
    if coloured.any():
        row, column = np.argwhere(coloured)[0]
        found = f"{file.name}: #{pixels[row, column].tobytes().hex()}"
        raise BadPair(f"mask in colour, where {FLAG} has values", found)
    return pixels[:, :, 0]


def read_mask_file(file: Path, *, coloured: bool) -> NDArray[np.uint8]:
    """The pixels of a mask as they are stored: uint8 (H, W), or RGB (H, W, 3).

    Pixels of 1, 2 and 4 bits are their numbers, from 0 on.

    Args:
        file: The mask.
        coloured: Whether a palette stands for its colours, not for its indices.

    Raises:
        BadPair: The file cannot be read, its format does not keep values, its pixels have more than
            8 bits, or some are transparent.
    """
    source = str(file)
    try:
        with file.open("rb") as stream, pillow_quiet():
            kind = format_of(stream.read(64), source)
            if kind not in _EXACT:
                raise BadPair(f"mask in a format that changes values ({kind})", file.name)
            image, _ = open_pillow(stream, kind, source)
            stored = stored_as(image)
            image.load()
            if ";16" in stored or image.mode not in ("1", "L", "P", "RGB", "LA", "RGBA"):
                what = f"{file.name}: {stored}"
                raise BadPair("mask whose pixels have more than 8 bits, or are no RGB", what)
            if image.mode == "P" and coloured:
                image = image.convert("RGB")
            elif image.mode in ("LA", "RGBA"):
                if image.getextrema()[-1] != (255, 255):
                    raise BadPair("mask with transparent pixels", file.name)
                image = image.convert(image.mode[:-1])
            pixels = np.asarray(image, np.uint8)
    except BadPair:
        raise
    except Exception as error:  # parsers raise nearly anything on damaged files
        what = str(error) if isinstance(error, ImageError) else f"{file.name}: {error}"
        raise BadPair("mask that cannot be read", what) from error
    if stored.startswith(("L;2", "L;4")):
        pixels = pixels // (255 // (2 ** int(stored[2]) - 1))  # Pillow stretches few bits to 8
    return pixels
