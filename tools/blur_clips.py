"""How many frames of moving faces stay hidden, on clips whose truth is known.

    python tools/blur_clips.py make wider_val.json ../shared/data/wider_face/WIDER_val/images \
        ../shared/data/no_faces clips --count 20
    OMP_NUM_THREADS=1 python tools/blur_clips.py measure clips \
        [--yunet ../shared/data/peers/yunet/yunet_n_640_640.onnx] [--deface DEFACE_ENV/bin/python]

`make` moves faces of a list's photos (`pocketface data wider`) over photos without faces, at 854 x
480 and 25 frames per second for 3 s: they pan, zoom and turn, with motion blur, noise, and
something that passes before them. Faces that a detector learnt from say little of it. `measure`
looks for them by tracks as `pocketface blur` does, with the same detector frame by frame, with
YuNet, and with deface's own network and settings.

A face counts in frames where its longer side has 20 pixels or more and half of it or more is
seen. It is hidden if nine tenths of the ellipse in its box are. A flash is a frame in which a face
is seen between two in which it is hidden. "Needless" is the share of all pixels that are hidden
and lie in no face's box, grown by a half. Seconds are those of looking, on one thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.find import FaceFinder
from pocketface.apps.blur.outline import outline_of
from pocketface.apps.blur.tracks_cover import Covers
from pocketface.apps.blur.video import VideoRequest, blur_video
from pocketface.data.images import list_images, read_image
from pocketface.data.videos import open_video
from pocketface.results import Detections
from pocketface.tasks.named import model_path

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]

SIZE = (854, 480)
RATE, SECONDS = 25, 3
LEAST, SEEN, MOST = 20, 0.5, 0.9
SHUTTER = 0.5
BLURS = 4
"""Share of a frame's time for which the shutter is open, and pictures that are averaged."""


def main() -> None:
    """Make clips, or measure on them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("labels", type=Path)
    maker.add_argument("root", type=Path, help="folder of its photos")
    maker.add_argument("grounds", type=Path, help="folder of photos without faces")
    maker.add_argument("folder", type=Path)
    maker.add_argument("--count", type=int, default=20)
    maker.add_argument("--seed", type=int, default=31)
    measurer = commands.add_parser("measure")
    measurer.add_argument("folder", type=Path)
    measurer.add_argument("--detector", default="face-detection-n")
    measurer.add_argument("--score", type=float, default=0.3)
    measurer.add_argument("--second-opinion", default="face-detection-m", help="or none")
    measurer.add_argument("--yunet", type=Path)
    measurer.add_argument("--deface", type=Path, help="the Python that has deface")
    asked = parser.parse_args()
    if asked.command == "make":
        rng = np.random.default_rng(asked.seed)
        make(asked.labels, asked.root, asked.grounds, asked.folder, asked.count, rng)
    else:
        measure(asked)


# Clips.


@dataclass
class Sprite:
    """A head cut out: BGR and opacity, and the face's box in it."""

    pixels: Pixels
    opacity: NDArray[np.float32]
    box: NDArray[np.float64]


