"""Decode a photo's file with its frames, depth, alpha and profile; or refuse what is not kept."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ...data.image_headers import (
    check_fields,
    check_tiles,
    format_of,
    jpeg_variants,
    open_pillow,
    tiff_bits,
)
from ...data.images import decode_image
from ...data.pillow_quiet import pillow_quiet
from ...errors import ImageError
from .photo_file import Frame, PhotoFile, Picture, codes_of, to_bgr, turned
from .photo_metadata import Group, kept_tags
from .photo_settings import refuse_unkept, settings_of, sixteen_bits
from .photo_tiff import page_settings
from .png_chunks import colour_chunks

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

MAX_ALL_PIXELS = 200_000_000
"""Most pixels in all frames of an animation, or pages of a TIFF, which are in memory together."""

_MAX_FRAMES = 10_000

_ONE_PICTURE = ("JPEG", "HEIF")
"""Formats of whose pictures the main one alone is kept: others are previews, bursts and so on."""


def read_photo(
    content: bytes,
    *,
    source: str,
    keep: frozenset[Group] = frozenset(),
    as_stored: bool = False,
) -> PhotoFile:
    """Decode a photo to be changed and written again.

    Args:
        content: The file.
        source: Its name in error messages.
        keep: The groups of metadata that are kept; all other metadata are not even read.
        as_stored: Whether a JPEG is to be written as it lies in its file, with its orientation.

    Raises:
        ImageError: See `data.images.read_image`; or there is something in it that would be lost.
    """
    # Everything that is damaged, cut off or too large is refused here, in the same words.
    shown = decode_image(content, source=source)
    kind = format_of(content[:64], source)
    if kind == "JPEG":
        content = jpeg_variants(content, source)[0]
    refuse_unkept(content, kind, source)
    with pillow_quiet():
        try:
            if kind == "TIFF":
                check_fields(io.BytesIO(content), source, pages=_MAX_FRAMES)
            image, orientation = open_pillow(io.BytesIO(content), kind, source)
            count = getattr(image, "n_frames", 1) if kind not in _ONE_PICTURE else 1
            _check_count(image, count, source)
            image.load()
            exif = kept_tags(image, keep)
            written = orientation if as_stored and kind == "JPEG" else 1
            settings = settings_of(image, content, 1 if written > 1 else orientation)
            if sixteen_bits(content, kind):
                if count > 1:
                    what = "pages with 16 bits in one" if kind == "TIFF" else "frames of 16 bits"
                    raise ImageError(f"{source}: several {what} are not kept")
                frames = [_deep(content, orientation, shown, source)]
            elif image.mode in ("RGB", "L") and count == 1 and not image.has_transparency_data:
                frames = [Frame(shown if image.mode == "RGB" else shown[..., 0].copy())]
            else:
                frames = list(_frames(image, count, orientation, source))
            if kind == "TIFF" and count == 1:  # of more, each has its own
                frames[0].settings = page_settings(image)
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # nearly any, of damaged later frames
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ImageError(f"{source}: damaged or cut-off image: {reason}") from error
    if kind != "TIFF" and any(one.colours.shape[:2] != shown.shape[:2] for one in frames):
        raise ImageError(f"{source}: damaged or cut-off image: its frames differ in size")
    chunks = colour_chunks(content) if kind == "PNG" else ()
    stored = content if kind == "JPEG" else b""
    return PhotoFile(kind, frames, settings, exif, chunks, written, stored)


def _check_count(image: PILImage, count: int, source: str) -> None:
    if count > _MAX_FRAMES or count * image.width * image.height > MAX_ALL_PIXELS:
        raise ImageError(
            f"{source}: {count:,} frames of {image.width} x {image.height} pixels: above the limit "
            f"of {MAX_ALL_PIXELS:,} pixels, or of {_MAX_FRAMES:,} frames"
        )


def _frames(image: PILImage, count: int, orientation: int, source: str) -> Iterator[Frame]:
    pixels = 0
    for number in range(count):
        image.seek(number)
        pixels += image.width * image.height  # pages of a TIFF have their own sizes
        if pixels > MAX_ALL_PIXELS:
            raise ImageError(f"{source}: more than {MAX_ALL_PIXELS:,} pixels in all its pages")
        if image.format == "TIFF":
            check_tiles(image, source)
        image.load()
        frame = _frame_of(image, orientation, source)
        if count > 1 and image.format != "TIFF":
            frame.lasts = image.info.get("duration")
        if image.format == "TIFF":
            frame.settings = page_settings(image)
        if image.format == "GIF":
            frame.palette = np.unique(codes_of(to_bgr(frame.colours)))
        yield frame


def _frame_of(image: PILImage, orientation: int, source: str) -> Frame:
    """A frame of Pillow's as arrays."""
    if image.format == "TIFF" and 12 in tiff_bits(image):
        raise ImageError(f"{source}: pages of 12 bits are not kept")
    if image.mode.startswith("I;16"):
        return Frame(turned(np.asarray(image).astype(np.uint16), orientation))
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA", "1") else "RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "YCbCr", "RGBX"):
        image = image.convert("RGB")
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        raise ImageError(f"{source}: colours of mode {image.mode} are not kept")
    pixels = turned(np.array(image), orientation)
    if image.mode in ("L", "CMYK"):
        return Frame(pixels)
    if image.mode == "LA":
        return Frame(pixels[..., 0].copy(), pixels[..., 1].copy())
    alpha = pixels[..., 3].copy() if image.mode == "RGBA" else None
    return Frame(np.ascontiguousarray(pixels[..., 2::-1]), alpha)


def _deep(content: bytes, orientation: int, shown: Picture, source: str) -> Frame:
    """The only frame of a PNG or TIFF of 16 bits, which Pillow would make 8.

    Args:
        content: The file.
        orientation: By which it is turned.
        shown: How Pillow has it, upright.
        source: Its name in error messages.
    """
    pixels: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    frame = None
    if pixels is not None and pixels.dtype == np.uint16:
        pixels = turned(pixels, orientation)
        frame = Frame(pixels)
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            frame = Frame(np.ascontiguousarray(pixels[..., :3]), pixels[..., 3].copy())
    # Two libraries must see the same picture: who knows what the others have in it?
    if frame is None or not _alike(frame.views()[0], shown):
        raise ImageError(f"{source}: 16 bits of this kind are not kept")
    return frame


def _alike(one: Picture, other: Picture) -> bool:
    return one.shape == other.shape and bool(cv2.absdiff(one, other).max() <= 2)
