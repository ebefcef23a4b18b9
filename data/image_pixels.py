"""Bring decoded pixels of any kind into one array, strip by strip.

Beside what the decoder holds, no more than the result and a strip are in memory, whatever has to be
done: colours, transparency, turning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .image_headers import tiff_bits

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Strips = Callable[[int], Iterator[NDArray[np.uint8]]]
"""Given a number of rows, yields a picture from the top in parts of at most so many rows."""

_STRIP_PIXELS = 1_000_000


def assemble(size: tuple[int, int], orientation: int, strips: Strips) -> NDArray[np.uint8]:
    """Put the strips of a stored picture together, turned upright.

    Args:
        size: Width and height of the stored picture.
        orientation: Its EXIF orientation, 1 to 8 (Exif 2.32, section 4.6.4).
        strips: Makes its strips, uint8 (h, W, 3).

    Returns:
        uint8 (H, W, 3), or (W, H, 3) for the orientations from 5.
    """
    width, height = size
    shape = (width, height, 3) if orientation >= 5 else (height, width, 3)
    upright = np.empty(shape, np.uint8)
    # Rows of the stored picture are columns of the upright one from 5 on, and in the other
    # direction for some. A strip is turned by itself first, which takes a quarter of the time of
    # writing it across.
    along = upright.swapaxes(0, 1) if orientation >= 5 else upright
    top = 0
    for strip in strips(max(1, _STRIP_PIXELS // width)):
        turned = _turned(strip, orientation)
        bottom = top + len(strip)
        ends = (height - bottom, height - top) if orientation in _BACKWARDS else (top, bottom)
        along[slice(*ends)] = turned.swapaxes(0, 1) if orientation >= 5 else turned
        top = bottom
    return upright


_BACKWARDS = (3, 4, 6, 7)
"""EXIF orientations whose first stored row is the last row or column."""


def _turned(strip: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A part of a stored picture, upright."""
    if orientation in (2, 3, 4):
        return np.asarray(cv2.flip(strip, {2: 1, 3: -1, 4: 0}[orientation]), np.uint8)
    if orientation in (6, 8):
        how = cv2.ROTATE_90_CLOCKWISE if orientation == 6 else cv2.ROTATE_90_COUNTERCLOCKWISE
        return np.asarray(cv2.rotate(strip, how), np.uint8)
    if orientation in (5, 7):
        across = cv2.transpose(strip)
        return np.asarray(across if orientation == 5 else cv2.flip(across, -1), np.uint8)
    return strip


def strips_of(image: PILImage, rows: int, source: str) -> Iterator[NDArray[np.uint8]]:
    """Yield a decoded picture as strips of `rows` rows in BGR, transparent parts on white.

    Raises:
        ImageError: Its pixels are float or 32-bit integers, or of unknown colours.
    """
    width, height = image.size
    # What Pillow has in 16 bits it has as it is stored.
    deep = 12 if 12 in tiff_bits(image) else 16
    for top in range(0, height, rows):
        strip = _reduced(image.crop((0, top, width, min(height, top + rows))), deep, source)
        code = cv2.COLOR_GRAY2BGR if strip.mode == "L" else cv2.COLOR_RGB2BGR
        yield np.asarray(cv2.cvtColor(np.asarray(strip), code), dtype=np.uint8)


def _reduced(strip: PILImage, deep: int, source: str) -> PILImage:
    """A strip in RGB or grey; of one in 16 bits so many are used."""
    from PIL import Image

    if strip.mode.startswith("I;16"):
        # Keep the upper 8 bits, as Pillow does for 16-bit colour.
        return Image.fromarray((np.asarray(strip).astype(np.uint16) >> (deep - 8)).astype(np.uint8))
    if strip.mode == "1":
        return strip.convert("L")
    if strip.mode in ("I", "F"):
        raise ImageError(f"{source}: has 32-bit pixels: expected 8 or 16 bits for each channel")
    if strip.has_transparency_data:
        if strip.mode == "La":  # grey premultiplied by alpha
            strip = strip.convert("LA")
        layer = strip.convert("RGBA")
        white = Image.new("RGB", layer.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    if strip.mode in ("RGB", "L"):
        return strip
    try:
        return strip.convert("RGB")
    except ValueError as error:
        raise ImageError(f"{source}: colours of mode {strip.mode} are not read") from error
