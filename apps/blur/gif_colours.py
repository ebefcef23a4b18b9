"""Colours of a GIF's frames: those outside of faces stay exactly what they are, where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .photo_file import Frame, codes_of, to_bgr

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_MOST = 256
_AT_ONCE = 4096

Codes = NDArray[np.uint32]


def with_palette(frames: Sequence[Frame]) -> list[PILImage]:
    """Frames as pictures with a palette each, transparent where their alpha is 0."""
    return [_one(frame) for frame in frames]


def _one(frame: Frame) -> PILImage:
    from PIL import Image

    codes = codes_of(to_bgr(frame.colours))
    clear = np.zeros(codes.shape, bool) if frame.alpha is None else frame.alpha == 0
    room = _MOST - bool(clear.any())
    values, places = np.unique(codes, return_inverse=True)
    seen = codes[~clear]
    chosen = np.unique(seen)
    if len(chosen) > room:
        chosen = _chosen(seen, frame.palette, room)
    indices = np.zeros(codes.shape, np.uint8)
    if len(chosen):
        indices = _nearest(values, chosen)[places.reshape(codes.shape)].astype(np.uint8)
    palette = _rgb(chosen)
    if clear.any():
        indices[clear] = len(chosen)
        palette = np.concatenate([palette, np.zeros((1, 3), np.uint8)])
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    if clear.any():
        picture.info["transparency"] = len(chosen)
    return picture


def _chosen(seen: Codes, own: Codes | None, room: int) -> Codes:
    """The colours for a frame that has more than a palette has room for.

    Args:
        seen: Of its pixels, (N,).
        own: Those that it had before faces were hidden. They stay, so that nothing else changes.
        room: How many there may be.
    """
    from PIL import Image

    values = np.unique(seen)
    fixed = values[:0] if own is None else np.intersect1d(values, own)
    if len(fixed) > room:
        fixed = values[:0]
    if len(fixed) == room:
        return fixed
    others = seen[~np.isin(seen, fixed)]
    pixels = Image.fromarray(_rgb(others)[None])
    few = pixels.quantize(room - len(fixed), method=Image.Quantize.MEDIANCUT)
    rgb = np.array(few.getpalette(), np.uint8).reshape(-1, 3)[: room - len(fixed)]
    return np.union1d(fixed, codes_of(rgb[:, None, ::-1]).ravel())


def _nearest(values: Codes, chosen: Codes) -> NDArray[np.intp]:
    """For each colour the index of the nearest chosen one."""
    few = _rgb(chosen).astype(np.int32)
    found = []
    for start in range(0, len(values), _AT_ONCE):
        some = _rgb(values[start : start + _AT_ONCE]).astype(np.int32)
        found.append(((some[:, None] - few[None]) ** 2).sum(axis=2).argmin(axis=1))
    return np.concatenate(found)


def _rgb(codes: Codes) -> NDArray[np.uint8]:
    """(N, 3) of (N,)."""
    return np.stack([codes >> 16, codes >> 8, codes], axis=-1).astype(np.uint8)