def make(
    labels: Path,
    root: Path,
    without_faces: Path,
    folder: Path,
    count: int,
    rng: np.random.Generator,
) -> None:
    """Write the clips, and the truth beside each as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(labels.read_text())
    faces: dict[int, list[Any]] = {}
    for one in content["annotations"]:
        faces.setdefault(one["image_id"], []).append(one)
    names = {one["id"]: root / one["file_name"] for one in content["images"]}
    good = [
        (names[key], one["bbox"], [other["bbox"] for other in of_all if other is not one])
        for key, of_all in faces.items()
        for one in of_all
        if min(one["bbox"][2:]) >= 60
        and not (one["blur"] or one["occlusion"] or one["invalid"] or one["pose"])
    ]
    rng.shuffle(good)
    grounds = list_images(without_faces)
    sprites = (sprite for row in good if (sprite := cut_out(*row)) is not None)
    for number in range(count):
        ground = read_image(grounds[int(rng.integers(len(grounds)))])
        moving = [next(sprites) for _ in range(int(rng.integers(1, 4)))]
        frames, truth = clip(ground, moving, rng)
        write_clip(folder / f"clip{number:02}.mp4", frames)
        (folder / f"clip{number:02}.json").write_text(json.dumps(truth))
        print(f"clip{number:02}: {len(moving)} faces")


def cut_out(path: Path, box: Sequence[float], others: Sequence[Sequence[float]]) -> Sprite | None:
    """A face with its hair and shoulders; None if others are near."""
    image = read_image(path)
    x, y, width, height = box
    low = np.array([x - 0.7 * width, y - 0.7 * height]).clip(0).astype(int)
    high = np.array([x + 1.7 * width, y + 1.9 * height]).astype(int)
    high = np.minimum(high, [image.shape[1], image.shape[0]])
    for left, top, wide, tall in others:
        if left < high[0] and top < high[1] and left + wide > low[0] and top + tall > low[1]:
            return None
    pixels = image[low[1] : high[1], low[0] : high[0]]
    tall_, wide_ = pixels.shape[:2]
    grid_y, grid_x = np.mgrid[:tall_, :wide_] + 0.5
    radius = np.hypot((grid_x - wide_ / 2) / (wide_ / 2), (grid_y - tall_ / 2) / (tall_ / 2))
    opacity = ((1 - radius) / 0.15).clip(0, 1).astype(np.float32)
    own = np.array([x, y, x + width, y + height]) - np.tile(low, 2)
    return Sprite(pixels, opacity, own)


def clip(
    ground: Pixels, sprites: Sequence[Sprite], rng: np.random.Generator
) -> tuple[list[Pixels], list[list[dict[str, Any]]]]:
    """The frames, and in each the box of each face and the share of it that is seen."""
    paths = [Motion(rng) for _ in sprites]
    camera = Motion(rng)
    passes = rng.uniform(0.2, 0.6), rng.uniform(0.15, 0.35)
    colour = rng.integers(20, 200, 3)
    frames, truth = [], []
    for index in range(RATE * SECONDS):
        pictures = []
        for part in range(BLURS):
            moment = (index + SHUTTER * (part / (BLURS - 1) - 0.5)) / (RATE * SECONDS)
            picture, seen, boxes = still(ground, sprites, paths, camera, moment, passes, colour)
            pictures.append(picture.astype(np.float32))
            if part == BLURS // 2:
                truth.append(
                    [
                        {"face": number, "box": box.round(2).tolist(), "seen": round(share, 3)}
                        for number, (box, share) in enumerate(zip(boxes, seen, strict=True))
                    ]
                )
        mean = np.mean(pictures, 0) + rng.normal(0, 3, pictures[0].shape)
        frames.append(mean.clip(0, 255).astype(np.uint8))
    return frames, truth


class Motion:
    """Where a face is, how large and how turned, by the time from 0 to 1."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.place = rng.uniform(0.2, 0.8, (2, 2))
        self.sway = rng.uniform(0, 0.12, 2), rng.uniform(1, 4, 2), rng.uniform(0, 6, 2)
        self.sides = np.exp(rng.uniform(np.log(24), np.log(140), 2))
        self.turn = rng.uniform(-18, 18, 2)

    def at(self, moment: float) -> tuple[NDArray[np.float64], float, float]:
        """Centre in shares of the frame, side in pixels, and degrees."""
        much, often, phase = self.sway
        centre = self.place[0] + (self.place[1] - self.place[0]) * moment
        centre = centre + much * np.sin(2 * np.pi * often * moment + phase)
        side = float(self.sides[0] ** (1 - moment) * self.sides[1] ** moment)
        return centre, side, float(self.turn[0] + (self.turn[1] - self.turn[0]) * moment)


