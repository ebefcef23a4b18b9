"""What detectors find of faces of all groups, in coloured light, in the dark, turned; false ones.

    python tools/robustness.py FILE… --faces ../shared/data/face_unlabelled/labels.csv \
        --without-faces ../shared/data/no_faces/labels.csv [--seen no_faces.json] \
        [--peers ../shared/data/peers --peer-thresholds yunet-n=0.66 …] [--pictures DIR]

The faces are the test part of a list as that of UTKFace: aligned as ArcFace aligns them, with
`age`, `gender` and `race`. They are laid into photos of places without people, with a soft edge,
many into each, which is as large as the detectors' input. A face is found if a box has an IoU of
0.4 and more with the one that WIDER's boxes would be around such landmarks (`landmarks.face_box`).

Ours have their template's threshold. False faces are counted in photos without people, by the
`kind` that their list names; `--seen` leaves out those of a list that a training had.

Prints Markdown; `--pictures` keeps a picture of each condition.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.benchmarks.cases import Target, peers_in, targets_of
from pocketface.data.coco import read_coco
from pocketface.data.images import read_image
from pocketface.data.landmark_geometry import ARCFACE_POINTS, ARCFACE_SIDE
from pocketface.data.table import read_table
from pocketface.results import Detections, pairwise_iou
from pocketface.tasks.detection.model import FaceDetector
from pocketface.tasks.load import load
from pocketface.tools.landmarks import face_box
from pocketface.tools.strength import opened

Pixels = NDArray[np.uint8]
Predict = Callable[[Pixels], Detections]

SIDE = 640
"""Of a picture, in pixels: a detector's input."""

CELL = 2.5
"""Side of a face's place in it, in heights of the face."""

OVAL, EDGE = ((56, 62), (50, 58)), 4.0
"""The part of an aligned face that is shown, centre and half axes, and how soft its edge is."""

FOUND = 0.4
SMALL, LARGE = 15, 60
"""Heights of faces, in pixels: of those that are compared by group, and of the others."""

AGES = {"0 to 2": (0, 2), "3 to 9": (3, 9), "10 to 19": (10, 19), "20 to 39": (20, 39)}
AGES |= {"40 to 59": (40, 59), "60 to 79": (60, 79), "80 on": (80, 200)}
GENDERS = {"men": "0", "women": "1"}
RACES = {"White": "0", "Black": "1", "Asian": "2", "Indian": "3", "others": "4"}
"""The groups, as UTKFace names them; some of its labels are wrong."""

ROUNDS = 8

LIGHTS = {"green light": (0.2, 1, 0.2), "red light": (0.2, 0.2, 1), "blue light": (1, 0.2, 0.2)}
"""Factors of blue, green and red."""

DARK, NOISE = 0.15, 4.0
"""The share of the light that is left in the dark, and the noise then, in levels of grey."""

TURNS = (45, 90, 180)
BEHIND = "place"
KINDS = {
    "things": {"thing"},
    "animals": {"animal"},
    "places, food, patterns": {"place", "food", "pattern"},
}
"""Photos without people: those behind the faces, and the rows of false faces."""


