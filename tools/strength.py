"""What a detector's user sees, ours and others': faces found by size, and false ones.

    python tools/strength.py [FILE…] [--peers ../shared/data/peers] \
        --labels wider_val.json --root ../shared/data/wider_face/WIDER_val/images \
        (--threshold-labels other.json --threshold-root DIR | --thresholds 0.43 0.45) \
        --portraits ../shared/data/mtfl/labels.csv [--pictures DIR NAME NAME]

Each detector has the threshold that gives it the best F1 on the photos of `--threshold-labels`, or
those that `--thresholds` names, with a row for each.
The portraits are the test photos of a list that `pocketface data glasses` takes: one large face
each.
False ones are counted on those of `--labels`, and where there is no face at all: the largest
rectangles without a labelled face of a hundred of them. Prints Markdown, and draws those
rectangles and what two detectors of the table find on the photos with most small faces.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.benchmarks.cases import Case, Target, peers_in, targets_of
from pocketface.benchmarks.pipelines import open_pipeline
from pocketface.data.coco import Photo, read_coco
from pocketface.data.coco_json import load_coco_json, save_coco_json
from pocketface.data.glasses import read_glasses
from pocketface.data.images import read_image
from pocketface.evaluation.contact_sheet import contact_sheet
from pocketface.evaluation.operating_point import SIZES, at_threshold, best_f1
from pocketface.results import Detections
from pocketface.runtimes import DEFAULT_RUNTIMES
from pocketface.tasks.detection.draw import draw
from pocketface.tasks.detection.measure import Predictor, find_in, predictor

FLOOR = 0.02
WITHOUT_FACES = 100
PORTRAITS = 500
PORTRAIT_SIDE = 0.3
"""Smallest side of a portrait's face, as a share of the photo's shorter side."""

CELLS = 24
"""Number of grid cells along a photo's longer side, for finding rectangles without a face."""

MARGIN = 0.5
"""Margin kept free around a face, as a share of its side."""

FLAGS = {"turned": {"pose": 1}, "hidden": {"occlusion": 2}}
"""Flags of WIDER for faces from 40 px on: profiles, lying and otherwise unusual heads, and faces
that are hidden by more than 30 %."""

HARD = 6
"""Number of photos on which two detectors are drawn: those with most faces of 8 to 32 of 640
pixels."""


