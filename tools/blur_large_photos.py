"""Which faces of a photo of 24 megapixels are found, by their size and `--max-side`.

    python tools/blur_large_photos.py [--sides 1280 1920 2560] [--faces 24 32 40 56 80]

Eight pictures of the two public-domain faces, on grey, at a width of so many pixels each.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.apps.blur.find import FaceFinder
from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos

WIDTH, HEIGHT = 6000, 4000
EYES_IN_FACE = 2.35
"""Width of a face, in distances of its eyes."""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", nargs="+", type=int, default=[1280, 1920, 2560])
    parser.add_argument("--faces", nargs="+", type=int, default=[24, 32, 40, 56, 80])
    parser.add_argument("--detector", default="face-detection-n")
    asked = parser.parse_args()
    finders = [FaceFinder(asked.detector, max_side=side, threads=1) for side in asked.sides]
    print(f"| faces of | {' | '.join(f'--max-side {side}' for side in asked.sides)} |")
    print("|---|" + "---|" * len(finders))
    seconds: list[list[float]] = [[] for _ in finders]
    for width in asked.faces:
        photo, places = photo_of(width)
        cells = []
        for finder, times in zip(finders, seconds, strict=True):
            finder.find(photo)  # opens a network of this size
            started = time.perf_counter()
            boxes = finder.find(photo).boxes
            times.append(time.perf_counter() - started)
            cells.append(f"{seen(boxes, places, width)} of {len(places)}")
        print(f"| {width} px | {' | '.join(cells)} |", flush=True)
    medians = " | ".join(f"{np.median(times):.2f} s" for times in seconds)
    print(f"| median time | {medians} |")


def photo_of(width: int) -> tuple[NDArray[np.uint8], list[NDArray[np.float64]]]:
    """A large photo, uint8 (H, W, 3) BGR, and the middles of its faces, float64 (2,) each."""
    rng = np.random.default_rng(0)
    photo = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    places = []
    for number, (path, landmarks) in enumerate(4 * public_domain_photos()):
        eyes = float(np.hypot(*(landmarks[1] - landmarks[0])))
        scale = width / (EYES_IN_FACE * eyes)
        small = cv2.resize(read_image(path), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        row, column = divmod(number, 4)
        left = 300 + 1400 * column + int(rng.integers(300))
        top = 200 + 1800 * row + int(rng.integers(300))
        photo[top : top + small.shape[0], left : left + small.shape[1]] = small
        places.append(landmarks.mean(axis=0).astype(np.float64) * scale + (left, top))
    return photo, places


def seen(boxes: NDArray[np.float32], places: list[NDArray[np.float64]], width: int) -> int:
    """How many faces have a box of about their size around their middle."""
    fitting = boxes[(boxes[:, 2] - boxes[:, 0]) < 3 * width]
    return sum(
        bool(((fitting[:, :2] < place) & (place < fitting[:, 2:])).all(axis=1).any())
        for place in places
    )


if __name__ == "__main__":
    main()
