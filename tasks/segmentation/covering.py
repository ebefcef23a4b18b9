"""Cover parts of a head."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .rules import DropoutSpec

Pixels = NDArray[np.uint8]

_BLOB_CORNERS = 9


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
    soft = cv2.GaussianBlur(blob, (0, 0), rng.uniform(0.5, 1.5))
    x, y, across, down = cv2.boundingRect(soft)
    place = np.s_[y : y + down, x : x + across]
    share = soft[place][:, :, None] / 255
    picture[place] = (picture[place] * (1 - share) + texture[place] * share).round()
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