def main() -> None:
    """Measure all detectors, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--without-faces", type=Path, required=True)
    parser.add_argument("--seen", type=Path, help="COCO list of photos to leave out")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--peer-thresholds", nargs="+", default=[], metavar="NAME=SCORE")
    parser.add_argument("--pictures", type=Path)
    asked = parser.parse_args()
    scores = {name: float(score) for name, _, score in map(partition, asked.peer_thresholds)}
    peers = [] if asked.peers is None else peers_in(asked.peers, list(scores) or None)
    if missing := [peer.name for peer in peers if peer.name not in scores]:
        parser.error(f"--peer-thresholds: none for {', '.join(missing)}")
    detectors = [(target, open_at(target, scores)) for target in [*targets_of(asked.files), *peers]]
    rows = [row for _, row in read_table(asked.faces).rows if row["split"] == "test"]
    tiles = [read_image(asked.faces.parent / row["file"]) for row in rows]
    places = [read_image(path) for path in without_faces(asked.without_faces, {BEHIND})]
    if asked.pictures is not None:
        asked.pictures.mkdir(parents=True, exist_ok=True)
        for name, (shown, _) in conditions(tiles, places).items():
            cv2.imwrite(str(asked.pictures / f"{name.replace(' ', '-')}.png"), next(shown)[0])

    groups = groups_of(rows)
    small = [often_found(tiles, places, predict) for _, predict in detectors]
    names = [target.name for target, _ in detectors]
    print(f"Faces of {SMALL} px:\n")
    table(["", "faces", *names])
    line("all", len(rows), *(percent(found.mean()) for found in small))
    for name, members in groups.items():
        line(name, members.sum(), *(percent(found[members].mean()) for found in small))
    shares = [[found[members].mean() for members in groups.values()] for found in small]
    line("between groups, points", "", *(f"{100 * np.ptp(each):.1f}" for each in shares))

    print(f"\nFaces of {LARGE} px:\n")
    table(["", *names])
    for name in conditions(tiles, places):
        cells = []
        for _, predict in detectors:
            shown, degrees = conditions(tiles, places)[name]
            cells.append(percent(found_in(shown, predict, LARGE, degrees=degrees).mean()))
        line(name, *cells)

    print("\nFalse faces per 100 photos without one:\n")
    table(["", "photos", *names])
    seen = (
        [] if asked.seen is None else read_coco([asked.seen], [asked.without_faces.parent]).photos
    )
    for name, kinds in KINDS.items():
        paths = without_faces(asked.without_faces, kinds, seen={photo.path for photo in seen})
        images = [read_image(path) for path in paths]
        counts = [sum(len(predict(image)) for image in images) for _, predict in detectors]
        line(name, len(images), *(f"{100 * count / len(images):.1f}" for count in counts))


def partition(text: str) -> tuple[str, str, str]:
    """NAME=VALUE, in parts."""
    return text.partition("=")


def open_at(target: Target, scores: Mapping[str, float]) -> Predict:
    """A detector that shows what its user would see."""
    predict = opened(target)
    score = scores.get(target.name)
    if score is None:
        model = load(target.path)
        assert isinstance(model, FaceDetector)
        score = model.rules.score_threshold
    least = score
    return lambda image: predict(image).above(least)


def groups_of(rows: Sequence[Mapping[str, str]]) -> dict[str, NDArray[np.bool_]]:
    """Which of the faces belong to a group, (N,) each."""
    ages = np.array([int(row["age"]) for row in rows])
    found = {
        f"age {name}": (ages >= first) & (ages <= last) for name, (first, last) in AGES.items()
    }
    for key, values in (("gender", GENDERS), ("race", RACES)):
        has = np.array([row[key] for row in rows])
        found |= {name: has == value for name, value in values.items()}
    return found


def conditions(
    tiles: Sequence[Pixels], places: Sequence[Pixels]
) -> dict[str, tuple[Iterator[Sheet], int]]:
    """Pictures under each of them, and by how many degrees the faces in them are turned."""
    found = {"as they are": (sheets(tiles, places, LARGE), 0)}
    for name, factors in LIGHTS.items():
        found[name] = (lit(sheets(tiles, places, LARGE), np.array(factors)), 0)
    found["dark"] = (lit(sheets(tiles, places, LARGE), np.full(3, DARK), noise=NOISE), 0)
    for degrees in TURNS:
        found[f"turned by {degrees}°"] = (sheets(tiles, places, LARGE, degrees=degrees), degrees)
    return found


Sheet = tuple[Pixels, NDArray[np.float64]]
"""A picture, uint8 (640, 640, 3), and the middles of the faces in it, (N, 2)."""


def sheets(
    tiles: Sequence[Pixels], places: Sequence[Pixels], height: int, *, degrees: int = 0
) -> Iterator[Sheet]:
    """Pictures of many faces of a height in pixels, turned counter-clockwise."""
    step = round(CELL * height)
    across = SIDE // step
    for index, start in enumerate(range(0, len(tiles), across**2)):
        picture = square(places[index % len(places)]).astype(np.float32)
        middles = []
        for place, tile in enumerate(tiles[start : start + across**2]):
            y, x = (step * one for one in divmod(place, across))
            face, share = soft_face(tile, step, degrees=degrees)
            part = picture[y : y + step, x : x + step]
            part += share * (face - part)
            middles.append((x + step / 2, y + step / 2))
        yield picture.round().astype(np.uint8), np.array(middles)


def square(image: Pixels) -> Pixels:
    """The middle of a photo, as large as a picture."""
    side = min(image.shape[:2])
    y, x = ((size - side) // 2 for size in image.shape[:2])
    middle = image[y : y + side, x : x + side]
    return np.asarray(cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def soft_face(
    tile: Pixels, side: int, *, degrees: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A face amid its place, (side, side, 3), and how much of it is to be seen, (side, side, 1)."""
    border = round(ARCFACE_SIDE * (CELL - 1) / 2)
    wide = cv2.copyMakeBorder(tile, border, border, border, border, cv2.BORDER_REPLICATE)
    # On the wide one: the oval reaches beyond the chin, and must end there.
    shown: NDArray[Any] = np.zeros(wide.shape[:2], np.float32)
    (x, y), axes = OVAL
    centre = (border + x, border + y)
    cv2.ellipse(shown, centre, axes, angle=0, startAngle=0, endAngle=360, color=1, thickness=-1)
    shown = cv2.GaussianBlur(shown, (0, 0), EDGE)
    whole = np.dstack([wide.astype(np.float32), shown])
    middle = (whole.shape[1] - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), degrees, 1.0)
    turned = cv2.warpAffine(whole, turn, whole.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    small = np.asarray(cv2.resize(turned, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    return small[..., :3], small[..., 3:]


def lit(
    shown: Iterator[Sheet], factors: NDArray[np.float64], *, noise: float = 0.0
) -> Iterator[Sheet]:
    """The pictures in another light: factors of blue, green and red."""
    rng = np.random.default_rng(0)
    for picture, middles in shown:
        levels = picture * factors + noise * rng.standard_normal(picture.shape)
        yield levels.round().clip(0, 255).astype(np.uint8), middles


def found_in(
    shown: Iterator[Sheet], predict: Predict, height: int, *, degrees: int = 0
) -> NDArray[np.bool_]:
    """Which of the faces are found, (N,)."""
    x0, y0, x1, y1 = face_box(np.array(ARCFACE_POINTS)) - ARCFACE_SIDE / 2
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) @ [[cos, -sin], [sin, cos]]
    box = np.concatenate([corners.min(0), corners.max(0)]) * height / ARCFACE_SIDE
    found = []
    for picture, middles in shown:
        boxes = (np.tile(middles, 2) + box).astype(np.float32)
        found.append(pairwise_iou(boxes, predict(picture).boxes).max(1, initial=0) >= FOUND)
    return np.concatenate(found)


def often_found(
    tiles: Sequence[Pixels], places: Sequence[Pixels], predict: Predict
) -> NDArray[np.float64]:
    """How often each small face is found, (N,), before `ROUNDS` places that chance chooses."""
    found = np.zeros(len(tiles))
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(tiles))
        behind = [places[index] for index in rng.permutation(len(places))]
        shown = sheets([tiles[index] for index in order], behind, SMALL)
        found[order] += found_in(shown, predict, SMALL) / ROUNDS
    return found


def without_faces(
    labels: Path, kinds: Collection[str], *, seen: Collection[Path] = ()
) -> list[Path]:
    """The photos without people of some kinds, but those that a training had."""
    rows = (row for _, row in read_table(labels).rows if row["kind"] in kinds)
    return [path for path in (labels.parent / row["file"] for row in rows) if path not in seen]


def table(heads: Sequence[str]) -> None:
    """Print a table's first two lines."""
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")


def line(*cells: object) -> None:
    """Print a row."""
    print(f"| {' | '.join(str(one) for one in cells)} |", flush=True)


def percent(share: float) -> str:
    """A share of 1."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
