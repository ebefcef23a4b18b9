"""How often hidden faces are recognised: a table of styles and sizes.

    python tools/blur_reidentification.py ../shared/data/youtube_faces/test \
        ../shared/data/teachers/$TEACHER/$TEACHER.xml \
        [--sizes 32 64 128 256]

The attacker is a strong recogniser that is told where the landmarks of each face were, and knows
everybody: its gallery has the photos of each person's first video, the probes are of the others.
A probe is recognised if its cosine with the right person is the highest. "Against clear photos" the
gallery is as it was; "against hidden ones" the attacker hides it in the same way, so that what is
left can be compared with what is left. The last row shows what is left around a face: all
within the box is one colour, hair and clothes are not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.apps.blur.cover import Cover, hide
from pocketface.apps.blur.find import FaceFinder
from pocketface.data.images import list_images, read_image
from pocketface.results import Detections
from pocketface.tasks.recognition.foreign import ForeignRecognizer
from pocketface.tasks.recognition.peers import open_peer

Pixels = NDArray[np.uint8]
Hide = Callable[[Pixels, Detections], None]

TEACHER = "face-reidentification-retail-0095"
BORDER = 0.5
"""Of the photos' longer side: they are cut so tight that a face outgrows them."""

FIXED = 15
"""Radius in pixels of the blur that tools with one radius for all faces have."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo, and the one face in it."""

    person: str
    video: str
    pixels: Pixels
    face: Detections


def fixed_blur(pixels: Pixels, faces: Detections) -> None:
    """A Gaussian blur of the box with one radius, whatever the size of the face."""
    x1, y1, x2, y2 = faces.boxes[0].round().astype(int).clip(0)
    part = pixels[y1:y2, x1:x2]
    part[:] = cv2.GaussianBlur(part, (2 * FIXED + 1,) * 2, 0)


def by(cover: Cover) -> Hide:
    """How a cover hides."""
    return lambda pixels, faces: hide(pixels, faces, cover)


STYLES: dict[str, Hide | None] = {
    "not hidden": None,
    f"Gaussian blur of radius {FIXED} px, as others do it": fixed_blur,
    "mosaic": by(Cover(style="mosaic")),
    "gaussian": by(Cover(style="gaussian")),
    "emoji": by(Cover(style="emoji")),
    "solid": by(Cover(style="solid")),
    "solid, box": by(Cover(style="solid", shape="box")),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("people", type=Path, help="a folder for each person")
    parser.add_argument("attacker", type=Path, help=f"the file of {TEACHER}")
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 64, 128, 256])
    parser.add_argument("--detector", default="face-detection-m")
    asked = parser.parse_args()
    attacker = open_peer(TEACHER, asked.attacker, runtime="openvino", threads=1, device="cpu")
    photos = read(asked.people, FaceFinder(asked.detector, threads=1))
    people = sorted({photo.person for photo in photos})
    probes = [p for p, first in zip(photos, first_videos(photos), strict=True) if not first]
    videos = len({(probe.person, probe.video) for probe in probes})
    print(
        f"{len(people)} people, {len(probes)} probes of {videos} videos; chance is "
        f"{100 / len(people):.1f} %, with luck {100 * lucky(videos, len(people)):.1f} % (95 %)\n"
    )
    sizes = [f"{size} px" for size in asked.sizes]
    print(f"| recognised, % | {' | '.join(sizes)} | against hidden ones: {' | '.join(sizes)} |")
    print("|---|" + "---|" * (2 * len(sizes)))
    for name, style in STYLES.items():
        cells = []
        for own in (False, True):
            for size in asked.sizes:
                cells.append(100 * recognised(attacker, photos, style, size=size, own=own))
        print(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |", flush=True)


def read(folder: Path, finder: FaceFinder) -> list[Photo]:
    """All photos in which a face is found, with a border."""
    photos = []
    for person in sorted(one for one in folder.iterdir() if one.is_dir()):
        for path in list_images(person):
            image = read_image(path)
            margin = round(BORDER * max(image.shape[:2]))
            wide = cv2.copyMakeBorder(image, *(margin,) * 4, cv2.BORDER_REPLICATE)
            pixels = np.asarray(wide, np.uint8)
            faces = finder.find(pixels)[:1]
            if len(faces):
                photos.append(Photo(person.name, path.stem[0], pixels, faces))
    return photos


def first_videos(photos: Sequence[Photo]) -> list[bool]:
    """Whether each photo is of its person's first video."""
    first: dict[str, str] = {}
    for photo in photos:
        first.setdefault(photo.person, photo.video)
    return [first[photo.person] == photo.video for photo in photos]


def recognised(
    attacker: ForeignRecognizer,
    photos: Sequence[Photo],
    style: Hide | None,
    *,
    size: int,
    own: bool,
) -> float:
    """Share of probes that are recognised.

    Args:
        attacker: The recogniser.
        photos: All photos.
        style: How faces are hidden.
        size: Longer side of the faces' boxes in pixels.
        own: Whether the gallery's faces are hidden too.
    """
    vectors: dict[bool, list[NDArray[np.float32]]] = {True: [], False: []}
    people: dict[bool, list[str]] = {True: [], False: []}
    for photo, first in zip(photos, first_videos(photos), strict=True):
        pixels, face = scaled(photo, size)
        if style is not None and (own or not first):
            style(pixels, face)
        assert face.landmarks is not None
        vectors[first].append(attacker.predict(pixels, face.landmarks)[0].vector)
        people[first].append(photo.person)
    names = sorted(set(people[True]))
    mean = np.stack(
        [
            np.mean([v for v, who in zip(vectors[True], people[True], strict=True) if who == n], 0)
            for n in names
        ]
    )
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    best = (np.stack(vectors[False]) @ mean.T).argmax(axis=1)
    return float(np.mean([names[b] == who for b, who in zip(best, people[False], strict=True)]))


def scaled(photo: Photo, size: int) -> tuple[Pixels, Detections]:
    """The photo with its face at a size."""
    box = photo.face.boxes[0]
    scale = size / float(max(box[2:] - box[:2]))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    larger = cv2.resize(photo.pixels, None, fx=scale, fy=scale, interpolation=how)
    assert photo.face.landmarks is not None
    face = Detections(
        photo.face.boxes * np.float32(scale),
        photo.face.scores,
        photo.face.landmarks * np.float32(scale),
    )
    return np.asarray(larger, np.uint8), face


def lucky(videos: int, people: int) -> float:
    """The share that guessing does not exceed in 95 of 100 cases, once for each video."""
    from scipy.stats import binom  # type: ignore[import-untyped]

    return float(binom.ppf(0.95, videos, 1 / people)) / videos


if __name__ == "__main__":
    main()
