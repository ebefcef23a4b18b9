"""Other people's ways to a mask of the face, and ours, on the same photos in one run.

    python tools/segmentation_peers.py test.masks.json --root ../shared/data/celebamask \
        [--ours FILE …] [--mean-of train.masks.json] [--mediapipe] [--dlib shape_68.dat] \
        [--isnet FILE.onnx] [--photos N] [--pictures FILE.png]

Takes turns at every photo, on one core, from the decoded photo to the finished mask; ms are those
of the processor. The photos are heads already cut. Needs an environment of its own, since
mediapipe asks for an older NumPy than pocketface: docs/reports/segmentation-peers.md makes it, and
says where each peer's weights come from. Prints Markdown. Where a peer finds no face, its mask is
empty for the figures of faces; "Dice, where found", "glasses in the mask" and the shares of persons
are means over the photos where it found one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.images import read_image
from pocketface.data.mask_pairs import MaskPair, read_mask, read_mask_pairs, read_mask_values
from pocketface.evaluation.contact_sheet import contact_sheet
from pocketface.evaluation.masks import MaskFigures
from pocketface.tasks.load import load_as
from pocketface.tasks.segmentation.model import FaceSegmenter

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Segment = Callable[[Pixels], Mask | None]
"""From a photo, (H, W, 3) BGR, to its mask, (H, W); None if no face was found."""

CLASSES = ("background", "face", "glasses")
FACE, GLASSES = CLASSES.index("face"), CLASSES.index("glasses")
PROBABILITY = 0.5
ISNET_SIDE = 1024
WARM_UP = 3
SHOWN, SIDE = 8, 256
COLOUR = (0, 255, 0)


@dataclass(frozen=True)
class Peer:
    """A way to a mask.

    Attributes:
        name: For the table.
        segment: The way.
        person: Whether it looks for the whole person or foreground, so that a figure for the face
            would mean nothing.
    """

    name: str
    segment: Segment
    person: bool = False


def counting() -> MaskFigures:
    """Nothing counted yet, of one class."""
    return MaskFigures(1)


@dataclass
class Tally:
    """What one peer did on all photos.

    Attributes:
        face: Figures of the face, on all photos; a photo without a mask counts as wrong.
        found: On the photos in which it found a face.
        tagged: On the photos with glasses.
        filled: On all photos, with glasses counted as face.
        covered: Shares of the face's and of the labelled person's pixels in the mask.
        glasses: Shares of the glasses' pixels in the mask, of photos that have such.
        seconds: Time of the processor for each photo.
    """

    face: MaskFigures = field(default_factory=counting)
    found: MaskFigures = field(default_factory=counting)
    tagged: MaskFigures = field(default_factory=counting)
    filled: MaskFigures = field(default_factory=counting)
    covered: list[tuple[float, float]] = field(default_factory=list)
    glasses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    """Run all peers on all photos, and print the tables."""
    # Before anything counts the cores: every library then has one thread.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--ours", nargs="+", type=Path, default=())
    parser.add_argument("--mean-of", type=Path)
    parser.add_argument("--mediapipe", action="store_true")
    parser.add_argument("--dlib", type=Path)
    parser.add_argument("--isnet", type=Path)
    parser.add_argument("--photos", type=int)
    parser.add_argument("--pictures", type=Path)
    asked = parser.parse_args()
    pairs = read_mask_pairs([asked.list], [asked.root], classes=CLASSES)[: asked.photos]
    peers = [ours(file) for file in asked.ours]
    if asked.mean_of:
        peers.append(mean_mask(read_mask_pairs([asked.mean_of], [asked.root], classes=CLASSES)))
    if asked.mediapipe:
        peers += [*mesh_polygons(), *selfie_masks()]
    if asked.dlib:
        peers.append(dlib_hull(asked.dlib))
    if asked.isnet:
        peers.append(isnet(asked.isnet))
    tallies = measure(peers, pairs)
    print("\n".join(tables(peers, tallies, pairs)))
    if asked.pictures:
        cv2.imwrite(str(asked.pictures), pictures(peers, pairs))


def ours(file: Path) -> Peer:
    """A model file of ours, used as its users do; a photo is the head that it takes."""
    model = load_as(FaceSegmenter, file, threads=1)

    def segment(photo: Pixels) -> Mask:
        (found,) = model.predict(photo)
        return found.of("face")

    return Peer(file.name, segment)


def mean_mask(pairs: Sequence[MaskPair]) -> Peer:
    """The pixels that are face in at least half of these photos: what no look at a photo gives."""
    shape = read_mask_values(pairs[0].mask_path).shape
    share = np.mean([read_mask(pair, shape=shape) == FACE for pair in pairs], axis=0)
    constant = share >= PROBABILITY
    return Peer("mean mask of the training photos", lambda _: constant)


def mesh_polygons() -> list[Peer]:
    """The oval of MediaPipe's face mesh, filled; its first model and the one with attention."""
    from mediapipe.python.solutions import face_mesh  # type: ignore[import-not-found]

    outline = ordered(face_mesh.FACEMESH_FACE_OVAL)

    def segment(mesh: Any, photo: Pixels) -> Mask | None:
        found = mesh.process(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)).multi_face_landmarks
        if not found:
            return None
        height, width = photo.shape[:2]
        points = found[0].landmark
        places = [(points[i].x * width, points[i].y * height) for i in outline]
        return filled(np.array(places), photo.shape[:2])

    return [
        Peer(
            f"MediaPipe {name}, oval",
            partial(segment, face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=refine)),
        )
        for name, refine in (("mesh", False), ("mesh with attention", True))
    ]


