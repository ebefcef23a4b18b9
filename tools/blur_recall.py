"""How many faces are hidden, by their size, and at what cost: a row for each way to look.

    pocketface data wider ../shared/data/wider_face --output wider   # a COCO JSON of the 500 photos
    python tools/blur_recall.py wider/wider_val.json ../shared/data/wider_face/WIDER_val/images \
        --look face-detection-n:0.3:1920:1.4 --look face-detection-n:0.3:1920:1.4:face-detection-m \
        [--found deface=deface.json] [--photos 200]

A look is a detector, its lowest score, the longest side that a photo is searched at, how much the
ellipse is larger than the box, and perhaps who is asked about doubtful faces. `--still` looks in
the same way at a video that shows the photo. `--found` has what another program found, by
tools/deface_finds.py. A face is hidden if nine tenths of the ellipse in its box are; sizes are of
the box's longer side in pixels of the photo. "Needless" is the share of all pixels that are hidden
and lie in no face's box, grown by a half. One thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.apps.blur.find import FaceFinder
from pocketface.apps.blur.outline import outline_of
from pocketface.apps.blur.tracks_cover import Covers
from pocketface.apps.blur.video_find import find_tracks
from pocketface.data.coco_json import load_coco_json
from pocketface.data.images import read_image
from pocketface.tasks.named import model_path
from pocketface.tools.deface_finds import spread

Boxes = NDArray[np.float32]
Find = Callable[[str, NDArray[np.uint8]], tuple[Boxes, float]]
"""The boxes whose ellipses hide what a photo shows, and seconds."""

SIZES = (8, 16, 32, 64)
MOST = 0.9
STILL, RATE = 3, 25
"""Frames of a video that shows a photo, and how many it has in a second."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument(
        "--look", action="append", default=[], metavar="DETECTOR:SCORE:SIDE:GROW[:SECOND]"
    )
    parser.add_argument("--still", action="append", default=[], metavar="LOOK")
    parser.add_argument("--found", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--photos", type=int, help="so many, spread over all")
    asked = parser.parse_args()
    content = load_coco_json(asked.annotations)
    faces: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in content["annotations"]:
        faces[one["image_id"]].append(one)
    photos = sorted(content["images"], key=lambda image: image["file_name"])
    photos = spread(photos, asked.photos)
    ways: dict[str, Find] = {one: by_look(one) for one in asked.look}
    ways |= {f"a video, {one}": by_still(one) for one in asked.still}
    ways |= {name: by_file(Path(file)) for name, _, file in (f.partition("=") for f in asked.found)}
    heads = [f"{low} to {high}" for low, high in itertools.pairwise(SIZES)]
    print(
        f"| hidden of {len(photos)} photos' faces, % | {' | '.join(heads)} | {SIZES[-1]} on | ",
        end="",
    )
    print("needless, % of pixels | ms, median | mean |\n" + "|---" * (len(SIZES) + 4) + "|")
    tallies = {name: Tally() for name in ways}
    for image in photos:
        pixels = read_image(asked.root / image["file_name"])
        for name, find in ways.items():  # in turns, as the machine has other work
            tallies[name].add(
                pixels.shape[:2], faces[image["id"]], *find(image["file_name"], pixels)
            )
    for name, tally in tallies.items():
        print(f"| {name} | {' | '.join(tally.cells())} |")


def opened(text: str) -> tuple[FaceFinder, float]:
    """A detector of ours, and how much larger the ellipse is."""
    detector, score, side, grow, *second = text.split(":")
    finder = FaceFinder(
        model_path(detector),
        score=float(score),
        max_side=int(side),
        second_opinion=model_path(second[0]) if second else None,
        threads=1,
    )
    return finder, float(grow)


def grown(boxes: Boxes, grow: float) -> Boxes:
    """Boxes around the same centres."""
    more = (grow - 1) / 2 * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], axis=1)


def by_look(text: str) -> Find:
    """A detector of ours, as the command looks at photos."""
    finder, grow = opened(text)

    def find(_: str, pixels: NDArray[np.uint8]) -> tuple[Boxes, float]:
        finder.find(pixels)  # opens a network of this size
        started = time.perf_counter()
        boxes = finder.find(pixels).boxes
        return grown(boxes, grow), time.perf_counter() - started

    return find


def by_still(text: str) -> Find:
    """As the command looks at videos: at one of a few frames that all are the photo."""
    finder, grow = opened(text)

    def find(_: str, pixels: NDArray[np.uint8]) -> tuple[Boxes, float]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "still.mkv"
            write_still(path, pixels)
            started = time.perf_counter()
            tracks, _digests = find_tracks(path, finder, who=None, tell=lambda _: None)
            seconds = (time.perf_counter() - started) / STILL
        boxes = Covers(tracks.paths, RATE).at(STILL // 2).boxes
        return grown(boxes, grow), seconds

    return find


def write_still(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a lossless video of one picture, uint8 (H, W, 3) BGR."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "bgr0"
        for _ in range(STILL):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        file.mux(stream.encode())


def by_file(path: Path) -> Find:
    """What another program found."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return lambda name, _: (
        np.array(content[name]["boxes"], np.float32).reshape(-1, 4),
        content[name]["seconds"],
    )


class Tally:
    """What one way to look hid."""

    def __init__(self) -> None:
        self.hidden: dict[int, list[bool]] = defaultdict(list)
        self.needless: list[float] = []
        self.seconds: list[float] = []

    def add(
        self, size: tuple[int, int], faces: list[dict[str, Any]], boxes: Boxes, seconds: float
    ) -> None:
        """Count a photo."""
        covered = np.zeros(size, bool)
        for box in boxes:
            outline = outline_of(box, size, shape="ellipse", grow=1)
            if outline is not None:
                area, opacity = outline
                covered[area] |= opacity >= 1
        needed = np.zeros(size, bool)
        for face in faces:
            x, y, width, height = face["bbox"]
            box = np.array([x, y, x + width, y + height], np.float32)
            wide = outline_of(box, size, shape="box", grow=1.5)
            inner = outline_of(box, size, shape="ellipse", grow=1)
            if wide is None or inner is None:
                continue
            needed[wide[0]] |= wide[1] >= 1
            longer = max(width, height)
            if face.get("ignore") or longer < SIZES[0]:
                continue
            least = max(side for side in SIZES if side <= longer)
            self.hidden[least].append(float(covered[inner[0]][inner[1] >= 1].mean()) >= MOST)
        self.needless.append(float((covered & ~needed).mean()))
        self.seconds.append(seconds)

    def cells(self) -> Iterator[str]:
        """The table's columns."""
        for size in SIZES:
            yield f"{100 * float(np.mean(self.hidden[size])):.1f} of {len(self.hidden[size])}"
        yield f"{100 * float(np.mean(self.needless)):.2f}"
        yield f"{1000 * float(np.median(self.seconds)):.0f}"
        yield f"{1000 * float(np.mean(self.seconds)):.0f}"


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
