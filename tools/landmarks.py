"""How far landmarks are from those that people set, of our detectors and others.

    python tools/landmarks.py FILE… --portraits ../shared/data/mtfl/labels.csv \
        [--peers ../shared/data/peers]

The photos are the test part of a list as MTFL's: landmarks by hand, in pixels, in columns
`x_left_eye`, `y_left_eye` and so on, and MTFL's `pose`, from 1 (left profile) by 3 (frontal) to 5
(right profile); one face each. MTFL has no boxes: a face's box is here what WIDER's boxes are, in
the median, around the landmarks of their faces. Prints Markdown: the share of faces found, at the
score floor of AP and in one look; the normalised mean error (`evaluation.landmarks`) of those that
were found, and the share of them where it is above a tenth; and the error by pose. Detectors
without landmarks are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketface.benchmarks.cases import peers_in, targets_of
from pocketface.data.coco import Photo
from pocketface.data.images import image_size, read_image
from pocketface.data.labelled_faces import POINTS
from pocketface.data.table import read_table
from pocketface.evaluation.landmarks import landmark_errors
from pocketface.tasks.detection.measure import find_in
from pocketface.tools.strength import opened

WIDTH, HEIGHT, ABOVE = 2.11, 2.76, 0.18
"""A face's width and height, and how far its middle is above that of eyes and mouth, in units of
the longer of the distances between the eyes, and from their middle to the mouth's: medians of the
2,955 faces of the training photos from 40 px on that are hidden by less than 30 %, as
its test reckons anew."""

FAR = 0.1
POSES = {"frontal": "3", "turned": "24", "profile": "15"}


def main() -> None:
    """Measure all detectors, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    asked = parser.parse_args()
    rows = rows_of(asked.portraits, "test")
    photos = [portrait(path, points_of(row)) for path, row in rows]
    poses = [np.array([row["pose"] in names for _, row in rows]) for names in POSES.values()]
    heads = ["file", f"found of {len(photos)}", "error", f"above {100 * FAR:.0f} %", *POSES]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    peers = [] if asked.peers is None else peers_in(asked.peers)
    for target in [*targets_of(asked.files), *peers]:
        predict = opened(target)
        if predict(read_image(photos[0].path)).landmarks is None:
            continue
        found = find_in(predict, photos).detections
        pairs = zip(photos, found, strict=True)
        each = [landmark_errors([photo], [faces]) for photo, faces in pairs]
        errors = np.array([one[0] if len(one) else np.nan for one in each])
        known = np.isfinite(errors)
        shares = [known.mean(), errors[known].mean(), (errors[known] > FAR).mean()]
        shares += [errors[known & pose].mean() for pose in poses]
        cells = [target.name, *(f"{100 * share:.2f} %" for share in shares)]
        print(f"| {' | '.join(cells)} |", flush=True)


def rows_of(labels: Path, part: str) -> list[tuple[Path, Mapping[str, str]]]:
    """The photos of a part of a list, each with its row."""
    rows = (row for _, row in read_table(labels).rows if row["split"] == part)
    return [(labels.parent / "images" / row["image"], row) for row in rows]


def points_of(row: Mapping[str, str]) -> NDArray[np.float64]:
    """The landmarks in a row, (5, 2) in the order of `results.LANDMARK_NAMES`."""
    return np.array([float(row[name]) for name in POINTS]).reshape(-1, 2)


def face_box(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """The box around landmarks (5, 2): x1, y1, x2, y2."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    unit = max(np.linalg.norm(points[1] - points[0]), np.linalg.norm(mouth - eyes))
    middle = (eyes + mouth) / 2 - unit * np.array([0, ABOVE])
    half = unit * np.array([WIDTH, HEIGHT]) / 2
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def portrait(path: Path, points: NDArray[np.float64]) -> Photo:
    """A photo with one face, known by its landmarks."""
    width, height = image_size(path)
    return Photo(
        path,
        image_id=0,
        width=width,
        height=height,
        boxes=face_box(points)[None],
        ignore=np.zeros(1, bool),
        landmarks=points[None].astype(np.float32),
    )


if __name__ == "__main__":
    main()