def ordered(edges: Sequence[tuple[int, int]]) -> list[int]:
    """The points of a closed outline in order, from its edges."""
    following = dict(edges)
    points = [min(following)]
    while (point := following[points[-1]]) != points[0]:
        points.append(point)
    return points


def selfie_masks() -> list[Peer]:
    """MediaPipe's two masks of a person."""
    from mediapipe.python.solutions import selfie_segmentation

    def segment(model: Any, photo: Pixels) -> Mask:
        mask = model.process(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)).segmentation_mask
        return np.asarray(mask > PROBABILITY)

    return [
        Peer(
            f"MediaPipe selfie, {name}",
            partial(segment, selfie_segmentation.SelfieSegmentation(number)),
            person=True,
        )
        for number, name in enumerate(("general", "landscape"))
    ]


def dlib_hull(file: Path) -> Peer:
    """The convex hull of dlib's 68 landmarks, from the jaw to the eyebrows."""
    import dlib  # type: ignore[import-not-found]

    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(file))

    def segment(photo: Pixels) -> Mask | None:
        colours = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
        boxes = detector(colours, 0)
        if not boxes:
            return None
        parts = predictor(colours, max(boxes, key=lambda box: box.area())).parts()
        points = np.array([(part.x, part.y) for part in parts], np.int32)
        return filled(cv2.convexHull(points)[:, 0], photo.shape[:2])

    return Peer("dlib, hull of 68 landmarks", segment)


