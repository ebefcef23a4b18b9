"""Pictures of many faces, to check graphs with NMS inside."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.images import read_image
from ...data.pictures import Picture, picture, public_domain_photos

CROWDS = 4
"""Number of crowd pictures."""

CROWD = "crowd"
"""The kind of crowd pictures; see `Picture`."""


def crowd_pictures() -> list[Picture]:
    """Pictures of many small faces side by side and overlapping, some dark or blurred.

    In photos of one clear face no score is near the threshold, and no boxes overlap just as much
    as NMS allows, so a graph with a wrong threshold or NMS inside would give the same answers. The
    faces come from the public-domain photos; without these the list is empty.
    """
    found = [(read_image(path), landmarks) for path, landmarks in public_domain_photos()]
    generator = np.random.default_rng(0)
    return [
        picture(f"crowd {index}", _crowd(found, generator), CROWD)
        for index in range(CROWDS if found else 0)
    ]


def _crowd(
    found: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]], generator: np.random.Generator
) -> NDArray[np.uint8]:
    """A picture of forty faces of 16 to 147 pixels on grey."""
    side = 640
    crowd = np.full((side, side, 3), 110, np.uint8)
    for _ in range(40):
        image, landmarks = found[int(generator.integers(len(found)))]
        reach = 2.2 * np.ptp(landmarks, axis=0).max()
        shift = reach / 2 * generator.uniform(0.8, 1.3, 2)
        left, top = (landmarks.mean(0) - shift).clip(0).astype(int)
        size = int(16 * 2 ** generator.uniform(0, 3.2))
        cut = image[top : top + int(reach), left : left + int(reach)]
        face = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
        sigma = generator.uniform(0, size / 12)
        if sigma > 0.3:
            face = cv2.GaussianBlur(face, (0, 0), sigma)
        gain = generator.uniform(0.3, 1.4)
        x, y = generator.integers(side - size, size=2)
        crowd[y : y + size, x : x + size] = (face * gain).clip(0, 255)
    return crowd
