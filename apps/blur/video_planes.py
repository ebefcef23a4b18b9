"""Hide faces in a stored frame of a video, plane by plane: all other pixels stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...data.coded_videos import Kind, planes_of
from ...data.video_pixels import is_hd
from ...results import Detections
from .cover import Cover, FromBgr, Picture, hide_in_all
from .video_masks import Hull, masks_in

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.3, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""By code point of the matrix, the shares of red and blue in luma (ITU-T H.273, table 4)."""

_UNTAGGED = 2
_FULL_RANGE = 2


def stored_boxes(faces: Detections, shown: tuple[int, int], kind: Kind) -> Detections:
    """Boxes in pixels as stored, of boxes as shown.

    Args:
        faces: In pixels as shown.
        shown: Height and width as shown.
        kind: What the frames are.
    """
    x, y = _stored(faces.boxes[:, 0::2], faces.boxes[:, 1::2], shown, kind)
    x, y = np.sort(x, 1), np.sort(y, 1)
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).astype(np.float32)
    return Detections(boxes, faces.scores)


def stored_hull(hull: Hull | None, shown: tuple[int, int], kind: Kind) -> Hull | None:
    """An outline in pixels as stored; arguments as of `stored_boxes`."""
    if hull is None:
        return None
    return np.stack(_stored(hull[:, 0], hull[:, 1], shown, kind), 1).astype(np.float32)


def _stored(
    x: NDArray[Any], y: NDArray[Any], shown: tuple[int, int], kind: Kind
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b, c, d = kind.matrix
    height, width = shown
    x, y = x.astype(np.float64), y.astype(np.float64)
    if b:
        x, y = (height - y if b < 0 else y), (width - x if c < 0 else x)
        height, width = width, height
    else:
        x, y = (width - x if a < 0 else x), (height - y if d < 0 else y)
    return x * kind.width / width, y * kind.height / height


def hide_in_planes(
    frame: VideoFrame,
    faces: Detections,
    cover: Cover,
    kind: Kind,
    hulls: Sequence[Hull | None] = (),
) -> None:
    """Hide faces in a planar YUV or grey frame, in place.

    Args:
        frame: Nobody else's.
        faces: In pixels as stored, as `drawn_boxes` gives them.
        cover: How they are hidden.
        kind: Which colours the frame has.
        hulls: Of each face, as stored, for the shape `mask`; who has none is hidden by an ellipse.
    """
    if not len(faces):
        return
    by_size: dict[tuple[int, int], list[tuple[NDArray[Any], FromBgr | None]]] = {}
    stored = planes_of(frame)
    for index, plane in enumerate(stored):
        bits = frame.format.components[index].bits
        size = plane.shape[0], plane.shape[1]
        by_size.setdefault(size, []).append((plane, _from_bgr(index, bits, kind)))
    for (height, width), planes in by_size.items():
        across, down = max(1, round(kind.width / width)), max(1, round(kind.height / height))
        scale = np.array([across, down, across, down], np.float32)
        boxes = Detections(faces.boxes / scale, faces.scores)
        if cover.shape == "mask":
            parts = [None if hull is None else hull / scale[:2] for hull in hulls]
            rows, masks = masks_in(parts, boxes, (height, width))
            hide_in_all(planes, boxes[rows], cover, masks=masks)
            others = [row for row in range(len(boxes)) if row not in rows]
            hide_in_all(planes, boxes[others], replace(cover, shape="ellipse"))
        else:
            hide_in_all(planes, boxes, cover)
    for plane, component in zip(stored, frame.format.components, strict=True):
        bits = component.bits
        if bits % 8:  # cubic curves reach beyond what ten bits can hold
            np.minimum(plane, (1 << bits) - 1, out=plane)


def black(frame: VideoFrame, kind: Kind) -> None:
    """Make a planar YUV or grey frame black."""
    nothing = np.zeros((1, 1, 3), np.uint8)
    for index, plane in enumerate(planes_of(frame)):
        bits = frame.format.components[index].bits
        plane[...] = _from_bgr(index, bits, kind)(nothing)


def _from_bgr(index: int, bits: int, kind: Kind) -> FromBgr:
    return partial(_plane_of, index=index, bits=bits, kind=kind)


def _plane_of(picture: Picture, *, index: int, bits: int, kind: Kind) -> NDArray[Any]:
    """The luma (0), blue (1) or red difference (2) of a BGR picture (h, w, 3): (h, w)."""
    code = kind.colours[2]
    if code == _UNTAGGED:
        code = 1 if is_hd(kind.width, kind.height) else 6
    red, blue = _WEIGHTS.get(code, _WEIGHTS[6])
    b, g, r = np.moveaxis(picture.astype(np.float32) / 255, -1, 0)
    luma = red * r + (1 - red - blue) * g + blue * b
    full = kind.colours[3] == _FULL_RANGE or kind.pix_fmt.startswith("yuvj")
    one = float(1 << (bits - 8))
    most = float((1 << bits) - 1)
    if index == 0:
        values = luma * most if full else (16 + 219 * luma) * one
    else:
        part = (b - luma) / (1 - blue) / 2 if index == 1 else (r - luma) / (1 - red) / 2
        values = 128 * one + part * (most if full else 224 * one)
    return np.asarray(np.rint(values.clip(0, most)), np.uint16 if bits > 8 else np.uint8)
