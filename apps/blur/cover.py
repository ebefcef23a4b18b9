"""Hide faces in pixels, so that nobody can bring them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...mask import Mask
from ...results import Detections
from .outline import Area, Opacity, Shape, outline_of

Pixels = NDArray[Any]
Picture = NDArray[np.uint8]

Style = Literal["mosaic", "gaussian", "solid", "emoji", "replace"]
STYLES: tuple[Style, ...] = get_args(Style)

CELLS = 3
"""Most cells along the longer side of a face's box: all that is left of its colours.

A radius in pixels, as others have it, leaves a large face recognisable. Of six cells
a strong recogniser still makes something, of three no more than of one colour
(tools/blur_reidentification.py)."""

GROW = 1.4
"""Size of what is hidden relative to a face's box. Of 6 to 8 in 100 large faces of WIDER FACE, more
than a tenth shows at 1.2 and not at 1.4."""

_DRAWN = 32.0
"""Most pixels along the side of a cell when its edges are softened."""

_SKIN, _INK = (80, 205, 255), (30, 40, 50)
"""Of the emoji, BGR."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Cover:
    """How faces are hidden.

    Attributes:
        style: `mosaic` and `gaussian` keep the mean colours of at most `CELLS` x `CELLS` cells,
            `solid` is one colour, `emoji` a drawn face, `replace` another picture.
        shape: Which pixels: an ellipse, the box, or those of a segmenter's mask.
        grow: Size of the ellipse, box or mask relative to the face's box, 1 or more.
        colour: Of `solid`, BGR.
        picture: For `replace`: uint8 (H, W, 3), BGR.

    Raises:
        InputError: `grow` is below 1, or a picture is missing or has no use.
    """

    style: Style = "mosaic"
    shape: Shape = "ellipse"
    grow: float = GROW
    colour: tuple[int, int, int] = (0, 0, 0)
    picture: Picture | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.grow <= 10:
            raise InputError(f"grow is {self.grow!r}: expected 1 to 10")
        if (self.style == "replace") != (self.picture is not None):
            raise InputError("a picture goes with the style replace, and with no other")


FromBgr = Callable[[Picture], Pixels]
"""Converts uint8 (h, w, 3) BGR to colours and type of a picture."""


def hide(
    pixels: Pixels,
    faces: Detections,
    cover: Cover,
    *,
    masks: Sequence[Mask] | None = None,
    from_bgr: FromBgr | None = None,
) -> None:
    """Hide faces in a picture, in place.

    Args:
        pixels: (H, W, C) or (H, W), of any integer or float type: BGR or whatever colours the
            picture has, without alpha.
        faces: The faces, in its pixels. Parts beyond its edges are ignored.
        cover: How they are hidden.
        masks: Of each face, for the shape `mask`.
        from_bgr: For colours that are not BGR of uint8.
    """
    hide_in_all([(pixels, from_bgr)], drawn_boxes(faces, cover), cover, masks=masks)


def hidden_pixels(
    size: tuple[int, int],
    faces: Detections,
    cover: Cover,
    *,
    masks: Sequence[Mask] | None = None,
) -> NDArray[np.bool_]:
    """In which pixels of a picture of 8 bits `hide` may change something, the soft edge among them.

    Args:
        size: Its height and width.
        faces: See `hide`, as all that follow.
        cover: How they are hidden.
        masks: Of each face.

    Returns:
        (H, W).
    """
    hidden = np.zeros(size, np.bool_)
    for _, area, opacity in _outlines(size, drawn_boxes(faces, cover), cover, masks):
        hidden[area] |= opacity * 255 > 0.5  # less is rounded off
    return hidden


def drawn_boxes(faces: Detections, cover: Cover) -> Detections:
    """Faces in the boxes that are drawn: a stretched emoji would tell the proportions of a face."""
    if cover.style != "emoji" or not len(faces):
        return faces
    half = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, keepdims=True) / 2
    centre = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    return replace(faces, boxes=np.concatenate([centre - half, centre + half], 1))