def still(
    ground: Pixels,
    sprites: Sequence[Sprite],
    paths: Sequence[Motion],
    camera: Motion,
    moment: float,
    passes: tuple[float, float],
    colour: NDArray[np.int64],
) -> tuple[Pixels, list[float], list[NDArray[np.float64]]]:
    """One picture, the share of each face that is seen, and its box."""
    wide, high = SIZE
    centre, side, _ = camera.at(moment)
    scale = max(wide / ground.shape[1], high / ground.shape[0]) * (1.3 + side / 300)
    size = np.array([wide, high]) / scale
    room = np.array([ground.shape[1], ground.shape[0]]) - size
    corner = room * centre.clip(0, 1)
    shift = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    picture = cv2.warpAffine(ground, shift, SIZE, flags=cv2.INTER_LINEAR).astype(np.float32)
    areas: list[NDArray[np.bool_]] = []
    boxes = []
    for sprite, path in zip(sprites, paths, strict=True):
        placed, opacity, box = stamped(sprite, *path.at(moment))
        area = ellipse(box)
        for other in areas:
            other &= opacity < 0.5
        picture = picture + opacity[..., None] * (placed - picture)
        areas.append(area)
        boxes.append(box)
    left = int((passes[0] + 1.2 * (moment - 0.5)) * wide)
    right = left + int(passes[1] * wide * 0.6)
    begin, end = max(0, left), max(0, right)
    picture[high // 5 :, begin:end] = colour
    seen = []
    for area, box in zip(areas, boxes, strict=True):
        area[high // 5 :, begin:end] = False
        whole = np.pi / 4 * np.prod(box[2:] - box[:2])
        seen.append(float(area.sum() / whole))
    return picture.clip(0, 255).astype(np.uint8), seen, boxes


def stamped(
    sprite: Sprite, centre: NDArray[np.float64], side: float, degrees: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """A head in an empty frame, its opacity, and the box of its turned face."""
    box = sprite.box
    own = float(max(box[2:] - box[:2]))
    scale = side / own
    few = tuple(max(2, round(value * scale)) for value in sprite.opacity.shape[::-1])
    small = cv2.resize(sprite.pixels, few, interpolation=cv2.INTER_AREA)
    thin = cv2.resize(sprite.opacity, few, interpolation=cv2.INTER_AREA)
    middle = (box[:2] + box[2:]) / 2 * scale
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), degrees, 1)
    goal = centre * SIZE
    turn[:, 2] = turn[:, 2] + goal - middle
    placed = cv2.warpAffine(small, turn, SIZE, borderMode=cv2.BORDER_REPLICATE)
    opacity = cv2.warpAffine(thin, turn, SIZE)
    half = (box[2:] - box[:2]) * scale / 2
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    reach = np.array([np.hypot(half[0] * cosine, half[1] * sine),
                      np.hypot(half[0] * sine, half[1] * cosine)])  # fmt: skip
    return (
        np.asarray(placed, np.float32),
        np.asarray(opacity, np.float32),
        np.concatenate([goal - reach, goal + reach]),
    )


def ellipse(box: NDArray[Any]) -> NDArray[np.bool_]:
    """The pixels of a frame in the ellipse of a box."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] + 0.5
    centre, half = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 1) / 2
    inside = ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1
    return np.asarray(inside, np.bool_)


def write_clip(path: Path, frames: Sequence[Pixels]) -> None:
    """Write H.264."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))


# Figures.


@dataclass
class Way:
    """A way to hide faces, and what it did."""

    grow: float
    frames: int = 0
    hidden: int = 0
    flashes: int = 0
    needless: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, truth: Sequence[Sequence[dict[str, Any]]], covers: Sequence[Boxes]) -> None:
        """Count one clip: `covers` are the boxes whose grown ellipses hide, in each frame."""
        by_face: dict[int, list[bool]] = {}
        for faces, boxes in zip(truth, covers, strict=True):
            covered = hidden_of(boxes, self.grow)
            near = np.zeros_like(covered)
            for face in faces:
                box = np.array(face["box"])
                low, high = (box[:2] * 1.25 - box[2:] * 0.25), (box[2:] * 1.25 - box[:2] * 0.25)
                (x1, y1), (x2, y2) = low.clip(0).astype(int), high.clip(0).astype(int)
                near[y1:y2, x1:x2] = True
                if max(box[2:] - box[:2]) >= LEAST and face["seen"] >= SEEN:
                    area = ellipse(box)
                    share = (covered & area).sum() / max(1, area.sum())
                    by_face.setdefault(face["face"], []).append(bool(share >= MOST))
            self.needless.append(float((covered & ~near).mean()))
        for row in by_face.values():
            self.frames += len(row)
            self.hidden += sum(row)
            known = [index for index, one in enumerate(row) if one]
            if known:
                self.flashes += sum(not one for one in row[known[0] : known[-1] + 1])

    def row(self, name: str) -> str:
        """Of the table."""
        share = 100 * self.hidden / max(1, self.frames)
        return (
            f"| {name} | {share:.2f} | {self.frames - self.hidden:,} of {self.frames:,} | "
            f"{self.flashes:,} | {100 * np.mean(self.needless):.1f} | {self.seconds:.0f} |"
        )


def hidden_of(boxes: Boxes, grow: float) -> NDArray[np.bool_]:
    """The pixels that ellipses hide, as `hide` does."""
    covered = np.zeros(SIZE[::-1], np.bool_)
    for box in boxes:
        found = outline_of(box, SIZE[::-1], shape="ellipse", grow=grow)
        if found is not None:
            area, opacity = found
            covered[area] |= opacity > 0.99
    return covered


