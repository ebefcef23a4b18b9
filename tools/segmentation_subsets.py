"""Make harder test photos of a list of masks: things laid over the faces, darkness, low resolution.

    python tools/segmentation_subsets.py ../shared/data test.masks.json OUT

Each photo of the list (`pocketface data masks`, root ../shared/data/celebamask) gets one thing, of
../shared/data/no_faces, over its face; what the thing covers is of no class. OUT/subsets.masks.json
lists all with the tags "things", "dark" and "small", for `pocketface eval --test-data-roots OUT`.
The photos show people: they are not to be shared.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.images import read_image
from pocketface.data.mask_pairs import read_list, read_mask_values

Pixels = NDArray[np.uint8]

DARKNESS, NOISE = 0.2, 5.0
"""Factor of all pixels, and the deviation of the noise that is then added."""

SMALL = 5
"""How many times smaller the small photos are, before they are enlarged again."""

THINGS = {"thing", "animal", "food"}


def main() -> None:
    """Make the photos, and their list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("list", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    with (asked.data / "no_faces" / "labels.csv").open(newline="") as file:
        things = [row["file"] for row in csv.DictReader(file) if row["kind"] in THINGS]
    content, root = read_list(asked.list), asked.data / "celebamask"
    (asked.output / "images").mkdir(parents=True, exist_ok=True)
    pairs: list[dict[str, Any]] = []
    for index, pair in enumerate(content.pairs):
        rng = np.random.default_rng(index)
        image, mask = read_image(root / pair.image), read_mask_values(root / pair.mask)
        thing = read_image(asked.data / "no_faces" / things[rng.integers(len(things))])
        for tag, changed in (
            ("things", covered(image, mask, thing, rng)),
            ("dark", (dark(image, rng), mask)),
            ("small", (small(image), mask)),
        ):
            names = [f"images/{index:04}-{tag}{part}.png" for part in ("", "-mask")]
            for name, pixels in zip(names, changed, strict=True):
                cv2.imwrite(str(asked.output / name), pixels)
            pairs.append({"image": names[0], "mask": names[1], "tags": [tag]})
    text = json.dumps({"classes": dict(content.classes), "pairs": pairs})
    (asked.output / "subsets.masks.json").write_text(text)


def covered(
    image: Pixels, mask: Pixels, thing: Pixels, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """A photo with a turned ellipse of a thing's picture over its face, and its mask."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask == 1)
    place = rng.integers(len(rows))
    side = float(np.sqrt(len(rows)))
    axes = tuple(int(axis) for axis in rng.uniform(0.15, 0.4, 2) * side)
    shape = np.zeros(mask.shape, np.uint8)
    centre = (int(columns[place]), int(rows[place]))
    cv2.ellipse(shape, centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)
    left, top, wide, tall = cv2.boundingRect(shape)
    # The middle of the picture, where the thing is.
    high, broad = thing.shape[:2]
    middle = thing[high // 8 : high - high // 8, broad // 8 : broad - broad // 8]
    texture = np.zeros((height, width, 3), np.uint8)
    texture[top : top + tall, left : left + wide] = cv2.resize(
        middle, (wide, tall), interpolation=cv2.INTER_AREA
    )
    inside = shape > 0
    return (
        np.where(inside[:, :, None], texture, image).astype(np.uint8),
        np.where(inside, 0, mask).astype(np.uint8),
    )


def dark(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A photo with a fifth of the light, and noise."""
    noisy = image * DARKNESS + rng.normal(0, NOISE, image.shape)
    return np.asarray(noisy.round().clip(0, 255), np.uint8)


def small(image: Pixels) -> Pixels:
    """A photo of a far lower resolution, at its old size."""
    height, width = image.shape[:2]
    less = cv2.resize(image, (width // SMALL, height // SMALL), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


if __name__ == "__main__":
    main()
