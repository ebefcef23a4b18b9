"""Draw what people wear over their faces at their landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = Sequence[tuple[float, float]]

_CLOTHS = ((215, 180, 140), (235, 230, 225), (40, 40, 40), (200, 210, 150))
"""Colours of medical masks, BGR: blue, white, black, green."""

_SHIFT = 4
"""Bits behind the point of positions that OpenCV draws at."""


def wear_mask(picture: Pixels, points: Points, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a medical mask over nose, mouth and chin, in place.

    Args:
        picture: uint8 (H, W, 3), BGR.
        points: Where the five landmarks are, in pixels.
        rng: Source of all randomness.

    Returns:
        What it covers, bool (H, W).
    """
    nose_x = points[2][0]
    eyes, across, down = _axes(points)
    # Places in the face, from between the eyes: along the line of the eyes, and towards the mouth.
    high, low = rng.uniform(0.3, 0.6), rng.uniform(1.45, 1.8)
    wide = rng.uniform(0.75, 0.95)
    half = [(0.3, high), (wide, high + 0.15), (0.85 * wide, 1.2), (0.4 * wide, low)]
    outline = half + [(-x, y) for x, y in reversed(half)]
    places = np.array(outline) + rng.normal(0, 0.04, (len(outline), 2))
    corners = eyes + places @ np.stack([across, down])
    blob = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(blob, [corners.round().astype(np.int32)], 255)
    dyed = rng.random() < 0.4
    colour = rng.uniform(0, 255, 3) if dyed else np.array(_CLOTHS)[rng.integers(len(_CLOTHS))]
    # Light falls from one side, and folds run across.
    inside = blob > 0
    rows, columns = np.nonzero(inside)
    folds = np.sin(rows / rng.uniform(2, 9)) * rng.uniform(0, 12)
    light = (columns - nose_x) * rng.uniform(-0.4, 0.4)
    picture[inside] = (colour + (folds + light)[:, None]).clip(0, 255).round()
    return np.asarray(inside)


def wear_glasses(picture: Pixels, points: Points, rng: np.random.Generator) -> None:
    """Draw glasses in front of the eyes, in place; half of them dark ones.

    Args:
        picture: uint8 (H, W, 3), BGR.
        points: Where the five landmarks are, in pixels.
        rng: Source of all randomness.
    """
    middle, across, down = _axes(points)
    apart = float(np.hypot(*across))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    size = apart * rng.uniform((0.3, 0.2), (0.44, 0.34))
    drop = down * rng.uniform(0.0, 0.12)
    colour = tuple(rng.uniform(0, 120, 3).tolist())
    thick = max(1, round(apart * rng.uniform(0.02, 0.09)))
    lenses = np.zeros(picture.shape[:2], np.uint8)
    centres = [middle + drop + side * across / 2 for side in (-1, 1)]
    for centre in centres:
        cv2.ellipse(
            lenses, _fixed(centre), _fixed(size), angle, 0, 360, 255, -1, cv2.LINE_8, _SHIFT
        )
    opaque = rng.uniform(0.5, 0.95) if rng.random() < 0.5 else rng.uniform(0, 0.15)
    tint = rng.uniform(0, 60, 3)
    inside = lenses > 0
    picture[inside] = (picture[inside] * (1 - opaque) + tint * opaque).round()
    for centre in centres:
        cv2.ellipse(
            picture, _fixed(centre), _fixed(size), angle, 0, 360, colour, thick, cv2.LINE_AA, _SHIFT
        )
    along = across / apart * size[0]
    for start, end in (
        (centres[0] + along, centres[1] - along),
        (centres[0] - along, centres[0] - 2.5 * along),
        (centres[1] + along, centres[1] + 2.5 * along),
    ):
        cv2.line(picture, _fixed(start), _fixed(end), colour, thick, cv2.LINE_AA, _SHIFT)


def _axes(points: Points) -> tuple[NDArray[np.float64], ...]:
    """The place between the eyes, the way from eye to eye, and that from there to the mouth."""
    left_eye, right_eye, _, left_mouth, right_mouth = np.array(points, np.float64)
    eyes = (left_eye + right_eye) / 2
    return eyes, right_eye - left_eye, (left_mouth + right_mouth) / 2 - eyes


def _fixed(position: NDArray[np.float64]) -> tuple[int, int]:
    """A position or size as OpenCV draws parts of pixels."""
    x, y = (position * 2**_SHIFT).round().astype(int)
    return int(x), int(y)
