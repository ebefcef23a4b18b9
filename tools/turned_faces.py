"""Faces of photos that lie on their side: found, and which way up, with one look and with more.

    python tools/turned_faces.py DIR… [--load-weights face-detection-n] [--photos 25]

The photos of the folders are turned by quarter turns. A face counts that the detector finds in the
photo as it is, surely and of 24 pixels and more; it is found again from `FACE_SCORE` on, and its
landmarks are right if they point within 45 degrees of where they should. "More looks" are those of
the commands (`upright`). Prints Markdown.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketface import Detections, FaceDetector
from pocketface.apps.faces import FACE_SCORE
from pocketface.data.images import list_images, read_image
from pocketface.results import pairwise_iou
from pocketface.tasks.detection.upright import SMALL, upright
from pocketface.tasks.load import load_as

SURELY = 0.6
SAME = 0.4
"""Lowest IoU of a face's boxes in the photo as it is and in the turned one."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--load-weights", type=Path, default=Path("face-detection-n"))
    parser.add_argument("--photos", type=int, help="so many of each folder, chosen by chance")
    asked = parser.parse_args()
    detector = load_as(FaceDetector, asked.load_weights, threads=1)

    def look(image: NDArray[np.uint8], score: float) -> Detections:
        return detector.predict(image, score_threshold=score)

    counts = np.zeros((4, 5), int)
    for folder in asked.folders:
        paths = list_images(folder)
        if asked.photos is not None and asked.photos < len(paths):
            paths = random.Random(0).sample(paths, asked.photos)
        for path in paths:
            image = read_image(path)
            known = look(image, SURELY)
            for turns in range(4):
                turned = np.ascontiguousarray(np.rot90(image, turns))
                found = look(turned, FACE_SCORE)
                again = upright(look, turned, found, score=FACE_SCORE)
                counts[turns] += compared(known, [found, again], image.shape, turns)
    print("| turned by | faces | one look: found | the right way up | more looks: found | |")
    print("|---|---|---|---|---|---|")
    for turns, row in enumerate(counts):
        print(f"| {90 * turns}° | {' | '.join(map(str, row))} |")


def compared(
    known: Detections, answers: Sequence[Detections], shape: tuple[int, ...], turns: int
) -> list[int]:
    """How many faces there are; of each answer, how many it has, and the right way up.

    Args:
        known: The faces of the photo as it is.
        answers: Faces of the photo after so many quarter turns to the left.
        shape: Of the photo as it is.
        turns: How many.
    """
    known = known.where((known.boxes[:, 2:] - known.boxes[:, :2]).max(1, initial=0) >= SMALL)
    counts = [len(known)]
    boxes = turned_boxes(known.boxes, shape, turns)
    for found in answers:
        overlap = pairwise_iou(boxes, found.boxes)
        places = np.flatnonzero(overlap.max(1, initial=0) >= SAME)
        matches = overlap[places].argmax(1) if len(places) else places
        off = directions(found)[matches] - directions(known)[places] - 90 * turns
        counts += [len(places), int(np.sum(np.abs((off + 180) % 360 - 180) < 45))]
    return counts


def turned_boxes(
    boxes: NDArray[np.float32], shape: tuple[int, ...], turns: int
) -> NDArray[np.float32]:
    """Where boxes lie after so many quarter turns of the photo to the left (`numpy.rot90`)."""
    height, width = shape[:2]
    for _ in range(turns):
        x1, y1, x2, y2 = boxes.T
        boxes = np.stack([y1, width - x2, y2, width - x1], axis=1)
        height, width = width, height
    return boxes


def directions(faces: Detections) -> NDArray[np.float64]:
    """The angle of the line from eyes to mouth, in degrees to the left of down."""
    assert faces.landmarks is not None
    down = faces.landmarks[:, 3:].mean(1) - faces.landmarks[:, :2].mean(1)
    return np.asarray(np.degrees(np.arctan2(down[:, 0], down[:, 1])), np.float64)


if __name__ == "__main__":
    main()
