"""How small a face may be before a recogniser cannot tell who it is.

    python tools/recognition_sizes.py model.xml lfw.identities.json ../shared/data/lfw/lfw \
        [--pairs 1500] [--eyes 4 6 8 10 12 16 24]

For pairs of LFW's protocol, the second photo of each is made smaller until the eyes are so many
pixels apart. Prints how many pairs of one person pass the model's threshold for a false match rate
of 0.001, and how many of two people do, so that MIN_EYES of apps/recognize_faces.py can be chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
    for apart in (None, *sorted(asked.eyes, reverse=True)):
        scores = (known * smaller(model, photos, apart)).sum(1)
        passed = scores >= threshold
        print(f"| {'as they are' if apart is None else f'{apart:g}'} "
              f"| {100 * passed[same].mean():.1f} | {100 * passed[~same].mean():.2f} "
              f"| {scores[same].mean():.3f} |", flush=True)  # fmt: skip


def smaller(
    model: FaceRecognizer, photos: Sequence[IdentityPhoto], apart: float | None
) -> NDArray[np.float32]:
    """Embeddings of photos whose eyes are so many pixels apart; None leaves them as they are."""
    faces = []
    for photo in photos:
        image, points = read_image(photo.path), photo.landmarks
        assert points is not None
        if apart is not None:
            scale = apart / float(np.hypot(*(points[1] - points[0])))
            height, width = (max(1, round(scale * side)) for side in image.shape[:2])
            points = points * (width / image.shape[1], height / image.shape[0])
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
        faces += model.cut(image, np.asarray(points, np.float32)[None])
    return np.stack([found.vector for found in model.embed(faces)])


if __name__ == "__main__":
    main()
