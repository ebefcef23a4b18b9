"""COCO JSON, the format of labelled faces that training and evaluation read."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError
from .box_twins import twins
from .class_names import FLAG, OWN_NAMES, ClassNames, widened
from .coco_boxes import Box
from .coco_faces import Face, faces_of
from .coco_json import load_coco_json
from .coco_records import Key, categories_of, images_of
from .pairs import paired
from .record_set import RecordSet, Tally, listed, named

_log = logging.getLogger(__name__)

_MAX_ID = 2**53
"""Largest id that is kept: JSON readers that use float64 round larger ones."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo and its faces, as in the annotation file.

    The photo is not decoded, so `width`, `height` and the boxes are as the file states. Code that
    decodes the photo and finds another size must scale boxes and landmarks (`scale_to`).

    Attributes:
        path: The image file, which existed when the dataset was read.
        image_id: Id unique within the dataset; the annotation file's own id if that was free.
        width: Width in pixels, as the annotation file states.
        height: Height in pixels, as the annotation file states.
        boxes: float32 (N, 4): x1, y1, x2, y2 in pixels, clipped to the photo, x1 < x2, y1 < y2.
        ignore: bool (N,): boxes that are neither a face to find nor background (`iscrowd`,
            `ignore`, or WIDER's `invalid` is 1).
        landmarks: float32 (N, 5, 2): x, y in pixels in the order of `results.LANDMARK_NAMES`; NaN
            if unknown. They are not clipped.
    """

    path: Path
    image_id: int
    width: int
    height: int
    boxes: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    landmarks: NDArray[np.float32]

    def scale_to(self, height: int, width: int) -> NDArray[np.float32]:
        """Factors from the annotation's x and y to the decoded photo's, float32 (2,).

        Args:
            height: Height of the decoded photo, in pixels.
            width: Width of the decoded photo, in pixels.

        Raises:
            ImageError: The photo has another aspect ratio, so that no scale fits the labels: it
                was rotated (EXIF) or cropped after it was labelled.
        """
        if not _same_shape(width, height, self.width, self.height):
            turned = _same_shape(width, height, self.height, self.width)
            raise ImageError(
                f"{self.path}: is {width}x{height}, and was labelled as {self.width}x{self.height}"
                + (": before its EXIF orientation turned it?" if turned else "")
            )
        return np.array([width / self.width, height / self.height], np.float32)


def _same_shape(width: int, height: int, other_width: int, other_height: int) -> bool:
    # One pixel of rounding on the shorter side, plus 2 %, which hardly moves a box.
    tolerance = 0.02 + 1 / min(width, height, other_width, other_height)
    return abs(math.log(width / other_width * other_height / height)) <= tolerance


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Photos with faces, and a count of what was left out or repaired.

    Attributes:
        photos: The photos, in the order of the annotation files.
        skipped: Number of bad records by reason; empty if all were good.
        missing: `file_name` of each image that does not exist; such photos are not in `photos`.
        mended: Number of records that were repaired without doubt, by what was done.
    """

    photos: tuple[Photo, ...]
    skipped: Mapping[str, int]
    missing: tuple[str, ...]
    mended: Mapping[str, int]

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.photos)


def read_coco(
    annotation_files: Sequence[Path],
    roots: Sequence[Path],
    *,
    classes: Sequence[str] | None = ("face",),
    names: ClassNames = OWN_NAMES,
) -> FaceDataset:
    """Read COCO JSON files (cocodataset.org, "Data format") as one set of faces.

    A bad record is left out and counted by reason; the counts are logged in one warning, and
    those of repaired records in another. Boxes partly outside their photo are clipped to it, as a
    network cannot see the rest; a box wholly outside is a bad record. Annotations of categories
    other than `classes` are not read, and a warning counts them.
    Landmarks come from the first key present of `landmarks` and `landmarks_pseudo` (ten numbers
    x, y; null or the pair -1, -1 if unknown), and `keypoints` (x, y, visibility for each;
    visibility 0 if unknown), which are taken by the names that the category gives them, or if it
    gives none, must be the five in our order.

    Repaired are: a photo listed more than once, in one file or several (its faces are joined); the
    same box again, also if rounded to whole pixels; ids that are numbers here and texts there;
    boxes that are all shares of their photo's sides, from 0 to 1; a polygon without a box; the
    person's left and right for the picture's. Nobody knows whose the faces are if two photos have
    one id: both are left out.

    Args:
        annotation_files: One or more files.
        roots: Folders that `file_name` is relative to, one for each file or one for all.
        classes: Names of the categories that are faces; each file must have all of them. None
            takes all categories.
        names: What the files call these categories.

    Returns:
        The photos whose image file exists, including those without a face (background).

    Raises:
        DataError: Counts of files and roots do not match; a file is missing, is not JSON or not
            COCO, or lacks a class; more than half of a file's images or of its faces are bad
            records, or its boxes are not x, y, width, height (`box_geometry`); a root is not a
            folder; none of a file's images exists.
        UserError: `names` has a class that is none of `classes`.
    """
    read = _Read()
    for file, root in paired(annotation_files, roots):
        _read_one(file, root, classes, names, read)
    photos = [one.photo() for one in read.listed.values() if not one.conflicts]
    read.records.report()
    if read.others and classes:
        typed = widened(names, classes, read.others)
        _log.warning(
            "%d annotations are of other categories than %s and not read: %s%s",
            read.others.total(),
            ", ".join(theirs for ours in classes for theirs in names.theirs(ours)),
            listed(read.others),
            f" (if they are meant too: {typed})" if typed else "",
        )
    for pair in names.unknown(read.categories) if classes is not None else ():
        _log.warning("%s %s: no category of that name in %s", FLAG, pair, _all(annotation_files))
    if missing := read.missing:
        total = len(missing) + len(photos)
        _log.warning("%d of %d images are not there: %s", len(missing), total, named(missing))
    return FaceDataset(
        tuple(photos), dict(read.records.skipped), tuple(missing), dict(read.records.mended)
    )


