"""Crops of single faces to photos of many: 12 crops of 200 px on each, 800 x 600.

    python tools/collages.py ../shared/data/mtfl/labels.csv ../shared/data/youtube_faces/train \
        --output DIR
    pocketface data label DIR --output faces.json --score 0.5

A detector learns from crops at the scales and with the neighbours that photos have. A CSV (as
`pocketface data glasses` reads it) stands for its photos of the part "train".
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.glasses import read_glasses
from pocketface.data.images import list_images, read_image
from pocketface.errors import ImageError

COLUMNS, ROWS, SIDE = 4, 3, 200
QUALITY = 90


def main() -> None:
    """Write as many collages as the crops fill."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    asked = parser.parse_args()
    crops = [crop for source in asked.sources for crop in crops_of(source)]
    random.Random(asked.seed).shuffle(crops)
    asked.output.mkdir(parents=True, exist_ok=True)
    count = 0
    cells: list[NDArray[np.uint8]] = []
    for path in crops:
        try:
            cells.append(squared(read_image(path)))
        except ImageError as error:
            print(f"left out: {error}", file=sys.stderr)
        if len(cells) == COLUMNS * ROWS:
            rows = [np.hstack(cells[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)]
            good, content = cv2.imencode(
                ".webp", np.vstack(rows), [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
            )
            assert good
            (asked.output / f"{count:04d}.webp").write_bytes(content.tobytes())
            count += 1
            cells.clear()
    print(f"written: {count} photos of {len(crops)} crops in {asked.output}")


def squared(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The central square of an image, scaled to a cell."""
    side = min(image.shape[:2])
    top, left = ((extent - side) // 2 for extent in image.shape[:2])
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def crops_of(source: Path) -> list[Path]:
    """Crops in a folder, or in the training part of a list."""
    if source.is_dir():
        return list_images(source)
    root, rows = read_glasses(source)
    return [root / row.image for row in rows if row.part == "train"]


if __name__ == "__main__":
    main()
