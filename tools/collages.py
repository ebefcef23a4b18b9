"""Crops of single faces to photos of many: 12 crops of 200 px on each, 800 x 600.

    python tools/collages.py ../shared/data/mtfl/labels.csv ../shared/data/youtube_faces/train \
        --output DIR
    pocketface data label DIR --output faces.json --score 0.5
    python tools/collages.py ../shared/data/mtfl/labels.csv ../shared/data/youtube_faces/train \
        --landmarks-into faces.json

A detector learns from crops at the scales and with the neighbours that photos have. A CSV (as
`pocketface data glasses` reads it) stands for its photos of the part "train". The last line is for
one that has landmarks, as MTFL's: it puts them in the place of those that a detector found.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.coco_json import load_coco_json
from pocketface.data.glasses import read_glasses
from pocketface.data.images import list_images, read_image
from pocketface.errors import ImageError
from pocketface.files import atomic_write
from pocketface.results import pairwise_iou
from pocketface.tools.landmarks import face_box, points_of, rows_of

COLUMNS, ROWS, SIDE = 4, 3, 200
QUALITY = 90
SAME_FACE = 0.4
"""Lowest IoU of a box that was found and the one around a list's landmarks."""


def main() -> None:
    """Write as many collages as the crops fill, or landmarks into their labels."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--output", type=Path, metavar="DIR")
    place.add_argument("--landmarks-into", type=Path, metavar="FILE.json")
    asked = parser.parse_args()
    crops = [crop for source in asked.sources for crop in crops_of(source)]
    random.Random(asked.seed).shuffle(crops)
    if asked.landmarks_into is not None:
        lists = [source for source in asked.sources if not source.is_dir()]
        known = {path: points_of(row) for one in lists for path, row in rows_of(one, "train")}
        count = give_landmarks(asked.landmarks_into, crops, known)
        print(f"written: {count} of {len(known)} faces' landmarks into {asked.landmarks_into}")
        return
    asked.output.mkdir(parents=True, exist_ok=True)
    count = 0
    for sheet in sheets(crops):
        cells = [squared(image) for _, image in sheet]
        rows = [np.hstack(cells[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(ROWS)]
        good, content = cv2.imencode(".webp", np.vstack(rows), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        assert good
        (asked.output / sheet_name(count)).write_bytes(content.tobytes())
        count += 1
    print(f"written: {count} photos of {len(crops)} crops in {asked.output}")


def sheets(crops: Sequence[Path]) -> Iterator[list[tuple[Path, NDArray[np.uint8]]]]:
    """The crops of each collage; those that cannot be read are in none."""
    sheet = []
    for path in crops:
        try:
            sheet.append((path, read_image(path)))
        except ImageError as error:
            print(f"left out: {error}", file=sys.stderr)
        if len(sheet) == COLUMNS * ROWS:
            yield sheet
            sheet = []


def sheet_name(number: int) -> str:
    """File name of a collage."""
    return f"{number:04d}.webp"


def square_of(image: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Left, top and side of the central square."""
    height, width = image.shape[:2]
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def squared(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The central square of an image, scaled to a cell."""
    left, top, side = square_of(image)
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def give_landmarks(
    labels: Path, crops: Sequence[Path], known: Mapping[Path, NDArray[np.float64]]
) -> int:
    """Write known landmarks, in pixels of their crops, into the collages' labels; their number."""
    content = load_coco_json(labels)
    numbers = {image["file_name"]: image["id"] for image in content["images"]}
    faces: dict[int, list[dict[str, object]]] = {number: [] for number in numbers.values()}
    for face in content["annotations"]:
        faces[face["image_id"]].append(face)
    count = 0
    for place, sheet in enumerate(sheets(crops)):
        here = faces[numbers[sheet_name(place)]]
        boxes = np.array([face["bbox"] for face in here], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        for cell, (path, image) in enumerate(sheet):
            if path not in known or not len(boxes):
                continue
            corner = SIDE * np.array([cell % COLUMNS, cell // COLUMNS])
            left, top, side = square_of(image)
            points = (known[path] - [left, top]) * SIDE / side + corner
            overlaps = pairwise_iou(face_box(points)[None], boxes)[0]
            if overlaps.max() >= SAME_FACE:
                face = here[overlaps.argmax()]
                face.pop("landmarks_pseudo", None)
                face["landmarks"] = points.round(2).ravel().tolist()
                count += 1
    with atomic_write(labels, "w") as file:
        json.dump(content, file)
    return count


def crops_of(source: Path) -> list[Path]:
    """Crops in a folder, or in the training part of a list."""
    if source.is_dir():
        return list_images(source)
    root, rows = read_glasses(source)
    return [root / row.image for row in rows if row.part == "train"]


if __name__ == "__main__":
    main()
