"""Change a picture's light and colour."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from .jitter_spec import JitterSpec

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

_GREY = np.array([0.114, 0.587, 0.299])
"""Shares of blue, green and red in brightness (ITU-R BT.601)."""

_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
"""RGB to brightness and two axes of colour (FCC NTSC, 1953)."""


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
