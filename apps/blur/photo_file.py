"""A photo's file, with all that is kept when it is written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Picture = NDArray[np.uint8]


_FEW_TONES = 4
"""Most tones of a picture that is made of dots."""

_DOTS = 1.5
"""Spread, in pixels, by which they become tones. Of 21 faces in seven photos that were made black
and white, face-detection-n finds none, and 20 after it."""


@dataclass(eq=False)
class Frame:
    """One picture of a photo's file, upright.

    Attributes:
        colours: (H, W) grey, (H, W, 3) BGR or (H, W, 4) CMYK as Pillow has it; uint8 or uint16.
            Faces are hidden in them, in place.
        alpha: (H, W) of the same type; None if all is opaque.
        lasts: How long an animation shows it, in milliseconds; None where the file does not say.
        palette: The colours that it had, as `codes_of` has them; None where they do not matter.
        settings: Of a TIFF's page: what Pillow's `save` is told of it alone.
    """

    colours: Pixels
    alpha: Pixels | None = None
    lasts: float | None = None
    palette: NDArray[np.uint32] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def views(self) -> Sequence[Picture]:
        """What is searched for faces, uint8 (H, W, 3), BGR.

        Of a frame with alpha both what a viewer shows, on white, and the colours by themselves,
        which anybody can have who takes the alpha away. Of one made of dots, as a fax, also what
        the eye makes of them: no detector knows such faces.
        """
        views = [to_bgr(self.colours)]
        if self.alpha is not None:
            share = cv2.cvtColor(eight_bits(self.alpha), cv2.COLOR_GRAY2BGR)
            shown = np.asarray(255 - cv2.multiply(255 - views[0], share, scale=1 / 255), np.uint8)
            views.insert(0, shown)
        if _tones(views[-1]) <= _FEW_TONES:
            views += [np.asarray(cv2.GaussianBlur(view, (0, 0), _DOTS), np.uint8) for view in views]
        return views

    def from_bgr(self, drawn: Picture) -> Pixels:
        """Convert what is drawn, uint8 (h, w, 3) BGR, to colours of this frame."""
        made: Pixels = drawn
        if self.colours.ndim == 2:
            made = cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY)
        elif self.colours.shape[2] == 4:
            ink = 255 - drawn[..., ::-1]
            made = np.concatenate([ink, np.zeros_like(ink[..., :1])], axis=2)
        return made.astype(np.uint16) * 257 if self.colours.dtype == np.uint16 else made

    def wipe_unseen(self) -> None:
        """Make what is fully transparent black: its colours may be a face that nobody looks for."""
        if self.alpha is not None:
            self.colours[self.alpha == 0] = 0


@dataclass(eq=False)
class PhotoFile:
    """A decoded photo.

    Attributes:
        kind: The format by Pillow's name: JPEG, PNG, WEBP, …
        frames: Its pictures: one, or those of an animation, or a TIFF's pages.
        settings: What is passed on to Pillow's `save`, so that the file becomes what it was.
        exif: The tags that are kept; empty for none.
        chunks: Of a PNG: those that say what its colours mean, by name.
        orientation: EXIF orientation that it is written with, as it was stored; 1 for upright.
        stored: Of a JPEG: the file, without what follows its pixels; else empty.
    """

    kind: str
    frames: Sequence[Frame]
    settings: Mapping[str, Any] = field(default_factory=dict)
    exif: bytes = b""
    chunks: Sequence[tuple[bytes, bytes]] = ()
    orientation: int = 1
    stored: bytes = b""


def eight_bits(values: Pixels) -> Picture:
    """Values of 16 bits as their upper 8."""
    return (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values


def to_bgr(colours: Pixels) -> Picture:
    """Colours of a `Frame` as uint8 (H, W, 3), BGR; a copy, or the same array."""
    values = eight_bits(colours)
    if values.ndim == 2:
        return np.asarray(cv2.cvtColor(values, cv2.COLOR_GRAY2BGR), np.uint8)
    if values.shape[2] == 4:
        from PIL import Image

        rgb = np.asarray(Image.fromarray(values, "CMYK").convert("RGB"))
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)
    return values


def _tones(bgr: Picture) -> int:
    """How many levels of grey a picture has."""
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    return int(np.count_nonzero(np.bincount(grey.ravel(), minlength=256)))


def codes_of(bgr: Picture) -> NDArray[np.uint32]:
    """Each colour as one number, red in its upper bits: (H, W) of (H, W, 3)."""
    blue, green, red = (bgr[..., channel].astype(np.uint32) for channel in range(3))
    return np.asarray(red << 16 | green << 8 | blue, np.uint32)


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels upright, by their EXIF orientation (Exif 2.32, section 4.6.4)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    # From 5 on, of the picture whose rows and columns are exchanged.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def turned_back(pixels: Pixels, orientation: int) -> Pixels:
    """Upright pixels as they are stored."""
    return turned(pixels, {6: 8, 8: 6}.get(orientation, orientation))