def _read_one(
    file: Path, root: Path, classes: Sequence[str] | None, names: ClassNames, read: _Read
) -> None:
    """Add one annotation file's photos and missing images."""
    content = load_coco_json(file)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder (--*-data-roots, for {file})")
    categories = categories_of(file, content["categories"], classes, names)
    read.categories.update(category.name for category in categories.values())
    photos = read.records.tally(file, "images", "images[{}]")
    labels = read.records.tally(file, "labels", "annotations[{}]")
    images, left_out = images_of(content["images"], photos)
    faces = faces_of(content["annotations"], images, left_out, categories, labels, read.others)
    absent: list[str] = []
    for key, (name, width, height, place) in images.items():
        found = read.records.find(root, name)
        if found is None:
            absent.append(name)
            continue
        same, path = found
        if same not in read.listed:
            read.listed[same] = _Listed(path, read.ids.take(key), width, height)
        elif read.listed[same].scale(width, height) is None:
            read.listed[same].conflicts = True
            photos.lose("image listed again with another shape (none of them is read)", place)
            for face in faces.get(key, ()):
                labels.kept -= 1
                labels.lose("label of such an image", face.place)
            continue
        else:
            photos.mend("image listed again, its faces joined", place)
        read.listed[same].add(faces.get(key, ()), width, height, labels)
    labels.check()
    photos.check()
    if len(absent) == len(images):
        raise DataError(
            f"{root}: none of the {len(absent)} images of {file} is there "
            f"(the first: {named(absent[:1])})",
            hint="the folder given with the labels is the one that file_name is relative to",
        )
    read.missing.extend(absent)


def _all(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files))


class _Ids:
    """Gives each photo a unique id: the annotation file's if that is a free integer."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._next = 0

    def take(self, key: Key) -> int:
        chosen = self._next
        if isinstance(key, int) and 0 <= key < _MAX_ID and key not in self._taken:
            chosen = key
        self._taken.add(chosen)
        self._next = max(self._next, chosen + 1)
        return chosen


@dataclass
class _Listed:
    """A photo on disk, with the faces of all records that list it."""

    path: Path
    image_id: int
    width: int
    height: int
    conflicts: bool = False
    faces: dict[Box, Face] = field(default_factory=dict)

    def scale(self, width: int, height: int) -> tuple[float, float] | None:
        """Factors from another listing's pixels to the first one's; None if no scale fits."""
        if (width, height) == (self.width, self.height):
            return 1.0, 1.0
        if not _same_shape(width, height, self.width, self.height):
            return None
        return self.width / width, self.height / height

    def add(self, faces: Sequence[Face], width: int, height: int, labels: Tally) -> None:
        """Add the faces of one record; a box that is there already counts once."""
        scale = self.scale(width, height)
        assert scale is not None
        for face in faces:
            if scale != (1.0, 1.0):
                box, points = (
                    [number * scale[axis % 2] for axis, number in enumerate(numbers)]
                    for numbers in (face.box, face.points)
                )
                face = face._replace(box=cast(Box, tuple(box)), points=points)
            known = self.faces.setdefault(face.box, face)
            if known is not face:
                self._join(known, face, labels)
        those = list(self.faces.values())
        for place, first in twins(list(self.faces)).items():
            del self.faces[those[place].box]
            self._join(self.faces[those[first].box], those[place], labels)

    def _join(self, known: Face, face: Face, labels: Tally) -> None:
        """Take what a second record says of a face."""
        labels.mend("the same box again, left out", face.place)
        # A face to be found if either says so, with the landmarks that either has.
        pairs = zip(known.points, face.points, strict=True)
        self.faces[known.box] = known._replace(
            ignore=known.ignore and face.ignore,
            points=[other if math.isnan(own) else own for own, other in pairs],
        )

    def photo(self) -> Photo:
        """The photo with all its faces."""
        faces = self.faces.values()
        return Photo(
            self.path,
            self.image_id,
            self.width,
            self.height,
            np.array([face.box for face in faces], np.float32).reshape(-1, 4),
            np.array([face.ignore for face in faces], np.bool_),
            np.array([face.points for face in faces], np.float32).reshape(-1, 5, 2),
        )


@dataclass
class _Read:
    """What was read so far."""

    records: RecordSet = field(default_factory=RecordSet)
    listed: dict[Hashable, _Listed] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    categories: set[str] = field(default_factory=set)
    ids: _Ids = field(default_factory=_Ids)
