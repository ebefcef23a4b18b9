"""The outlines of a video's faces by a segmenter, which is asked in each tracked box."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...mask import Mask
from ...results import Detections, pairwise_iou
from ...tasks.segmentation.model import FaceSegmenter
from .tracks import Boxes

Hull = NDArray[np.float32]
"""Corners of a convex outline, (N, 2): x, y in pixels."""

_LAYOUT = np.array([[0.29, 0.37], [0.71, 0.37], [0.5, 0.565], [0.32, 0.735], [0.68, 0.735]])
"""Where in its box the landmarks of a face lie: medians of 162 faces of WIDER FACE, as
face-detection-n finds them, both halves alike. With these a face that is upright has the mask that
it has with its own ones (median IoU 0.95); of one that is tilted by more than 20 degrees it is
another one, which `_AGREES` is for."""

_AGREES = 0.5
"""IoU of a mask's box and a face's, below which the mask is of something else; 98 of 100 are
above."""

_FILLED = 0.8
"""Of the ellipse within a face's box, the share that a mask has in it if it is of the face; 98 of
100 have more."""

_CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
"""Of a pixel, from its number."""


def hulls_of(
    segmenter: FaceSegmenter,
    image: NDArray[np.uint8],
    boxes: Boxes,
    found: NDArray[np.bool_],
) -> list[Hull | None]:
    """The outline of each face; None where nobody is sure of it.

    Args:
        segmenter: Says which pixels are a face's.
        image: uint8 (H, W, 3), BGR.
        boxes: Of the faces, float32 (N, 4).
        found: bool (N,): whether each was found in this picture, and not only before and after.
    """
    hulls: list[Hull | None] = [None] * len(boxes)
    rows = np.flatnonzero(found)
    if not len(rows):
        return hulls
    corners, sides = boxes[rows, None, :2], boxes[rows, None, 2:] - boxes[rows, None, :2]
    landmarks = (corners + _LAYOUT * sides).astype(np.float32)
    masks = segmenter.predict(image, landmarks)
    for row, mask in zip(rows, masks, strict=True):
        hulls[row] = _hull(mask, boxes[row])
    return hulls


def _hull(mask: Mask, box: NDArray[np.float32]) -> Hull | None:
    points = cv2.findNonZero(mask.inside(mask.name).astype(np.uint8))
    if points is None:
        return None
    # Around the pixels, not from the middle of one to that of another.
    pixels = cv2.convexHull(points)[:, 0] + np.array([mask.left, mask.top])
    corners = (pixels[:, None] + _CORNERS).reshape(-1, 2)
    hull = cv2.convexHull(corners.astype(np.float32))
    outline = np.asarray(hull[:, 0], np.float32)
    around = np.array([[*outline.min(0), *outline.max(0)]], np.float32)
    if pairwise_iou(around, box[None])[0, 0] < _AGREES:
        return None
    angles = np.linspace(0, 2 * np.pi, 33)[:-1]
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * 0.4
    ellipse = (centre + half * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.float32)
    common, _ = cv2.intersectConvexConvex(ellipse, outline)
    return outline if common >= _FILLED * cv2.contourArea(ellipse) else None


def masks_in(
    hulls: Sequence[Hull | None], faces: Detections, size: tuple[int, int]
) -> tuple[list[int], list[Mask]]:
    """Which faces of a plane have an outline, and the masks of these.

    Args:
        hulls: In pixels of the plane.
        faces: Likewise.
        size: Height and width of the plane.
    """
    rows, masks = [], []
    for row in range(len(faces)):
        hull = hulls[row]
        if hull is None:
            continue
        low = np.floor(hull.min(0)).astype(int).clip(0)
        high = np.minimum(np.ceil(hull.max(0)).astype(int), size[::-1])
        if not (low < high).all():
            continue
        part = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        cv2.fillConvexPoly(part, np.rint(hull - low).astype(np.int32), 1)
        shares = part[None].astype(np.float32)
        rows.append(row)
        masks.append(Mask(shares, int(low[0]), int(low[1]), size, ("face",)))
    return rows, masks
