"""COCO JSON, the format of labelled faces that training and evaluation read."""

from __future__ import annotations

import logging
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError
from .coco_json import load_coco_json
from .coco_records import Key, category_names, faces_by_image, image_records
from .pairs import paired

_log = logging.getLogger(__name__)

_MAX_ID = 2**53
"""Largest id that is kept: JSON readers that use float64 round larger ones."""

_MAX_NAMED = 5


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
        # One pixel of rounding on the shorter side, plus 2 %, which hardly moves a box.
        tolerance = 0.02 + 1 / min(self.width, self.height, width, height)
        if abs(math.log(width / self.width * self.height / height)) > tolerance:
            turned = abs(math.log(width / self.height * self.width / height)) <= tolerance
            raise ImageError(
                f"{self.path}: is {width}x{height}, and was labelled as {self.width}x{self.height}"
                + (": before its EXIF orientation turned it?" if turned else "")
            )
        return np.array([width / self.width, height / self.height], np.float32)


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """Photos with faces, and a count of what was left out.

    Attributes:
        photos: The photos, in the order of the annotation files.
        skipped: Number of bad records by reason; empty if all were good.
        missing: `file_name` of each image that does not exist; such photos are not in `photos`.
    """

    photos: tuple[Photo, ...]
    skipped: Mapping[str, int]
    missing: tuple[str, ...]

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.photos)


def read_coco(
    annotation_files: Sequence[Path],
    roots: Sequence[Path],
    *,
    classes: Sequence[str] = ("face",),
) -> FaceDataset:
    """Read COCO JSON files (cocodataset.org, "Data format") as one set of faces.

    A bad record is left out and counted by reason; the counts are logged in one warning. Boxes
    partly outside their photo are clipped to it, as a network cannot see the rest; a box wholly
    outside is a bad record. Annotations of categories other than `classes` are not read, and a
    warning counts them.
    Landmarks come from the first key present of `landmarks` and `landmarks_pseudo` (ten numbers
    x, y; null or the pair -1, -1 if unknown), and `keypoints` (fifteen numbers x, y, visibility;
    visibility 0 if unknown).

    Args:
        annotation_files: One or more files.
        roots: Folders that `file_name` is relative to, one for each file or one for all.
        classes: Names of the categories that are faces; each file must have all of them. If
            empty, the photos have no boxes.

    Returns:
        The photos whose image file exists, including those without a face (background).

    Raises:
        DataError: Counts of files and roots do not match; a file is missing, is not JSON or not
            COCO, or lacks a class; a root is not a folder; none of a file's images exists.
    """
    read = _Read()
    for file, root in paired(annotation_files, roots):
        _read_one(file, root, classes, read)
    if read.skipped:
        _log.warning("skipped %d bad records: %s", read.skipped.total(), _listed(read.skipped))
    if read.others and classes:
        _log.warning(
            "%d annotations are of other categories than %s and not read: %s",
            read.others.total(),
            ", ".join(classes),
            _listed(read.others),
        )
    if read.missing:
        more = ", ..." if len(read.missing) > _MAX_NAMED else ""
        names = ", ".join(read.missing[:_MAX_NAMED]) + more
        total = len(read.missing) + len(read.photos)
        _log.warning("%d of %d images are not there: %s", len(read.missing), total, names)
    return FaceDataset(tuple(read.photos), dict(read.skipped), tuple(read.missing))


def _read_one(file: Path, root: Path, classes: Sequence[str], read: _Read) -> None:
    """Append one annotation file's photos and missing images."""
    content = load_coco_json(file)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder (--*-data-roots, for {file})")
    categories = category_names(file, content["categories"], classes)
    bad: Counter[str] = Counter()
    images = image_records(content["images"], bad)
    if not images:
        why = _listed(bad) or "images is empty"
        raise DataError(f"{file}: has no usable image: {why}")
    faces = faces_by_image(content["annotations"], images, categories, classes, bad, read.others)
    read.skipped.update(bad)
    absent: list[str] = []
    for key, (name, width, height) in images.items():
        path = _find(root, name)
        if path is None:
            absent.append(name)
            continue
        found = faces.get(key, [])
        boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
        ignore = np.array([flag for _, flag, _ in found], np.bool_)
        landmarks = np.array([points for _, _, points in found], np.float32).reshape(-1, 5, 2)
        image_id = read.ids.take(key)
        read.photos.append(Photo(path, image_id, width, height, boxes, ignore, landmarks))
    if len(absent) == len(images):
        raise DataError(
            f"{root}: none of the {len(absent)} images of {file} is there (the first: {absent[0]})",
            hint="the folder given with the labels is the one that file_name is relative to",
        )
    read.missing.extend(absent)


def _find(root: Path, name: str) -> Path | None:
    """Find a photo whose name may be written differently: umlauts by macOS, / by Windows."""
    forward = name.replace("\\", "/")
    for one in (name, *(unicodedata.normalize(form, forward) for form in ("NFC", "NFD"))):
        path = os.path.join(root, one)
        if os.path.isfile(path):
            return Path(path)
    return None


def _listed(counts: Counter[str]) -> str:
    return "; ".join(f"{count} x {what}" for what, count in counts.most_common())


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
class _Read:
    """The photos and counts read so far."""

    photos: list[Photo] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    ids: _Ids = field(default_factory=_Ids)
