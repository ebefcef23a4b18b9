"""Detections drawn into a picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ..results import Classification, Detections

# By label; without labels the first.
_BOXES = ((80, 220, 60), (40, 140, 255), (230, 90, 200), (230, 200, 40))
_INK = (0, 0, 0)
# Left eye, right eye, nose, left and right mouth corner, apart by colour.
_POINTS = ((255, 160, 40), (40, 60, 255), (40, 230, 255), (230, 60, 230), (60, 160, 255))
_LEAST_SIDE_FOR_POINTS = 28
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_detections(
    image: NDArray[np.uint8], detections: Detections, labels: Sequence[Classification] = ()
) -> NDArray[np.uint8]:
    """Draw boxes with their scores or labels, and landmarks where there are any.

    Line and letter sizes follow the picture's size; colours tell labels apart. Faces too small for
    a label or for points get none, so that a crowd stays visible.

    Args:
        image: uint8 (H, W, 3), BGR; stays as it is.
        detections: In pixels of `image`.
        labels: Of each face, if a classifier gave them.

    Returns:
        A new uint8 (H, W, 3), BGR.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    line = max(1, round(min(height, width) / 300))
    # Weakest first: where boxes overlap, the surest lies on top.
    for index in reversed(range(len(detections))):
        left, top, right, bottom = (int(v) for v in np.rint(detections.boxes[index]))
        # A dark edge around the line keeps it visible on grass and on snow.
        cv2.rectangle(canvas, (left, top), (right, bottom), _INK, line + 2)
        colour = _BOXES[labels[index].index % len(_BOXES) if labels else 0]
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line)
        if detections.landmarks is not None:
            _draw_points(canvas, detections.landmarks[index], side=min(right - left, bottom - top))
        texts = [f"{detections.scores[index]:.2f}"]
        if labels:
            label = labels[index]
            texts = [f"{label.label} {label.score:.2f}", label.label]
        _draw_label(canvas, texts, left, top, right, line=line, colour=colour)
    return canvas


def _draw_points(canvas: NDArray[np.uint8], points: NDArray[np.float32], *, side: int) -> None:
    if side < _LEAST_SIDE_FOR_POINTS:
        return
    radius = max(1, round(side / 40))
    for (x, y), colour in zip(np.rint(points).astype(int).tolist(), _POINTS, strict=True):
        if radius > 1:
            cv2.circle(canvas, (x, y), radius + 1, _INK, -1, cv2.LINE_AA)
        cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA)


def _draw_label(
    canvas: NDArray[np.uint8],
    texts: list[str],
    left: int,
    top: int,
    right: int,
    *,
    line: int,
    colour: tuple[int, int, int],
) -> None:
    """The first of some texts that is not much wider than the box."""
    scale = 0.35 + 0.1 * line
    thickness = max(1, line // 2)
    for text in texts:
        (wide, high), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
        wide, high = wide + 2 * line, high + baseline + line
        if right - left >= 0.9 * wide:
            break
    else:
        return
    # Above the box, or inside it at the picture's upper edge; never over the right edge.
    bottom = top if top >= high else top + high
    left = max(0, min(left, canvas.shape[1] - wide))
    cv2.rectangle(canvas, (left, bottom - high), (left + wide, bottom), colour, -1)
    origin = (left + line, bottom - baseline)
    cv2.putText(canvas, text, origin, _FONT, scale, _INK, thickness, cv2.LINE_AA)
