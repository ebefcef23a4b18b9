"""Make faces of nobody for a distillation: mixtures of two faces of a list, bent a little.

    python tools/morphs.py train.identities.json DATA --number 23000 --output morphs

A recogniser that learns a teacher's vectors of few photos learns these photos. Of a mixture too
the teacher has a vector, and there are as many as one likes (mixup for distillation: Beyer et al.
2022, "Knowledge distillation: a good teacher is patient and consistent"). Two faces that look the
same way and are about as bright are aligned as the network's input is, and mixed by a smooth map:
in one place more of the one, in another more of the other, mostly alike on the left and on the
right. Then they are bent by a smooth field of a few pixels. The folder gets the pictures and
`morphs.identities.json`; its data root is the folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.align import cut_face, similarity, with_margin
from pocketface.data.identities import read_identities
from pocketface.data.images import read_image
from pocketface.files import atomic_write
from pocketface.model_templates.catalogue import RECOGNIZER
from pocketface.tasks.describe import contract_for
from pocketface.tasks.templates import open_template

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]

MARGIN = 0.1
"""On each side, as a share of the input, for the training's shifts and rotations."""

CANDIDATES = 30
"""Faces of which the most similar in pose and brightness becomes the second."""

SYMMETRIC = 0.7
"""Share of maps and fields that are alike on both sides."""

BENT = 2.0
"""Standard deviation of the field, in pixels."""

QUALITY = 95
"""Of the JPEG files."""


def main() -> None:
    """Write the pictures, then their list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path, help="faces by `data identities`")
    parser.add_argument("root", type=Path, help="its data root")
    parser.add_argument("--number", type=int, default=20_000)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    target = with_margin(contract_for(open_template(RECOGNIZER).spec).input, MARGIN)
    assert target.points is not None
    faces: list[Pixels] = []
    looks: list[Map] = []
    for photo in read_identities([asked.list], [asked.root]).photos:
        if photo.landmarks is None:
            continue
        transform = similarity(photo.landmarks, target.points)
        face = cut_face(read_image(photo.path), transform, target, border=cv2.BORDER_REPLICATE)
        faces.append(face)
        looks.append(look(face, cv2.transform(photo.landmarks[None], transform)[0]))
    listed = []
    asked.output.mkdir(parents=True, exist_ok=True)
    for index in range(asked.number):
        name = f"{index:06}.jpg"
        mixed = morph(faces, np.array(looks), np.random.default_rng((asked.seed, index)))
        encoded = cv2.imencode(".jpg", mixed, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1]
        (asked.output / name).write_bytes(encoded.tobytes())
        listed.append({"image": name, "person": None, "landmarks": target.points})
    with atomic_write(asked.output / "morphs.identities.json", "w") as file:
        json.dump({"photos": listed}, file)
    print(f"{asked.output}: {len(listed)} faces made of {len(faces)}")


def look(face: Pixels, landmarks: Map) -> Map:
    """How it looks, float32 (11,): landmarks over 4 pixels, brightness over 30 of 255."""
    height, width = face.shape[:2]
    middle = face[height // 4 : -height // 4, width // 4 : -width // 4]
    return np.append(landmarks.ravel() / 4, middle.mean() / 30).astype(np.float32)


def morph(faces: list[Pixels], looks: Map, rng: np.random.Generator) -> Pixels:
    """One face of two, uint8 (H, W, 3) as they are.

    Args:
        faces: Aligned faces of one size.
        looks: What `look` says of each, (faces, 11).
        rng: Draws which, and how.
    """
    first, *others = rng.choice(len(faces), min(CANDIDATES + 1, len(faces)), replace=False)
    second = min(others, key=lambda other: float(np.abs(looks[other] - looks[first]).sum()))
    size = faces[first].shape[:2]
    contrast, lean = rng.uniform(0.2, 3), rng.normal(0, 0.4)
    share = 1 / (1 + np.exp(-(contrast * smooth(rng, size, symmetry=1) + lean)))
    mixed = share[..., None] * faces[first] + (1 - share[..., None]) * faces[second]
    rows, columns = np.indices(size, np.float32)
    bent = cv2.remap(
        np.rint(mixed).astype(np.uint8),
        columns + BENT * smooth(rng, size, symmetry=-1),
        rows + BENT * smooth(rng, size, symmetry=1),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(bent, np.uint8)


def smooth(rng: np.random.Generator, size: tuple[int, int], *, symmetry: int) -> Map:
    """A smooth random map, float32 of `size`, of variance about 1.

    Args:
        rng: Draws it.
        size: Height, width.
        symmetry: 1 if what is left may be right too, -1 if what is right may be minus that.
    """
    coarse = rng.normal(size=(5, 5)).astype(np.float32)
    if rng.random() < SYMMETRIC:
        coarse = (coarse + symmetry * coarse[:, ::-1]) * np.float32(0.5**0.5)
    fine = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine, np.float32)


if __name__ == "__main__":
    main()
