"""Two photos in the public domain, and a toy set of labelled photos made of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import skimage


def two_photos() -> dict[str, Path]:
    """A face with glasses and one without, from packages that bring them."""
    return {
        "glass": Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg"),
        "no_glass": Path(skimage.__path__[0], "data", "astronaut.png"),
    }


def make_toy_photos(folder: Path, *, copies: int, seed: int = 0) -> Path:
    """Write `copies` variants of each photo into a folder for each label.

    They are turned, zoomed, mirrored, darkened and blurred. Of two people nobody can learn what
    glasses are: the set shows the steps.
    """
    rng = np.random.default_rng(seed)
    for label, path in two_photos().items():
        photo = cv2.imread(str(path))
        height, width = photo.shape[:2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(copies):
            turn = cv2.getRotationMatrix2D(
                (width / 2, height / 3), rng.uniform(-15, 15), rng.uniform(0.8, 1.3)
            )
            one = cv2.warpAffine(photo, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
            one = one[:, ::-1] if rng.random() < 0.5 else one
            one = cv2.convertScaleAbs(one, alpha=rng.uniform(0.6, 1.3), beta=rng.uniform(-20, 20))
            one = cv2.GaussianBlur(one, (0, 0), rng.uniform(0.1, 1.5))
            cv2.imwrite(str(folder / label / f"{label}_{index:02}.jpg"), one)
    return folder
