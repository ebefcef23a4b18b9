"""Measure how much the masks of a video flicker and lag, with and without smoothing over time.

    python tools/flicker.py --segmenter FILE [--still PHOTO] [VIDEO …]

A still photo becomes a video of which every frame has other noise, brightness and JPEG artefacts:
all that changes in its masks is flicker. In a video the mask of the last frame is first moved as
the pictures move (DIS optical flow; Kroeger et al., "Fast optical flow using dense inverse search",
2016).

- flicker: pixels that change between two frames, as a share of those in either mask; mean, in %.
  "plain" is without smoothing, "smooth" with it, and "command" as `pocketface segment` has it,
  which also keeps faces that become faint.
- agreement of the smoothed masks: IoU with the unsmoothed ones of their own frame, and of the frame
  before. Smoothing that lags agrees less with its own frame.
- frames differ: how far the unsmoothed masks of two frames are apart, 1 - IoU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.apps.faces import FACE_SCORE
from pocketface.apps.mask_files import grey
from pocketface.apps.mask_tracks import MaskTracks
from pocketface.data.images import read_image
from pocketface.data.videos import open_video
from pocketface.mask import Mask
from pocketface.results import Detections
from pocketface.tasks.detection.model import FaceDetector
from pocketface.tasks.load import load_as
from pocketface.tasks.segmentation.model import FaceSegmenter

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Find = Callable[[Pixels, Detections], Sequence[Mask]]

_NOISE, _LIGHT, _QUALITIES = 4.0, 6.0, (60, 90)
"""Standard deviations of noise and brightness in grey levels, and JPEG's quality."""


def still(photo: Pixels, count: int) -> Iterator[Pixels]:
    """Frames of a camera on a tripod before a photo."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        noisy = photo + rng.normal(0, _NOISE, photo.shape) + rng.normal(0, _LIGHT)
        quality = int(rng.integers(*_QUALITIES))
        _, jpeg = cv2.imencode(
            ".jpg", noisy.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        yield np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)


def moved(mask: Bools, before: Pixels, now: Pixels) -> Bools:
    """A mask (H, W) of a frame, moved as the picture moves until the next frame."""
    # Unknown to OpenCV's own stubs.
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    levels = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (now, before)]
    steps = flow.calc(levels[0], levels[1], None)
    height, width = mask.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    places = (np.dstack([columns, rows]) + steps).astype(np.float32)
    shifted = cv2.remap(mask.astype(np.float32), places, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    return np.asarray(shifted >= 0.5)


def iou(one: Bools, other: Bools) -> float:
    """Intersection over union; 1 for two empty masks."""
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else 1.0


def points_of(faces: Detections) -> NDArray[np.float32]:
    """The landmarks (N, 5, 2), also of no face."""
    return np.zeros((0, 5, 2), np.float32) if faces.landmarks is None else faces.landmarks


def measure(
    frames: Iterable[Pixels],
    finder: Callable[[Pixels], Detections],
    ways: dict[str, Find],
    *,
    moves: bool,
) -> dict[str, float]:
    """The figures of one video.

    Args:
        frames: uint8 (H, W, 3), BGR.
        finder: Finds the faces of a frame.
        ways: "plain", "smooth" and "command": functions from a frame and faces to masks.
        moves: Whether the picture moves.
    """
    last: dict[str, Bools] = {}
    previous: Pixels | None = None
    found: dict[str, list[float]] = {}
    for frame in frames:
        faces = finder(frame)
        masks = {way: grey(find(frame, faces), frame.shape[:2]) > 0 for way, find in ways.items()}
        if previous is not None:
            for way, mask in masks.items():
                before = moved(last[way], previous, frame) if moves else last[way]
                found.setdefault(f"flicker {way}", []).append(1 - iou(mask, before))
            for name, mask in (("own", masks["plain"]), ("before", last["plain"])):
                found.setdefault(f"agreement {name}", []).append(iou(masks["smooth"], mask))
            found.setdefault("frames differ", []).append(1 - iou(masks["plain"], last["plain"]))
        last, previous = masks, frame
    return {name: 100 * float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    """Measure what the arguments name, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--segmenter", required=True)
    parser.add_argument("--detector", default="face-detection-n")
    parser.add_argument("--still", nargs="*", type=Path, default=[])
    parser.add_argument("--frames", type=int, default=60)
    args = parser.parse_args()
    segmenter = load_as(FaceSegmenter, args.segmenter)
    detector = load_as(FaceDetector, args.detector)

    def tell(path: Path, frames: Iterable[Pixels], *, moves: bool) -> None:
        tracks, whole = (MaskTracks(segmenter, detector, score=FACE_SCORE) for _ in range(2))
        ways: dict[str, Find] = {
            "plain": lambda frame, faces: segmenter.predict(frame, points_of(faces)),
            "smooth": tracks.follow,
            "command": lambda frame, _: whole.read(frame)[1],
        }
        finder = partial(detector.predict, score_threshold=FACE_SCORE)
        figures = measure(islice(frames, args.frames), finder, ways, moves=moves)
        print(path.name, *(f"{name} {value:.2f}" for name, value in figures.items()), sep="  ")

    for photo in args.still:
        tell(photo, still(read_image(photo), args.frames), moves=False)
    for path in args.videos:
        with open_video(path) as video:
            tell(path, (frame.pixels for frame in video.frames), moves=True)


if __name__ == "__main__":
    main()
