"""What it gives to follow a face in videos: who is known, and strangers, by frame and by video.

    python tools/recognition_frames.py model.xml youtube-test.identities.json \
        ../shared/data/youtube_faces/test [--fmr 0.01 0.001]

One frame of each person's first video is enrolled, and the frames of the other videos, named by the
video's number and their own, are compared with all who are enrolled: each for itself, joined with
those of its video before it, and the last one, joined with all. Prints at the model's thresholds
how many pass of the person, and of the others.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketface.apps.recognize_faces import PhotoFaces
from pocketface.apps.recognize_follow import FollowedFaces
from pocketface.data.identities import read_identities
from pocketface.embedding import Embedding
from pocketface.results import Detections
from pocketface.tasks.load import load_as
from pocketface.tasks.recognition.embeddings import embeddings_of
from pocketface.tasks.recognition.model import FaceRecognizer

Vectors = NDArray[np.float32]

UNSURE = 0.01
"""False match rate whose threshold a face must pass to go on with what it was, as by default."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("listed", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--fmr", type=float, nargs="+", default=[0.01, 0.001])
    asked = parser.parse_args()
    model = load_as(FaceRecognizer, asked.model, threads=1)
    photos = sorted(read_identities([asked.listed], [asked.root]).photos, key=lambda one: one.path)
    videos: dict[str, dict[str, list[Vectors]]] = defaultdict(lambda: defaultdict(list))
    for photo, vector in zip(photos, embeddings_of(model, photos), strict=True):
        videos[photo.path.parent.name][photo.path.name[0]].append(vector)
    people = [[*by_video.values()] for by_video in videos.values() if len(by_video) > 1]
    known = np.stack([first[0] for first, *_ in people])
    alike = model.threshold(max_fmr=UNSURE)
    ways: dict[str, list[tuple[int, Vectors]]] = {"each frame": [], "joined": [], "the last": []}
    for person, (_, *others) in enumerate(people):
        for frames in others:
            joined = followed(frames, alike)
            ways["each frame"] += [(person, frame) for frame in frames]
            ways["joined"] += [(person, frame) for frame in joined]
            ways["the last"].append((person, joined[-1]))
    print(f"{len(people)} people, {len(ways['the last'])} videos\n")
    print("| threshold for | | comparisons of one person | pass, % | of two | pass, % |")
    print("|---|---|---|---|---|---|")
    for rate in asked.fmr:
        for way, seen in ways.items():
            passed = np.stack([vector for _, vector in seen]) @ known.T >= model.threshold(
                max_fmr=rate
            )
            same = np.zeros_like(passed)
            same[np.arange(len(seen)), [person for person, _ in seen]] = True
            print(f"| {rate:g} | {way} | {same.sum()} | {100 * passed[same].mean():.1f} "
                  f"| {(~same).sum()} | {100 * passed[~same].mean():.3f} |")  # fmt: skip


def followed(frames: list[Vectors], alike: float) -> list[Vectors]:
    """The vector of each frame of a video, joined with those before, as `visualize` does it."""
    following = FollowedFaces(alike)
    box = np.array([[0, 0, 100, 100]], np.float32)
    points = np.zeros((1, 5, 2), np.float32)
    points[:, 1] = 50
    face = Detections(box, np.ones(1, np.float32), points)
    image = np.zeros((100, 100, 3), np.uint8)
    joined = []
    for frame in frames:
        (one,) = following.follow(PhotoFaces(Path(), image, face, (Embedding(frame),)))
        joined.append(one.vector)
    return joined


if __name__ == "__main__":
    main()
