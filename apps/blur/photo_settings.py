"""What makes a photo's file what it is beside its pixels: tables, profile, times, loops."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...data.image_headers import tiff_bits
from ...data.netpbm import read_header
from ...errors import ImageError
from .photo_profile import sound_profile

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

LOSSY_QUALITY = 95
"""Of WebP, AVIF and HEIC, whose own quality their files do not tell."""

_USUAL_PRIMARIES, _USUAL_TRANSFERS = (1, 2, 5, 6), (1, 2, 6, 13)
"""Of ISO/IEC 23091-2, what a picture without a profile is taken for; 2 says nothing."""

_DEEP = {
    "AVIF": rb"av1C..[\x40-\x7f\xc0-\xff]",
    "HEIF": rb"hvcC.{17}(?!\xf8\xf8)",
}
"""Where their files say that they have more than 8 bits: a bit of the third byte (AV1 in ISO files
1.2, section 2.3.3), and the depths less 8 (ISO/IEC 14496-15, section 8.3.3.1)."""

_SAMPLES = {(1, 1): 0, (2, 1): 1, (2, 2): 2}
"""Pillow's numbers of chroma subsampling, by horizontal and vertical factor."""


def settings_of(image: PILImage, content: bytes, orientation: int) -> dict[str, Any]:
    """What Pillow's `save` has to be told.

    Args:
        image: The opened photo.
        content: Its file.
        orientation: By which it will be turned.
    """
    kind = "JPEG" if image.format == "MPO" else image.format
    info = image.info
    found: dict[str, Any] = {}
    profile = sound_profile(info.get("icc_profile"))
    if profile and kind != "TIFF":  # of which each page has its own
        found["icc_profile"] = profile
    if kind == "JPEG":
        found |= _jpeg(image, across=orientation >= 5)
    if kind in ("JPEG", "BMP") and info.get("dpi"):
        found["dpi"] = info["dpi"]
    if kind == "TIFF":
        found["compression"] = "tiff_adobe_deflate"
    if kind == "WEBP":
        lossless = is_lossless_webp(content)
        found |= {"lossless": lossless, "quality": 80 if lossless else LOSSY_QUALITY}
    if kind in ("AVIF", "HEIF"):
        found["quality"] = LOSSY_QUALITY
    if getattr(image, "n_frames", 1) > 1:
        if "loop" in info:
            found["loop"] = info["loop"]
        if kind == "PNG":
            found["default_image"] = bool(getattr(image, "default_image", False))
        if kind == "WEBP" and "background" in info:
            found["background"] = tuple(info["background"])
    return found


def _jpeg(image: Any, *, across: bool) -> dict[str, Any]:
    """Quantisation tables and subsampling, so that pixels outside of faces change least."""
    tables = [list(image.quantization[layer[3]]) for layer in image.layer]
    factors = [(layer[1], layer[2]) for layer in image.layer]
    if across:
        tables = [[one[8 * x + y] for y in range(8) for x in range(8)] for one in tables]
        factors = [(vertical, horizontal) for horizontal, vertical in factors]
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()  # Pillow uses the last one for all components that follow
    found: dict[str, Any] = {"qtables": tables}
    if len(factors) == 3:
        first = tuple(a // b for a, b in zip(factors[0], factors[1], strict=True))
        alike = factors[1] == factors[2] and all(
            a % b == 0 for a, b in zip(factors[0], factors[1], strict=True)
        )
        # What Pillow cannot write becomes 4:4:4, which loses nothing.
        found["subsampling"] = _SAMPLES.get(first, 0) if alike else 0
        found["keep_rgb"] = image.info.get("adobe_transform") == 0
    else:
        found["subsampling"] = 0
    if image.info.get("progressive"):
        found["progressive"] = True
    return found


def is_lossless_webp(content: bytes) -> bool:
    """Whether all pictures of a WebP are of its lossless kind (RFC 9649, section 2.6)."""
    kinds = {name for name in _webp_chunks(content, 12) if name in (b"VP8 ", b"VP8L")}
    return kinds == {b"VP8L"}


def _webp_chunks(content: bytes, start: int) -> Iterator[bytes]:
    while start + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, start)
        yield name
        # A frame's own chunks follow its header of 16 bytes.
        start += 8 + (16 if name == b"ANMF" else size + size % 2)


def sixteen_bits(content: bytes, kind: str) -> bool:
    """Whether a PNG, or any page of a TIFF, has 16 bits a channel."""
    if kind == "PNG":
        return content[24] == 16
    if kind != "TIFF":
        return False
    from PIL import Image, ImageSequence

    with Image.open(io.BytesIO(content), formats=["TIFF"]) as image:
        return any(16 in tiff_bits(page) for page in ImageSequence.Iterator(image))


def refuse_unkept(content: bytes, kind: str, source: str) -> None:
    """Refuse what Pillow would make less of without a word.

    Raises:
        ImageError: A bitmap, or one of unusual depth.
    """
    why = ""
    if kind == "PPM":
        maximum = read_header(io.BytesIO(content), source).maximum
        if maximum != 255:
            why = f"a PPM whose maximum is {maximum}, not 255" if maximum else "a bitmap"
    elif kind in _DEEP and re.search(_DEEP[kind], content, re.DOTALL):
        why = "more than 8 bits a channel"
    if kind in ("AVIF", "HEIF"):
        for found in re.finditer(rb"colrnclx(..)(..)", content, re.DOTALL):
            primaries, transfer = (int.from_bytes(one, "big") for one in found.groups())
            if primaries not in _USUAL_PRIMARIES or transfer not in _USUAL_TRANSFERS:
                why = "colours of a wide or high range without a profile"
    if why:
        raise ImageError(f"{source}: {why}: not kept, convert it to PNG first")