def hide_in_all(
    pictures: Sequence[tuple[Pixels, FromBgr | None]],
    faces: Detections,
    cover: Cover,
    *,
    masks: Sequence[Mask] | None = None,
) -> None:
    """As `hide`, in several pictures of one size and of the same faces, as planes of a frame.

    Faces are as `drawn_boxes` has them: in the pixels of a plane, a square may be none.
    """
    size = pictures[0][0].shape[:2]
    for box, area, opacity in _outlines(size, faces, cover, masks):
        for pixels, from_bgr in pictures:
            part = pixels[area]
            filled = _filled(part, box, area, cover, from_bgr)
            weight = opacity if part.ndim == 2 else opacity[..., None]
            mixed = part + weight * (filled.astype(np.float32) - part)
            if np.issubdtype(pixels.dtype, np.integer):
                mixed = np.rint(mixed)
            part[...] = mixed.astype(pixels.dtype)


def _outlines(
    size: tuple[int, int], faces: Detections, cover: Cover, masks: Sequence[Mask] | None
) -> Iterator[tuple[NDArray[np.float32], Area, Opacity]]:
    """The box of each face, and what `outline_of` says of it; none of those out of the picture."""
    for index, box in enumerate(faces.boxes):
        mask = None if masks is None else masks[index]
        outline = outline_of(box, size, shape=cover.shape, grow=cover.grow, mask=mask)
        if outline is not None:
            yield box, *outline


def _filled(
    part: Pixels,
    box: NDArray[np.float32],
    area: Area,
    cover: Cover,
    from_bgr: FromBgr | None,
) -> Pixels:
    """What an area shows in place of its pixels."""
    if cover.style in ("mosaic", "gaussian"):
        cell = max(2.0, float(max(box[2:] - box[:2])) / CELLS)
        return _coarse(part, cell, smooth=cover.style == "gaussian")
    height, width = part.shape[:2]
    if cover.style == "solid":
        drawn = np.full((height, width, 3), cover.colour, np.uint8)
    else:
        drawn = _placed(_emoji() if cover.picture is None else cover.picture, box, area, cover.grow)
    return drawn if from_bgr is None else from_bgr(drawn)


def _coarse(part: Pixels, cell: float, *, smooth: bool) -> Pixels:
    """The means of square cells, drawn as squares or without edges."""
    height, width = part.shape[:2]
    # Rounded down, so that no cell is smaller than asked.
    few = max(1, int(width / cell)), max(1, int(height / cell))
    means = cv2.resize(part, few, interpolation=cv2.INTER_AREA)
    how = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    # Large cells are drawn small first: a wide blur of many pixels would take seconds.
    share = min(1.0, _DRAWN / cell)
    size = max(1, round(width * share)), max(1, round(height * share))
    drawn = cv2.resize(means.astype(np.float32), size, interpolation=how)
    # Sharp squares draw the eye, and their edges tell where the grid lies.
    spread = (cell / 2 if smooth else cell / 10) * share
    drawn = cv2.GaussianBlur(drawn, (0, 0), max(0.5, spread))
    if share < 1:
        drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_LINEAR)
    blurred = np.asarray(drawn, np.float32)
    if np.issubdtype(part.dtype, np.integer):
        blurred = blurred.clip(0, np.iinfo(part.dtype).max)
    return blurred.reshape(part.shape)


def _placed(picture: Picture, box: NDArray[np.float32], area: Area, grow: float) -> Picture:
    """A picture stretched over a grown box, and of that an area; beyond, its edge goes on."""
    rows, columns = area
    centre = (box[:2] + box[2:]) / 2
    size = np.maximum((box[2:] - box[:2]) * grow, 1)
    corner = centre - size / 2
    scale = np.array([picture.shape[1], picture.shape[0]]) / size
    x = (np.arange(columns.start, columns.stop) + 0.5 - corner[0]) * scale[0] - 0.5
    y = (np.arange(rows.start, rows.stop) + 0.5 - corner[1]) * scale[1] - 0.5
    map_x, map_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    drawn = cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.uint8)


def _emoji() -> Picture:
    """A smiling face, uint8 (256, 256, 3), BGR, whose edge is of one colour."""
    face = np.full((256, 256, 3), _SKIN, np.uint8)
    for x in (88, 168):
        cv2.ellipse(face, (x, 104), (14, 22), 0, 0, 360, _INK, -1, cv2.LINE_AA)
    cv2.ellipse(face, (128, 148), (60, 48), 0, 15, 165, _INK, 12, cv2.LINE_AA)
    return face
