"""How small a face may be before a recogniser cannot tell who it is.

    python tools/recognition_sizes.py model.xml lfw.identities.json ../shared/data/lfw/lfw \
        [--pairs 1500] [--eyes 4 6 8 10 12 16 24] [--larger 4]

For pairs of LFW's protocol, the second photo of each is made smaller until the eyes are so many
pixels apart, or so many times larger, with a camera's noise. Prints how many pairs of one person
pass the model's threshold for a false match rate of 0.001, and how many of two people do, so that
MIN_EYES of apps/recognize_faces.py can be chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.identities import IdentityPhoto, read_identities
from pocketface.data.images import read_image
from pocketface.tasks.load import load_as
from pocketface.tasks.recognition.embeddings import embeddings_of
from pocketface.tasks.recognition.measure import people_of
from pocketface.tasks.recognition.model import FaceRecognizer

FMR = 1e-3
NOISE = 20.0
"""Standard deviation of a camera's noise in dim light, in levels of grey."""
QUALITY = 85

Pixels = NDArray[np.uint8]
Points = NDArray[np.floating]
Make = Callable[[Pixels, Points], tuple[Pixels, Points]]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("listed", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--eyes", type=float, nargs="+", default=[4, 6, 8, 10, 12, 16, 24])
    parser.add_argument("--larger", type=float, nargs="+", default=[], metavar="TIMES")
    asked = parser.parse_args()
    model = load_as(FaceRecognizer, asked.model, threads=1)
    content = read_identities([asked.listed], [asked.root])
    chosen = np.random.default_rng(0).permutation(len(content.pairs))[: asked.pairs]
    one, other, _ = content.pairs[chosen].T
    people = people_of(content.photos)
    same = people[one] == people[other]
    photos = [content.photos[index] for index in other]
    known = embeddings_of(model, [content.photos[index] for index in one])
    threshold = model.threshold(max_fmr=FMR)
    print(f"{len(same)} pairs, cosine {threshold:.3f}\n")
    print("| eyes apart, px | accepted of one person, % | of two people, % | mean cosine |")
    print("|---|---|---|---|")
    made: dict[str, Make] = {
        f"{times:g} times larger": partial(larger, times=times) for times in asked.larger
    }
    made["as they are"] = lambda image, points: (image, points)
    made |= {f"{eyes:g}": partial(smaller, eyes=eyes) for eyes in sorted(asked.eyes, reverse=True)}
    for name, make in made.items():
        scores = (known * vectors(model, photos, make)).sum(1)
        passed = scores >= threshold
        print(f"| {name} "
              f"| {100 * passed[same].mean():.1f} | {100 * passed[~same].mean():.2f} "
              f"| {scores[same].mean():.3f} |", flush=True)  # fmt: skip


def vectors(
    model: FaceRecognizer, photos: Sequence[IdentityPhoto], make: Make
) -> NDArray[np.float32]:
    """Embeddings (N, D) of what `make` makes of photos."""
    faces = []
    for photo in photos:
        assert photo.landmarks is not None
        image, points = make(read_image(photo.path), photo.landmarks)
        faces += model.cut(image, np.asarray(points, np.float32)[None])
    return np.stack([found.vector for found in model.embed(faces)])


def smaller(image: Pixels, points: Points, *, eyes: float) -> tuple[Pixels, Points]:
    """The photo with eyes so many pixels apart, and its landmarks."""
    scale = eyes / float(np.hypot(*(points[1] - points[0])))
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), points * (width / image.shape[1], height / image.shape[0])


def larger(image: Pixels, points: Points, *, times: float) -> tuple[Pixels, Points]:
    """The photo as a camera with more pixels has it: each with noise of its own, as JPEG."""
    large = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(large.shape[0]).normal(0, NOISE, large.shape)
    noisy = np.clip(large + noise, 0, 255).astype(np.uint8)
    written = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR), np.uint8), points * times


if __name__ == "__main__":
    main()