def main() -> None:
    """Measure all detectors, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--pictures", nargs=3, default=(None,), metavar=("DIR", "NAME", "NAME"))
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--thresholds", nargs="+", type=float)
    parser.add_argument("--threshold-labels", type=Path)
    parser.add_argument("--threshold-root", type=Path)
    asked = parser.parse_args()
    given = asked.threshold_labels is not None and asked.threshold_root is not None
    if given == bool(asked.thresholds):
        parser.error("expected either --thresholds or --threshold-labels and --threshold-root")
    folder, *beside = asked.pictures
    targets = [*targets_of(asked.files), *([] if asked.peers is None else peers_in(asked.peers))]
    if not targets:
        parser.error("expected files, --peers or both")
    if unknown := set(beside) - {target.name for target in targets}:
        parser.error(f"--pictures: none of {', '.join(one.name for one in targets)}: {unknown}")
    photos = read_coco([asked.labels], [asked.root]).photos
    others = read_coco([asked.threshold_labels], [asked.threshold_root]).photos if given else []
    faceless = without_faces(photos)
    hard = sorted(photos, key=small_faces)[-HARD:]
    drawn: dict[str, list[NDArray[np.uint8]]] = {}
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        sheet = contact_sheet(faceless, [f"{crop.shape[1]}x{crop.shape[0]}" for crop in faceless])
        cv2.imwrite(f"{folder}/without-faces.png", sheet)
    flagged = [with_flag(asked.labels, asked.root, flag) for flag in FLAGS.values()]
    portraits = portraits_of(asked.portraits)
    heads = ["file", "threshold", "faces of 10-20 px", "20-40 px", "from 40 px", *FLAGS]
    heads += ["portraits"]
    heads += ["false: per photo", f"in {len(faceless)} pictures without a face"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for target in targets:
        predict = opened(target)
        scores = asked.thresholds or [threshold_of(predict, others)]
        found = find_in(predict, photos).detections
        in_faceless = [predict(crop) for crop in faceless]
        in_portraits = [predict(portrait) for portrait in portraits]
        for score in scores:
            figures = at_threshold(photos, found, score)
            alarms = sum(len(faces.above(score)) for faces in in_faceless)
            shares = [figures[key] for key in SIZES]
            shares += [at_threshold(some, found, score)["recall_40"] for some in flagged]
            seen = [
                shows_face(faces.above(score), portrait)
                for faces, portrait in zip(in_portraits, portraits, strict=True)
            ]
            shares += [sum(seen) / len(seen)]
            cells = [target.name, f"{score:.2f}"]
            cells += ["" if one is None else f"{100 * one:.1f} %" for one in shares]
            cells += [f"{figures['false_alarms']:.2f}", str(alarms)]
            print(f"| {' | '.join(cells)} |", flush=True)
        if target.name in beside:
            score = scores[0]
            drawn[target.name] = [
                draw(image, predict(image).above(score))
                for image in (read_image(photo.path) for photo in hard)
            ]
    for index, pair in enumerate(zip(*(drawn[name] for name in beside), strict=True)):
        cv2.imwrite(f"{folder}/hard-{index + 1}.png", np.vstack(pair))


def opened(target: Target) -> Predictor:
    """Open a file in its default runtime, to give faint faces too."""
    runtime = DEFAULT_RUNTIMES[target.path.suffix]
    case = Case(target, runtime, provider="cpu", device="cpu", threads=1, batch=1)
    return predictor(open_pipeline(case).model, floor=FLOOR)


def threshold_of(predict: Predictor, photos: Sequence[Photo]) -> float:
    """The threshold of the best F1."""
    elsewhere = find_in(predict, photos)
    score = best_f1(elsewhere.photos, elsewhere.detections)["best_f1_threshold"]
    assert score is not None
    return score


def portraits_of(labels: Path) -> list[NDArray[np.uint8]]:
    """Test photos of one large face each, spread over the list."""
    root, rows = read_glasses(labels)
    paths = [root / row.image for row in rows if row.part == "test"]
    return [read_image(path) for path in paths[:: -(-len(paths) // PORTRAITS)]]


def shows_face(faces: Detections, portrait: NDArray[np.uint8]) -> bool:
    """Whether one of them is a large face in the middle."""
    boxes = faces.boxes
    height, width = portrait.shape[:2]
    middle = np.array([width, height]) / 2
    around = ((boxes[:, :2] < middle) & (boxes[:, 2:] > middle)).all(1)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)
    return bool((around & (sides >= PORTRAIT_SIDE * min(height, width))).any())


def with_flag(labels: Path, root: Path, flag: Mapping[str, int]) -> Sequence[Photo]:
    """The photos, with all faces ignored that lack the flag."""
    content = load_coco_json(labels)
    records = [
        record if flag.items() <= record.items() else record | {"ignore": 1}
        for record in content["annotations"]
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder, labels.name)
        save_coco_json(content | {"annotations": records}, path)
        return read_coco([path], [root]).photos


def small_faces(photo: Photo) -> int:
    """Number of faces of 8 to 32 of 640 pixels."""
    sides = (photo.boxes[:, 2:] - photo.boxes[:, :2]).max(1, initial=0)
    shares = 640 * sides[~photo.ignore] / max(photo.width, photo.height)
    return int(((shares >= 8) & (shares < 32)).sum())


def without_faces(photos: Sequence[Photo]) -> list[NDArray[np.uint8]]:
    """The largest rectangles without a face, from the photos with the most free room."""
    rooms = [(room, photo) for photo in photos for room in [free_rectangle(photo)]]
    rooms.sort(key=lambda pair: -min(pair[0][2] - pair[0][0], pair[0][3] - pair[0][1]))
    return [
        read_image(photo.path)[top:bottom, left:right]
        for (left, top, right, bottom), photo in rooms[:WITHOUT_FACES]
    ]


def free_rectangle(photo: Photo) -> tuple[int, int, int, int]:
    """The rectangle without a face, on a grid, with the longest shorter side."""
    step = max(photo.width, photo.height) / CELLS
    rows, columns = int(photo.height / step), int(photo.width / step)
    taken = np.zeros((rows + 1, columns + 1))
    for left, top, right, bottom in photo.boxes:
        x, y = MARGIN * (right - left), MARGIN * (bottom - top)
        lines = np.array([left - x, top - y, right + x, bottom + y]) / step
        first, last = np.floor(lines[:2]).clip(0).astype(int), np.ceil(lines[2:]).astype(int)
        taken[first[1] + 1 : last[1] + 1, first[0] + 1 : last[0] + 1] = 1
    sums = taken.cumsum(0).cumsum(1)
    best = (0, 0, 0, 0)
    size = (0, 0)
    for top in range(rows):
        for bottom in range(top + 1, rows + 1):
            band = sums[bottom] - sums[top]
            for left in range(columns):
                right = int(np.searchsorted(band, band[left], side="right")) - 1
                sides = sorted((bottom - top, right - left))
                if (sides[0], sides[1]) > size:
                    size, best = (sides[0], sides[1]), (left, top, right, bottom)
    left, top, right, bottom = (int(one * step) for one in best)
    return left, top, right, bottom


if __name__ == "__main__":
    main()
