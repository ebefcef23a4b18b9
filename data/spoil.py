"""Degrade pictures: in quality only, or also in light, colour and by covering parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Step = tuple[float, Callable[[Floats, np.random.Generator, float], Floats]]
"""Probability at full hardness, and the function that degrades the picture."""


def spoil(
    picture: NDArray[np.uint8],
    rng: np.random.Generator,
    hardness: float,
    *,
    steps: Sequence[Step],
) -> NDArray[np.uint8]:
    """Degrade a picture by a random choice of steps.

    Args:
        picture: uint8 (H, W, 3), BGR.
        rng: Source of all randomness.
        hardness: How often and how strongly, 0 to 1.
        steps: The possible steps: `QUALITY` or `ALL`.
    """
    x = picture.astype(np.float32)
    for chance, step in steps:
        if rng.random() < chance * hardness:
            x = step(x, rng, hardness).clip(0, 255)
    return x.round().astype(np.uint8)


def _grey(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:  # noqa: ARG001
    return np.repeat(x @ np.array([0.114, 0.587, 0.299], np.float32)[:, None], 3, axis=2)


def _light(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    gain, shift = rng.uniform(-0.4, 0.4) * hardness, rng.uniform(-40, 40) * hardness
    return x * np.float32(1 + gain) + np.float32(shift)


def _contrast(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    mean = x.mean()
    factor = np.float32(1 + rng.uniform(-0.5, 0.5) * hardness)
    return np.asarray((x - mean) * factor + mean, np.float32)


def _colour(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    return x * (1 + rng.uniform(-0.2, 0.2, 3) * hardness).astype(np.float32)


def _gamma(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    exponent = math.exp(rng.uniform(-0.6, 0.6) * hardness)
    return np.asarray(255 * (x / 255) ** np.float32(exponent), np.float32)


def _blur(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(x, (0, 0), 0.1 + rng.uniform(0.4, 1.6) * hardness))


def _small(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    height, width = x.shape[:2]
    share = 1 - rng.uniform(0.1, 0.6) * hardness
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _noise(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    noise = rng.standard_normal(x.shape, np.float32)
    return x + noise * np.float32(rng.uniform(2, 12) * hardness)


def _jpeg(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    quality = round(95 - rng.uniform(5, 65) * hardness)
    _, buffer = cv2.imencode(
        ".jpg", x.round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.float32)


def _patch(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    """Cover a rectangle with one colour, as a hand or hair does (Random Erasing, Zhong 2020)."""
    height, width = x.shape[:2]
    tall, broad = rng.uniform(0.1, 0.1 + 0.25 * hardness, 2)
    top, left = rng.uniform(-0.1, 1, 2)
    covered = x.copy()
    rows = slice(max(0, round(top * height)), max(0, round((top + tall) * height)))
    columns = slice(max(0, round(left * width)), max(0, round((left + broad) * width)))
    covered[rows, columns] = rng.uniform(0, 255, 3)
    return covered


QUALITY: tuple[Step, ...] = ((0.2, _blur), (0.2, _small), (0.2, _noise), (0.2, _jpeg))
"""Steps that imitate cameras and file formats."""

ALL: tuple[Step, ...] = (
    (0.15, _grey),
    (0.8, _light),
    (0.5, _contrast),
    (0.3, _colour),
    (0.3, _gamma),
    *QUALITY,
    (0.25, _patch),
)
