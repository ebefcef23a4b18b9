"""What a detector's second look at large faces finds, and what it costs: one table.

    python tools/second_look.py model.onnx ../shared/data

One look and both (`FaceDetector.predict`) in turn, at the contract's threshold, with one thread:
150 faces of UTKFace that fill the photo, photos without a face, and the time for photos of WIDER
FACE. Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketface import Detections, FaceDetector
from pocketface.data.images import read_image
from pocketface.evaluation.wider import IMAGE_FOLDER, read_ground_truth
from pocketface.tasks.load import load_as

FACES = 150
TIMED = 150
ROUNDS = 3
SEED = 0

Pixels = NDArray[np.uint8]
Predict = Callable[[Pixels], Detections]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--without-a-face", type=Path, metavar="JSON", help="COCO JSON of photos")
    asked = parser.parse_args()
    model = load_as(FaceDetector, asked.model, threads=1)
    steps = model.steps()

    def one_look(image: Pixels) -> Detections:
        batch, aside = steps.prepare([image], [None])
        (found,) = steps.finish(steps.infer(batch), aside)
        return found  # type: ignore[no-any-return]

    ways: dict[str, Predict] = {"one": one_look, "both": model.predict}
    filled = faces_of(asked.data / "face_unlabelled")
    empty = empty_of(asked.data / "no_faces", asked.without_a_face)
    took = seconds_of(ways, photos_of(asked.data / "wider_face"))
    print(f"| looks | of {len(filled)} that fill the photo | false faces in {len(empty)} "
          f"| ms a photo, median of {ROUNDS} |")  # fmt: skip
    print("|---|---|---|---|")
    for name, predict in ways.items():
        found = sum(len(predict(image)) > 0 for image in filled) / len(filled)
        false = sum(len(predict(image)) for image in empty)
        print(f"| {name} | {100 * found:.1f} % | {false} | {1e3 * took[name]:.2f} |")


def faces_of(folder: Path) -> list[Pixels]:
    """Crops that a face fills, chosen by a seed from those that nothing learns from."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "test"]
    return [read_image(folder / name) for name in random.Random(SEED).sample(names, FACES)]


def empty_of(folder: Path, chosen: Path | None) -> list[Pixels]:
    """Photos without a face: those of a list, or all."""
    if chosen is None:
        return [read_image(path) for path in sorted((folder / "images").iterdir())]
    names = [image["file_name"] for image in json.loads(chosen.read_text())["images"]]
    return [read_image(next(folder.rglob(Path(name).name))) for name in names]


def photos_of(folder: Path) -> list[Pixels]:
    """Photos of WIDER FACE's validation part, spread over its events."""
    names = list(read_ground_truth(folder).files.values())
    return [read_image(folder / IMAGE_FOLDER / name) for name in names[:: len(names) // TIMED]]


def seconds_of(ways: dict[str, Predict], photos: Sequence[Pixels]) -> dict[str, float]:
    """Mean seconds per photo of each way, as the median of rounds; the ways take turns."""
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        spent = dict.fromkeys(ways, 0.0)
        for photo in photos:
            for name, predict in ways.items():
                begun = time.perf_counter()
                predict(photo)
                spent[name] += time.perf_counter() - begun
        for name, seconds in spent.items():
            rounds[name].append(seconds / len(photos))
    return {name: statistics.median(some) for name, some in rounds.items()}


if __name__ == "__main__":
    main()
