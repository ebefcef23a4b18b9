"""COCO JSON: the one format that training and evaluation read."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError
from .coco_json import load_coco_json
from .coco_records import Key, category_ids, faces_by_image, image_records
from .pairs import paired

_log = logging.getLogger(__name__)

_MAX_ID = 2**53
"""Ids above are not kept: JSON readers that use float64 would round them."""

_MAX_NAMED = 5


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo and its faces, as the annotation file has them.

    Nothing is decoded to make one, so `width` and `height` (and the boxes with them) are only the
    file's word: whoever decodes the photo and finds another size scales boxes and landmarks
    (`scale_to`).

    Attributes:
        path: The image file; it was there when the dataset was read.
        image_id: Unique within the dataset; the annotation file's own id where that was free.
        width: Pixels, as the annotation file says.
        height: Pixels, as the annotation file says.
        boxes: float32 (N, 4): x1, y1, x2, y2 in pixels, clipped to the photo, x1 < x2, y1 < y2.
        ignore: bool (N,): neither a face to be found nor background (`iscrowd`, `ignore`, or
            WIDER's `invalid` is 1).
        landmarks: float32 (N, 5, 2): x, y in pixels in the order of `results.LANDMARK_NAMES`; NaN
            where not known. They are not clipped.
    """

    path: Path
    image_id: int
    width: int
    height: int
    boxes: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    landmarks: NDArray[np.float32]

    def scale_to(self, height: int, width: int) -> NDArray[np.float32]:
        """What x and y of the annotation are multiplied by in the decoded photo, float32 (2,).

        Args:
            height: Of the decoded photo, in pixels.
            width: Likewise.

        Raises:
            ImageError: The photo has another shape, so that no scale brings the labels to their
                faces: it was labelled before it was turned (EXIF) or cropped.
        """
        # A pixel of rounding on the shorter side, and what makes no difference to a box.
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
    """Photos with faces, and what had to be left out.

    Attributes:
        photos: In the order of the annotation files.
        skipped: Reason to exact count of bad records; empty where all were good.
        missing: `file_name` of each image that is not there; such photos are not in `photos`.
    """

    photos: tuple[Photo, ...]
    skipped: Mapping[str, int]
    missing: tuple[str, ...]

    def __len__(self) -> int:
        """How many photos."""
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
    outside is a bad record. Annotations of categories other than `classes` are not read.
    Landmarks come from the first of these keys that is there: `landmarks` and `landmarks_pseudo`
    (ten numbers x, y; null or the pair -1, -1 where not known), `keypoints` (fifteen numbers x,
    y, visibility; visibility 0 where not known).

    Args:
        annotation_files: One or more.
        roots: The folder that `file_name` is relative to: one for each annotation file, or one
            for all.
        classes: Names of the categories that are faces; each file must have all of them.

    Returns:
        The photos whose image file is there. Those with no face stay: they are background.

    Raises:
        DataError: Counts of files and roots do not match; a file is missing, is not JSON or not
            COCO, or lacks a class; a root is no folder; none of a file's images is there.
    """
    photos: list[Photo] = []
    missing: list[str] = []
    skipped: Counter[str] = Counter()
    ids = _Ids()
    for file, root in paired(annotation_files, roots):
        _read_one(file, root, classes, photos, missing, skipped, ids)
    if skipped:
        _log.warning("skipped %d bad records: %s", skipped.total(), _list_reasons(skipped))
    if missing:
        more = ", ..." if len(missing) > _MAX_NAMED else ""
        names = ", ".join(missing[:_MAX_NAMED]) + more
        total = len(missing) + len(photos)
        _log.warning("%d of %d images are not there: %s", len(missing), total, names)
    return FaceDataset(tuple(photos), dict(skipped), tuple(missing))


def _read_one(
    file: Path,
    root: Path,
    classes: Sequence[str],
    photos: list[Photo],
    missing: list[str],
    skipped: Counter[str],
    ids: _Ids,
) -> None:
    """Append one annotation file's photos and missing images."""
    content = load_coco_json(file)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder (--*-data-roots, for {file})")
    wanted = category_ids(file, content["categories"], classes)
    bad: Counter[str] = Counter()
    images = image_records(content["images"], bad)
    if not images:
        why = _list_reasons(bad) or "images is empty"
        raise DataError(f"{file}: has no usable image: {why}")
    faces = faces_by_image(content["annotations"], images, wanted, bad)
    skipped.update(bad)
    absent: list[str] = []
    for key, (name, width, height) in images.items():
        path = os.path.join(root, name)
        if not os.path.isfile(path):
            absent.append(name)
            continue
        found = faces.get(key, [])
        boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
        ignore = np.array([flag for _, flag, _ in found], np.bool_)
        landmarks = np.array([points for _, _, points in found], np.float32).reshape(-1, 5, 2)
        photos.append(Photo(Path(path), ids.take(key), width, height, boxes, ignore, landmarks))
    if len(absent) == len(images):
        raise DataError(
            f"{root}: none of the {len(absent)} images of {file} is there (the first: {absent[0]})",
            hint="--*-data-roots names the folder that file_name is relative to",
        )
    missing.extend(absent)


def _list_reasons(skipped: Counter[str]) -> str:
    return "; ".join(f"{count} x {reason}" for reason, count in skipped.most_common())


class _Ids:
    """Gives each photo an id of its own: the annotation file's where it is a free integer."""

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