def isnet(file: Path) -> Peer:
    """IS-Net's foreground, as @imgly/background-removal prepares a photo for it."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def segment(photo: Pixels) -> Mask:
        colours = cv2.cvtColor(photo, cv2.COLOR_BGR2RGB)
        image = cv2.resize(colours, (ISNET_SIDE, ISNET_SIDE)).astype(np.float32)
        values = ((image - 128) / 256).transpose(2, 0, 1)[None]
        alpha = session.run(["output"], {"input": values})[0][0, 0]
        return np.asarray(cv2.resize(alpha, photo.shape[1::-1]) > PROBABILITY)

    return Peer("IS-Net (imgly, small)", segment, person=True)


def filled(points: NDArray[Any], shape: tuple[int, ...]) -> Mask:
    """The pixels inside an outline, (n, 2) x and y in pixels."""
    canvas = np.zeros(shape, np.uint8)
    return cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], 1).astype(bool)


def measure(peers: Sequence[Peer], pairs: Sequence[MaskPair]) -> list[Tally]:
    """Run each peer on each photo, taking turns."""
    tallies = [Tally() for _ in peers]
    for peer in peers:
        for pair in pairs[:WARM_UP]:
            peer.segment(read_image(pair.path))
    for pair in pairs:
        photo = read_image(pair.path)
        truth = read_mask(pair, shape=photo.shape)
        person = read_mask_values(pair.mask_path) > 0
        for peer, tally in zip(peers, tallies, strict=True):
            # Of the processor, which others may be using, too; on one core it is the time of all.
            start = process_time()
            mask = peer.segment(photo)
            tally.seconds.append(process_time() - start)
            count(tally, mask, truth, person)
            if "glasses" in pair.tags:
                count_one(tally.tagged, mask, truth == FACE)
    return tallies


def count(tally: Tally, mask: Mask | None, truth: Pixels, person: Mask) -> None:
    """Add the answer to one photo."""
    face, glasses = truth == FACE, truth == GLASSES
    count_one(tally.face, mask, face)
    count_one(tally.filled, mask, face | glasses)
    if mask is None:
        return
    count_one(tally.found, mask, face)
    tally.covered.append((float(mask[face].mean()), float(mask[person].mean())))
    if glasses.any():
        tally.glasses.append(float(mask[glasses].mean()))


def count_one(figures: MaskFigures, mask: Mask | None, truth: Mask) -> None:
    """Add one mask, or that there is none."""
    wanted = truth.astype(np.uint8)
    if mask is None:
        figures.add_lost(wanted)
    else:
        figures.add(mask[None].astype(np.float32), mask.astype(np.uint8), wanted)


def tables(peers: Sequence[Peer], tallies: Sequence[Tally], pairs: Sequence[MaskPair]) -> list[str]:
    """Markdown: faces first, then persons."""
    tagged = sum("glasses" in pair.tags for pair in pairs)
    faces = [
        "| face | Dice | IoU | IoU, mean over photos | boundary F | Dice, where found "
        f"| Dice, {tagged} with glasses | Dice, glasses are face | glasses in the mask "
        "| not found | ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    persons = ["| person | of the face | of all labelled | ms |", "|---|---|---|---|"]
    for peer, tally in zip(peers, tallies, strict=True):
        time = f"{median(tally.seconds) * 1e3:.1f}"
        if peer.person:
            face, person = np.mean(tally.covered, axis=0)
            persons.append(f"| {peer.name} | {face:.1%} | {person:.1%} | {time} |")
            continue
        keys = ("dice", "iou", "mean_iou", "boundary_f")
        figures = [tally.face.figures()[key] for key in keys]
        figures += [one.figures()["dice"] for one in (tally.found, tally.tagged, tally.filled)]
        cells = " | ".join("" if one is None else f"{one:.3f}" for one in figures)
        inside = f"{np.mean(tally.glasses):.0%}" if tally.glasses else ""
        faces.append(f"| {peer.name} | {cells} | {inside} | {tally.face.lost} | {time} |")
    return [f"{len(pairs)} photos", "", *faces, "", *persons]


def pictures(peers: Sequence[Peer], pairs: Sequence[MaskPair]) -> Pixels:
    """The outlines of the masks: a column for each photo, a row for each peer."""
    cells = []
    for peer in peers:
        for pair in pairs[:: max(1, len(pairs) // SHOWN)][:SHOWN]:
            photo = read_image(pair.path)
            mask = peer.segment(photo)
            if mask is not None:
                shape = mask.astype(np.uint8)
                edges, _ = cv2.findContours(shape, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(photo, edges, -1, COLOUR)
            cells.append(photo)
    return contact_sheet(cells, columns=SHOWN, side=SIDE)


if __name__ == "__main__":
    main()
