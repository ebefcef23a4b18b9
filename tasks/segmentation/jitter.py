"""Change a picture's light and colour, and cover parts of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from .rules import DropoutSpec, JitterSpec

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

_GREY = np.array([0.114, 0.587, 0.299])
"""Shares of blue, green and red in brightness (ITU-R BT.601)."""

_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""RGB to brightness and two axes of colour (FCC NTSC, 1953)."""

_BLOB_CORNERS = 9

_CLOTHS = ((215, 180, 140), (235, 230, 225), (40, 40, 40), (200, 210, 150))
"""Colours of medical masks, BGR: blue, white, black, green."""


def jitter(picture: Pixels, spec: JitterSpec, rng: np.random.Generator) -> Pixels:
    """Change light and colour by one linear map of the colours, as all four steps are linear.

    Args:
        picture: uint8 (H, W, 3), BGR.
        spec: How much.
        rng: Source of all randomness.
    """
    brightness, contrast, saturation = (
        1 + rng.uniform(-most, most) for most in (spec.brightness, spec.contrast, spec.saturation)
    )
    turn = _hue(rng.uniform(-spec.hue, spec.hue))
    grey = np.tile(_GREY, (3, 1))
    colours = brightness * (saturation * np.eye(3) + (1 - saturation) * grey) @ turn
    mean = float(_GREY @ np.array(cv2.mean(picture)[:3])) * brightness
    # Contrast: away from, or towards, the mean.
    matrix = np.hstack([contrast * colours, np.full((3, 1), (1 - contrast) * mean)])
    return np.asarray(cv2.transform(picture, matrix), np.uint8)


def _hue(share: float) -> Floats:
    """BGR to BGR, with colours turned by a share of the circle."""
    cos, sin = math.cos(2 * math.pi * share), math.sin(2 * math.pi * share)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.asarray((np.linalg.inv(_YIQ) @ turn @ _YIQ)[::-1, ::-1])


def dropout(picture: Pixels, truth: Pixels, spec: DropoutSpec, rng: np.random.Generator) -> None:
    """Cover rectangles, in place; what is covered is of no class.

    Args:
        picture: uint8 (H, W, 3), BGR.
        truth: uint8 (H, W), classes.
        spec: How many, and of which sizes.
        rng: Source of all randomness.
    """
    height, width = truth.shape
    for _ in range(rng.integers(1, spec.holes + 1)):
        tall = round(rng.uniform(*spec.height) * height)
        broad = round(rng.uniform(*spec.width) * width)
        top = rng.integers(0, height - tall + 1)
        left = rng.integers(0, width - broad + 1)
        place = np.s_[top : top + tall, left : left + broad]
        noisy = rng.random() < 0.5
        shape = (tall, broad, 3) if noisy else (3,)
        picture[place] = rng.integers(0, 256, shape, dtype=np.uint8)
        truth[place] = 0


def cover(picture: Pixels, truth: Pixels, other: Pixels, rng: np.random.Generator) -> None:
    """Cover a part by a blob cut from another picture, in place; what is covered is of no class.

    Args:
        picture: uint8 (H, W, 3), BGR.
        truth: uint8 (H, W), classes.
        other: uint8 (h, w, 3), BGR; hair, cloth and skin of any place in it become the blob.
        rng: Source of all randomness.
    """
    height, width = truth.shape
    blob = _blob(truth.shape, rng)
    # A part of the other picture enlarged, so that no whole face is pasted as what is no face.
    side = max(8, round(rng.uniform(0.15, 0.4) * min(other.shape[:2])))
    top, left = (rng.integers(0, max(1, length - side)) for length in other.shape[:2])
    texture = cv2.resize(other[top : top + side, left : left + side], (width, height))
    soft = cv2.GaussianBlur(blob, (0, 0), rng.uniform(0.5, 1.5))[:, :, None] / 255
    picture[:] = (picture * (1 - soft) + texture * soft).round()
    truth[blob > 127] = 0


def _blob(shape: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """A blob at a random place, uint8 (H, W): 255 inside."""
    height, width = shape
    centre = rng.uniform(0.1, 0.9, 2) * (width, height)
    along, across = rng.uniform((0.08, 0.06), (0.35, 0.18)) * min(height, width)
    angles = np.sort(rng.uniform(0, 2 * math.pi, _BLOB_CORNERS))
    radii = rng.uniform(0.6, 1.2, (_BLOB_CORNERS, 1)) * (along, across)
    corners = radii * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    turn = rng.uniform(0, math.pi)
    cos, sin = math.cos(turn), math.sin(turn)
    points = (corners @ [[cos, sin], [-sin, cos]] + centre).round().astype(np.int32)
    blob = np.zeros((height, width), np.uint8)
    cv2.fillPoly(blob, [points], 255)
    return blob


def cloth(
    picture: Pixels,
    truth: Pixels,
    points: Sequence[tuple[float, float]],
    rng: np.random.Generator,
) -> None:
    """Draw a medical mask over nose, mouth and chin, in place; what is covered is of no class.

    Args:
        picture: uint8 (H, W, 3), BGR.
        truth: uint8 (H, W), classes.
        points: Where the five landmarks are, in pixels.
        rng: Source of all randomness.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = np.array(points, np.float64)
    eyes = (left_eye + right_eye) / 2
    across, down = right_eye - left_eye, (left_mouth + right_mouth) / 2 - eyes
    # Places in the face, from between the eyes: along the line of the eyes, and towards the mouth.
    high, low = rng.uniform(0.3, 0.6), rng.uniform(1.45, 1.8)
    wide = rng.uniform(0.75, 0.95)
    half = [(0.3, high), (wide, high + 0.15), (0.85 * wide, 1.2), (0.4 * wide, low)]
    outline = half + [(-x, y) for x, y in reversed(half)]
    places = np.array(outline) + rng.normal(0, 0.04, (len(outline), 2))
    corners = eyes + places @ np.stack([across, down])
    blob = np.zeros(truth.shape, np.uint8)
    cv2.fillPoly(blob, [corners.round().astype(np.int32)], 255)
    dyed = rng.random() < 0.4
    colour = rng.uniform(0, 255, 3) if dyed else np.array(_CLOTHS)[rng.integers(len(_CLOTHS))]
    # Light falls from one side, and folds run across.
    rows, columns = np.mgrid[: truth.shape[0], : truth.shape[1]]
    folds = np.sin(rows / rng.uniform(2, 9)) * rng.uniform(0, 12)
    light = (columns - nose[0]) * rng.uniform(-0.4, 0.4)
    shaded = (colour + (folds + light)[:, :, None]).clip(0, 255)
    inside = blob > 0
    picture[inside] = shaded[inside].round()
    truth[inside] = 0
