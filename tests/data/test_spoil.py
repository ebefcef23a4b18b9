"""Pictures made worse."""

from __future__ import annotations

import cv2
import numpy as np

from pocketface.data.spoil import ALL, spoil


def test_it_gets_harder() -> None:
    noise = np.random.default_rng(0).integers(90, 200, (8, 8, 3), dtype=np.uint8)
    picture = np.asarray(cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC), np.uint8)

    def change(hardness: float) -> float:
        generator = np.random.default_rng(0)
        spoiled = np.stack([spoil(picture, generator, hardness, steps=ALL) for _ in range(60)])
        return float(np.abs(spoiled - picture.astype(float)).mean())

    assert change(0.0) == 0
    assert 1 < change(0.3) < change(1.0) < 60


def test_grey_is_what_a_camera_without_colour_sees() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    _, grey = ALL[0]
    found = spoil(picture, np.random.default_rng(0), 1.0, steps=[(1.0, grey)])
    expected = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    assert np.abs(found.astype(int) - expected[..., None]).max() <= 1
