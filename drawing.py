"""Draw faces into a picture: boxes, landmarks and captions, for any task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import InputError

if TYPE_CHECKING:
    from .mask import Mask
    from .results import Detections

# Colours of boxes, by the number in `colours`.
_BOXES = ((80, 220, 60), (40, 140, 255), (230, 90, 200), (230, 200, 40))
_INK = (0, 0, 0)
# Colours of left eye, right eye, nose, left and right mouth corner.
_POINTS = ((255, 160, 40), (40, 60, 255), (40, 230, 255), (230, 60, 230), (60, 160, 255))
_LEAST_SIDE_FOR_POINTS = 28
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_faces(
    image: NDArray[np.uint8],
    faces: Detections,
    *,
    captions: Sequence[Sequence[str]],
    colours: Sequence[int],
) -> NDArray[np.uint8]:
    """Draw boxes with captions, and landmarks if there are any.

    Line and letter sizes follow the picture's size. Small faces get no caption or points, so that
    a crowd stays visible.

    Args:
        image: uint8 (H, W, 3), BGR; not changed.
        faces: The faces, in pixels of `image`.
        captions: For each face, texts to choose from; the first that fits its box is drawn.
        colours: For each face a number; equal numbers get the same colour.

    Returns:
        The drawn copy, uint8 (H, W, 3), BGR.

    Raises:
        InputError: A face's place is not a number.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    # OpenCV takes no larger numbers than 2^31; nothing so far beside the picture is seen.
    far = 2 * max(height, width)
    boxes = faces.boxes.clip(-far, 2 * far)
    points = None if faces.landmarks is None else faces.landmarks.clip(-far, 2 * far)
    if np.isnan(boxes).any() or (points is not None and np.isnan(points).any()):
        raise InputError("a face to be drawn is at NaN: expected pixels")
    line = max(1, round(min(height, width) / 300))
    # Weakest first, so that the surest is on top where boxes overlap.
    for index in reversed(range(len(faces))):
        left, top, right, bottom = (int(v) for v in np.rint(boxes[index]))
        # A dark edge around the line keeps it visible on grass and on snow.
        cv2.rectangle(canvas, (left, top), (right, bottom), _INK, line + 2)
        colour = _BOXES[colours[index] % len(_BOXES)]
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line)
        if points is not None:
            _draw_points(canvas, points[index], side=min(right - left, bottom - top))
        _draw_label(canvas, captions[index], left, top, right, line=line, colour=colour)
    return canvas


def draw_masks(image: NDArray[np.uint8], masks: Sequence[Mask]) -> NDArray[np.uint8]:
    """Colour the pixels of masks, and outline them; each class has a colour.

    Args:
        image: uint8 (H, W, 3), BGR; not changed.
        masks: The masks of its faces.

    Returns:
        The drawn copy, uint8 (H, W, 3), BGR.
    """
    canvas = image.copy()
    thickest = max(1, round(min(image.shape[:2]) / 400))
    for mask in masks:
        part = canvas[mask.place]
        # A thick line would hide a small face.
        line = max(1, min(thickest, min(part.shape[:2]) // 100))
        for index, name in enumerate(mask.named):
            inside = mask.inside(name).astype(np.uint8)
            if not inside.any():
                continue
            colour = _BOXES[index % len(_BOXES)]
            mixed = cv2.addWeighted(part, 0.6, np.full_like(part, colour), 0.4, 0)
            part[:] = cv2.copyTo(mixed, inside, part.copy())
            outlines, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(part, outlines, -1, colour, line)
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
    texts: Sequence[str],
    left: int,
    top: int,
    right: int,
    *,
    line: int,
    colour: tuple[int, int, int],
) -> None:
    """Draw the first text that is not much wider than the box."""
    scale = 0.35 + 0.1 * line
    thickness = max(1, line // 2)
    for text in texts:
        (wide, high), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
        wide, high = wide + 2 * line, high + baseline + line
        if right - left >= 0.9 * wide:
            break
    else:
        return
    # Above the box, or inside it at the picture's upper edge; never beyond the right edge.
    bottom = top if top >= high else top + high
    left = max(0, min(left, canvas.shape[1] - wide))
    cv2.rectangle(canvas, (left, bottom - high), (left + wide, bottom), colour, -1)
    origin = (left + line, bottom - baseline)
    cv2.putText(canvas, text, origin, _FONT, scale, _INK, thickness, cv2.LINE_AA)
