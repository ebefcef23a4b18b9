"""Tell photos that are there twice, and those that may show another person, by embeddings."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import atomic_write
from .align import from_centres, similarity
from .landmark_geometry import ARCFACE_POINTS, ARCFACE_SIDE

_COLUMNS = ("photo", "person", "why")

SAME_PICTURE = 0.97
"""Correlation of two thumbnails from which on they are one picture. Among 1,090 photos of 271
people all pairs from 0.95 on are of one person."""

SAME_PERSON = 0.4
"""Cosine of two embeddings below which faces are not called one person's. With this and `CLOSER` 35
of 50 wrong labels among those 1,090 photos are found, and 8 right ones doubted."""

CLOSER = 0.2
"""How much closer, in cosine, a face is to another person before its label is doubted."""

_UNKNOWN = "an unknown person"

_SIDE = 24
"""Side of thumbnails, in pixels: enough for a pose and a smile, too few for compression to show."""

_BLOCK = 256
"""Faces compared with all others at once: 100 MB of similarities at 100,000 faces."""


@dataclass(frozen=True, eq=False)
class Face:
    """A face of a list.

    Attributes:
        image: Name of its photo.
        person: Name of the person; None if unknown.
        embedding: float32 (D,).
        picture: See `thumbnail`.
    """

    image: str
    person: str | None
    embedding: NDArray[np.float32]
    picture: NDArray[np.float32]


@dataclass(frozen=True)
class Doubt:
    """A photo to look at: its name, the person it is said to show, and what is strange."""

    image: str
    person: str | None
    why: str


def thumbnail(image: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """The face as a small grey picture, float32 (S,), of mean 0 and length 1.

    Args:
        image: uint8 (H, W, 3), BGR.
        landmarks: x, y of five points in its pixels, (5, 2).
    """
    points = np.array(ARCFACE_POINTS) * (_SIDE / ARCFACE_SIDE)
    transform = from_centres(similarity(landmarks, points))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    # A blur as wide as a pixel of the thumbnail, without which it would pick single pixels.
    step = 1 / max(float(np.hypot(*transform[:, 0])), 1e-6)
    if step > 1:
        grey = cv2.blur(grey, (round(step), round(step)))
    small = cv2.warpAffine(grey, transform, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    flat = np.asarray(small, np.float32).ravel()
    flat -= flat.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), np.float32)


def doubts(faces: Sequence[Face]) -> list[Doubt]:
    """The photos that are one picture, and those whose person may be another.

    Two photos are the same picture if both their embeddings and their thumbnails are close; the
    later one is reported, with the earlier that is closest. A label is doubted where the mean of
    the person's other faces is farther from a face than the mean of another person's. Nobody with
    one face is compared with.

    Args:
        faces: Faces in the order of their lists.
    """
    if not faces:
        return []
    unit = np.stack([face.embedding for face in faces]).astype(np.float32)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    pictures = np.stack([face.picture for face in faces])
    names = sorted({face.person for face in faces if face.person is not None})
    place = {name: number for number, name in enumerate(names)}
    person = np.array([-1 if face.person is None else place[face.person] for face in faces])
    found: list[Doubt] = []
    sums, counts = _sums(unit, person, len(names))
    for start in range(0, len(faces), _BLOCK):
        block = slice(start, start + _BLOCK)
        closest = _same_pictures(unit, pictures, block)
        better = _better_person(unit, person, sums, counts, block)
        for offset, face in enumerate(faces[block]):
            if (twin := closest[offset]) >= 0:
                other = faces[twin]
                whose = "" if other.person == face.person else f" of {other.person or _UNKNOWN}"
                found.append(
                    Doubt(
                        face.image, face.person, f"nearly the same picture as {other.image}{whose}"
                    )
                )
            if (who := better[offset]) >= 0:
                why = f"looks like {names[who]} rather than {face.person}"
                found.append(Doubt(face.image, face.person, why))
    return found


def _sums(
    unit: NDArray[np.float32], person: NDArray[np.int64], people: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sum of the embeddings, (K, D), and number of faces, (K,), of each person."""
    sums = np.zeros((people, unit.shape[1]), np.float32)
    known = person >= 0
    np.add.at(sums, person[known], unit[known])
    return sums, np.bincount(person[known], minlength=people)


def _same_pictures(
    unit: NDArray[np.float32], pictures: NDArray[np.float32], block: slice
) -> NDArray[np.int64]:
    """For each face of a block the earlier one that is the same picture; -1 without one."""
    until = min(block.stop, len(unit))
    likeness = pictures[block] @ pictures[:until].T
    earlier = np.arange(until)[None] < np.arange(block.start, until)[:, None]
    rows, columns = np.nonzero(earlier & (likeness >= SAME_PICTURE))
    alike = (unit[block.start + rows] * unit[columns]).sum(axis=1) >= SAME_PERSON
    rows, columns = rows[alike], columns[alike]
    # The closest comes last, and of those as close the earliest.
    order = np.lexsort((-columns, likeness[rows, columns].round(4)))
    best = np.full(until - block.start, -1)
    best[rows[order]] = columns[order]  # of several the last one stays
    return best


def _better_person(
    unit: NDArray[np.float32],
    person: NDArray[np.int64],
    sums: NDArray[np.float32],
    counts: NDArray[np.int64],
    block: slice,
) -> NDArray[np.int64]:
    """For each face of a block the person whom it looks like, if that is another; else -1."""
    some, own = unit[block], person[block]
    if not len(counts):
        return np.full(len(some), -1)
    known = own >= 0
    rest = np.zeros_like(some)
    rest[known] = sums[own[known]] - some[known]
    has_others = known & (np.where(known, counts[own], 0) >= 2)
    to_own = (some * rest).sum(1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    to_all = some @ means.T
    to_all[:, counts < 2] = -1
    rows = np.flatnonzero(known)
    to_all[rows, own[rows]] = -1
    best, closest = to_all.argmax(axis=1), to_all.max(axis=1)
    is_doubtful = has_others & (closest >= SAME_PERSON) & (closest >= to_own + CLOSER)
    return np.where(is_doubtful, best, -1)


def check_report(path: Path) -> None:
    """Refuse to replace a file that is no such report.

    Raises:
        UserError: There is one.
    """
    heading = ",".join(_COLUMNS).encode()
    if os.path.lexists(path) and not (path.is_file() and path.read_bytes().startswith(heading)):
        raise UserError(
            f"--output {path.parent}: its {path.name} is there already, and is no report of photos "
            "to look at",
            hint="name a new folder",
        )


def write_doubts(path: Path, found: Sequence[Doubt]) -> None:
    """Write a CSV with the columns photo, person and why, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((one.image, one.person or "", one.why) for one in found)
    with atomic_write(path, "w") as handle:
        handle.write(text.getvalue())