class Recorder(FaceFinder):
    """Keeps what a full search finds in each frame, its time, and that of those not asked for."""

    found: list[Detections]
    full = extra = 0.0

    def find_all(self, image: Pixels, *, closer: bool = True, **scores: Any) -> Detections:
        """See `FaceFinder`."""
        look = partial(super().find_all, image, **scores)
        started = time.perf_counter()
        asked = whole = look(closer=closer)
        seconds = time.perf_counter() - started
        if not closer:
            started = time.perf_counter()
            whole = look()
            seconds = time.perf_counter() - started
            self.extra += seconds
        self.full += seconds
        self.found.append(whole)
        return asked


def measure(asked: argparse.Namespace) -> None:
    """Print the table."""
    cover = Cover()
    second = asked.second_opinion
    finder = Recorder(
        model_path(asked.detector),
        score=asked.score,
        second_opinion=None if second == "none" else model_path(second),
        threads=1,
    )
    ways = {
        "ours, by tracks": Way(cover.grow),
        "the same detector, frame by frame": Way(cover.grow),
    }
    yunet = None
    if asked.yunet is not None:
        yunet = cv2.FaceDetectorYN.create(str(asked.yunet), "", SIZE, 0.4, 0.45, 5000)
        ways["YuNet-n, frame by frame"] = Way(cover.grow)
    clips = sorted(asked.folder.glob("clip??.mp4"))
    if asked.deface is not None:
        version = "from importlib.metadata import version; print(version('deface'))"
        said = subprocess.run(
            [asked.deface, "-c", version], check=True, stdout=subprocess.PIPE, text=True
        )
        theirs = f"deface {said.stdout.strip()}"
        ways[theirs] = Way(1)
    with tempfile.TemporaryDirectory() as scratch:
        for path in clips:
            truth = json.loads(path.with_suffix(".json").read_text())
            finder.found, finder.full, finder.extra = [], 0.0, 0.0
            output = Path(scratch) / path.name
            done = blur_video(VideoRequest(source=path, output=output, finder=finder))
            covers = Covers(done.tracks.paths, RATE)
            tracked = ways["ours, by tracks"]
            tracked.add(truth, [covers.at(index).boxes for index in range(len(truth))])
            tracked.seconds += done.finding - finder.extra
            single = ways["the same detector, frame by frame"]
            single.add(truth, [one.above(asked.score).boxes for one in finder.found])
            single.seconds += finder.full
            with open_video(path) as video:
                pictures = [frame.pixels for frame in video.frames]
            if yunet is not None:
                way = ways["YuNet-n, frame by frame"]
                started = time.perf_counter()
                rows = [yunet.detect(picture)[1] for picture in pictures]
                way.seconds += time.perf_counter() - started
                way.add(truth, [corners(one) for one in rows])
            if asked.deface is not None:
                deface(asked.deface, pictures, truth, ways[theirs], Path(scratch))
            print(path.name, *(f"{way.hidden}/{way.frames}" for way in ways.values()),
                  file=sys.stderr, flush=True)  # fmt: skip
    print(
        f"| {len(clips)} clips | hidden, % | seen | flashes | needless, % of pixels | s |\n"
        "|---|---|---|---|---|---|"
    )
    for name, way in ways.items():
        print(way.row(name))


def corners(rows: Any) -> Boxes:
    """Boxes (N, 4) of YuNet's rows."""
    if rows is None:
        return np.zeros((0, 4), np.float32)
    return np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]).astype(np.float32)


def deface(
    python: Path,
    pictures: Sequence[Pixels],
    truth: Sequence[Sequence[dict[str, Any]]],
    way: Way,
    scratch: Path,
) -> None:
    """What deface's network finds in each frame, and the time that it takes for that."""
    names = [f"{index:03}.png" for index in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        cv2.imwrite(str(scratch / name), picture)
    listed, found = scratch / "list.json", scratch / "found.json"
    listed.write_text(json.dumps({"images": [{"file_name": name} for name in names]}))
    finds = Path(__file__).with_name("deface_finds.py")
    command = [str(one) for one in (python, finds, listed, scratch, found)]
    subprocess.run(command, check=True, capture_output=True)
    boxes = json.loads(found.read_text())
    way.add(truth, [np.array(boxes[name]["boxes"], np.float32).reshape(-1, 4) for name in names])
    way.seconds += sum(boxes[name]["seconds"] for name in names)


if __name__ == "__main__":
    main()
