"""Before and after, of two photos in the public domain: docs/blur.jpg.

python tools/blur_pictures.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from pocketface.apps.blur.cover import Cover, Style
from pocketface.apps.blur.find import FaceFinder
from pocketface.apps.blur.photo import PhotoBlurrer
from pocketface.data.images import decode_image
from pocketface.data.pictures import public_domain_photos
from pocketface.model_templates.catalogue import DETECTOR, SECOND_DETECTOR
from pocketface.tasks.named import model_path

STYLES: tuple[Style, ...] = ("mosaic", "gaussian", "solid", "emoji")
SIDE = 150
TARGET = Path(__file__).parents[1] / "docs" / "blur.jpg"


def main() -> None:
    """Write the picture: a row for each photo, as it was and in each style."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    second = model_path(SECOND_DETECTOR)
    finder = FaceFinder(model_path(DETECTOR), second_opinion=second, threads=1)
    rows = []
    for path, _ in public_domain_photos():
        content = path.read_bytes()
        cells = [decode_image(content, source=path.name)]
        for style in STYLES:
            made = PhotoBlurrer(finder, Cover(style=style)).blur(content, source=path.name)
            cells.append(decode_image(made.content, source=style))
        rows.append(np.hstack([cv2.resize(square(one), (SIDE, SIDE)) for one in cells]))
    done, picture = cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert done
    TARGET.write_bytes(picture.tobytes())


def square(image: np.ndarray) -> np.ndarray:
    """The upper square of a portrait."""
    side = min(image.shape[:2])
    return image[:side, :side]


if __name__ == "__main__":
    main()
