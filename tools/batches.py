"""Do batches across requests pay? Photos per second of a detector by the number of photos at once.

    python tools/batches.py [--detector FILE|NAME] [--sizes 1 2 4 8] [--rounds 5]

Sizes are measured in turns, on one thread, from decoded photos to faces; the median of the rounds
is printed.
"""

from __future__ import annotations

import argparse
import statistics
import time

import cv2
import numpy as np

from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos
from pocketface.tasks.detection.model import FaceDetector
from pocketface.tasks.load import load_as
from pocketface.tasks.named import model_path

PHOTOS = 16


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description="photos per second by size of batch")
    parser.add_argument("--detector", default="face-detection-n")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    model = load_as(FaceDetector, model_path(asked.detector), threads=1)
    photos = [np.asarray(cv2.resize(read_image(path), (640, 640)), np.uint8)
              for path, _ in public_domain_photos()] * (PHOTOS // 2)  # fmt: skip
    rates: dict[int, list[float]] = {size: [] for size in asked.sizes}
    for number in range(asked.rounds + 1):
        for size, found in rates.items():
            started = time.perf_counter()
            for at in range(0, len(photos), size):
                model.predict_batch(photos[at : at + size], batch_size=size)
            if number:  # the first one of each opens things
                found.append(len(photos) / (time.perf_counter() - started))
    for size, found in rates.items():
        print(
            f"batch {size}: {statistics.median(found):.1f} photos/s "
            f"({min(found):.1f} to {max(found):.1f})"
        )


if __name__ == "__main__":
    main()
