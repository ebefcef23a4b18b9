"""Make lists of people's photos, with landmarks, of folders and tables."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError, UserError
from ..files import name_in_utf8
from ..places import check_place, write_lists
from .identities import SUFFIX, ListSpec, PhotoSpec
from .identities_doubts import Doubt, Face, doubts, thumbnail
from .identities_pairs import Pair, read_pairs
from .identities_source import Photo, Split, photos_in, photos_of_table
from .landmark_geometry import ARCFACE_POINTS, ARCFACE_SIDE
from .masks import FindLandmarks
from .read_ahead import decoded
from .record_set import RecordSet, named

_log = logging.getLogger(__name__)

MARGIN = 0.5
"""Width of the border, as a share of the photo's longer side, in which a face is looked for again
that fills its photo."""

Points = NDArray[np.float32]

Embed = Callable[[NDArray[np.uint8], Points], NDArray[np.float32]]
"""Of a photo (H, W, 3) BGR and the landmarks (5, 2) of a face, its embedding (D,)."""


@dataclass(frozen=True)
class IdentitiesRequest:
    """What `make_identities` is to do.

    Attributes:
        folder: The photos, in a folder for each person unless there is a table.
        output: Folder for the lists.
        find_landmarks: Finds the main face of a photo; None where photos are faces aligned already,
            as ArcFace aligns them, at any size.
        table: A CSV that says who is in which photo; see `photos_of_table`.
        tags: Columns of the table that become tags.
        split: How people are split; one list, "all", where it has no fractions.
        pairs: LFW's `pairs.txt` for "all"; None for no pairs.
        embed: Embeds a face, for a report on photos that are doubtful; None for no report.
    """

    folder: Path
    output: Path
    find_landmarks: FindLandmarks | None
    table: Path | None = None
    tags: Sequence[str] = ()
    split: Split = Split()  # noqa: RUF009  # frozen
    pairs: Path | None = None
    embed: Embed | None = None


@dataclass(frozen=True)
class WrittenList:
    """A written list.

    Attributes:
        path: The file.
        photos: Number of its photos.
        people: Number of people whose names are known.
        alone: Number of people with one photo.
        found: Number of photos with a face.
        pairs: Number of pairs.
    """

    path: Path
    photos: int
    people: int
    alone: int
    found: int
    pairs: int


def make_identities(
    request: IdentitiesRequest, *, on_progress: Callable[[int, int], object] | None = None
) -> tuple[list[WrittenList], list[Doubt]]:
    """Look for the face in each photo, and write a list for each part of the photos.

    Photos stay where they are. Those that cannot be read, or whose names are no UTF-8, are left
    out, and counted in a warning; those without a face are kept without landmarks.

    Args:
        request: What to do.
        on_progress: Called with the number of photos done and of all.

    Returns:
        The lists, and the doubtful photos, none without `request.embed`.

    Raises:
        UserError: The output cannot be written, or has a list of another content, which may have
            been corrected by hand; or what is asked for does not fit together.
        DataError: The folder, table or pairs cannot be read, or more than half of the photos
            cannot be used.
    """
    one = request
    check_place(one.output, "--output", folder=True)
    if one.split.val_fraction + one.split.test_fraction >= 1:
        raise UserError(
            f"--val-fraction {one.split.val_fraction:g} and --test-fraction "
            f"{one.split.test_fraction:g}: expected less than 1 together"
        )
    records = RecordSet()
    photos = _photos(one, records)
    # Read before faces are looked for, as they may be refused.
    pairs = [] if one.pairs is None else _pairs(one.pairs, photos, records)
    tally = records.tally(one.folder, "photos", "{}")
    entries: dict[int, PhotoSpec] = {}
    faces: list[Face] = []
    images = decoded(one.folder / photo.image for photo in photos)
    for place, (photo, image) in enumerate(zip(photos, images, strict=True)):
        if isinstance(image, ImageError):
            tally.lose("photo that cannot be read", f"{name_in_utf8(photo.image)} ({image})")
        elif name_in_utf8(f"{photo.image}{photo.person}") != f"{photo.image}{photo.person}":
            tally.lose("name that is no UTF-8", name_in_utf8(photo.image))
        elif one.find_landmarks is None and image.shape[0] != image.shape[1]:
            size = f"{image.shape[1]}x{image.shape[0]}"
            tally.lose("aligned face that is not square", f"{photo.image} ({size})")
        else:
            points = _landmarks(image, one.find_landmarks)
            entries[place] = _entry(photo, points)
            if points is not None and one.embed is not None:
                embedding = one.embed(image, points)
                faces.append(Face(photo.image, photo.person, embedding, thumbnail(image, points)))
        if on_progress is not None:
            on_progress(place + 1, len(photos))
    tally.kept = len(entries)
    tally.check()
    records.report()
    return _save(one.output, photos, entries, pairs), doubts(faces)


def _photos(one: IdentitiesRequest, records: RecordSet) -> list[Photo]:
    """The photos, each with its part."""
    if one.table is None:
        if one.tags:
            raise UserError("--tags: goes with --list, whose columns they are")
        photos = photos_in(one.folder)
    else:
        if not one.folder.is_dir():
            raise DataError(f"{one.folder}: no such folder of photos")
        photos = photos_of_table(one.table, one.folder, tags=one.tags, records=records)
    has_parts = any(photo.part for photo in photos)
    if has_parts and one.split:
        raise UserError(f"{one.table}: has a column split: expected no --*-fraction beside it")
    if one.pairs is not None and (has_parts or one.split):
        raise UserError(f"--pairs {one.pairs}: expected photos in one list, not split into several")
    if one.split:
        return one.split.of(photos)
    parts: dict[str, set[str | None]] = {}
    for photo in photos:
        if photo.person is not None:
            parts.setdefault(photo.person, set()).add(photo.part)
    several = [person for person, some in parts.items() if len(some) > 1]
    if several:
        _log.warning("%d people are in several lists: %s", len(several), named(several))
    return photos


def _pairs(file: Path, photos: Sequence[Photo], records: RecordSet) -> list[Pair]:
    return read_pairs(file, [(photo.image, photo.person) for photo in photos], records=records)


def _landmarks(image: NDArray[np.uint8], find: FindLandmarks | None) -> Points | None:
    """Landmarks (5, 2) of the main face."""
    if find is None:
        return np.array(ARCFACE_POINTS, np.float32) * (len(image) / ARCFACE_SIDE)
    points = find(image)
    if points is not None:
        return points
    border = round(MARGIN * max(image.shape[:2]))
    sides = (border,) * 4
    points = find(np.asarray(cv2.copyMakeBorder(image, *sides, cv2.BORDER_REPLICATE), np.uint8))
    return None if points is None else np.asarray(points - border, np.float32)


def _entry(photo: Photo, landmarks: Points | None) -> PhotoSpec:
    points = None
    if landmarks is not None:
        points = tuple((round(float(x), 2), round(float(y), 2)) for x, y in landmarks)
    return PhotoSpec(image=photo.image, person=photo.person, landmarks=points, tags=photo.tags)


def _save(
    output: Path, photos: Sequence[Photo], entries: dict[int, PhotoSpec], pairs: Sequence[Pair]
) -> list[WrittenList]:
    """Write a list for each part; pairs are of the only one."""
    parts: dict[str, list[PhotoSpec]] = {}
    for place, entry in entries.items():
        parts.setdefault(photos[place].part or "all", []).append(entry)
    order = {place: number for number, place in enumerate(entries)}
    kept = tuple(
        (order[one], order[other], fold)
        for one, other, fold in pairs
        if one in order and other in order
    )
    written, texts = [], {}
    for part, some in sorted(parts.items()):
        path = output / f"{part}{SUFFIX}"
        texts[path] = ListSpec(photos=some, pairs=kept).model_dump_json(exclude_defaults=True)
        people = Counter(entry.person for entry in some if entry.person is not None)
        alone = sum(number == 1 for number in people.values())
        found = sum(entry.landmarks is not None for entry in some)
        written.append(WrittenList(path, len(some), len(people), alone, found, len(kept)))
    write_lists(texts)
    return written
