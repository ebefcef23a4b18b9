"""Check the records of a COCO file one by one, and then all of them together."""

from __future__ import annotations

import logging
import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import DataError
from ..results import LANDMARK_NAMES
from .class_names import FLAG, ClassNames, hint_for
from .coco_boxes import Box, are_shares, clipped, is_share, numbers_in, polygon_box
from .coco_keypoints import UNKNOWN, Order, Points, are_crossed, exchanged, order_of
from .photo_paths import leads_out
from .record_set import Tally, named

_log = logging.getLogger(__name__)

_MAX_SIDE = 1_000_000
"""Largest width or height in pixels; larger values are mistakes in the file."""

_MAX_LETTERS = 200

_IGNORED = ("iscrowd", "ignore", "invalid")

Key = int | str
"""An id as it stands in the file."""

Value = TypeVar("Value")


class Image(NamedTuple):
    """A good image record, and its place among the records."""

    name: str
    width: int
    height: int
    place: int


class Face(NamedTuple):
    """A good annotation: corners in pixels, ignore flag, landmarks, its place in the records."""

    box: Box
    ignore: bool
    points: Points
    place: int


@dataclass(frozen=True)
class Category:
    """A category: its name, whether it is wanted, the order of its keypoints if it names them."""

    name: str
    wanted: bool
    order: Order | None


class ById(Generic[Value]):
    """Records by id, which may be written as a number or as text where that leaves no doubt."""

    def __init__(self, records: Mapping[Key, Value]) -> None:
        self.records = records
        self._by_number: dict[int, Key | None] = {}
        for key in records:
            number = _number(key)
            if number is not None:
                self._by_number[number] = None if number in self._by_number else key

    def find(self, value: object) -> Key | None:
        """The id that is meant by a value; None if there is none."""
        key = parse_id(value)
        if key is None or key in self.records:
            return key
        number = _number(key)
        return None if number is None else self._by_number.get(number)


def categories_of(
    file: Path, records: list[Any], classes: Sequence[str] | None, names: ClassNames
) -> dict[Key, Category]:
    """The categories by id.

    Args:
        file: The COCO file, for messages.
        records: The list `categories` of the file.
        classes: Our names of the wanted classes; each must be in the file by one of its names.
            None takes all categories.
        names: What the file calls them.

    Raises:
        DataError: A category has no id or name, two have one id, or a wanted one is missing.
        UserError: `names` has a class that is none of `classes`.
    """
    wanted = None if classes is None else names.by_theirs(classes)
    found: dict[Key, Category] = {}
    for record in records:
        key = parse_id(record.get("id")) if isinstance(record, dict) else None
        name = record.get("name") if isinstance(record, dict) else None
        if key is None or not isinstance(name, str):
            raise DataError(
                f"{file}: categories: expected an id and a name, found {_short(repr(record))}"
            )
        if key in found and found[key].name != name:
            raise DataError(
                f"{file}: categories: {_short(found[key].name)!r} and {_short(name)!r} have the "
                f"same id {key!r}"
            )
        points = record.get("keypoints")
        order = order_of(points) if isinstance(points, list) and points else None
        is_wanted = wanted is None or name in wanted
        if is_wanted and order is not None and order.is_understood:
            _say_what_is_absent(file, name, order)
        found[key] = Category(name, is_wanted, order)
    present = {category.name for category in found.values()}
    for ours in classes or ():
        theirs = names.theirs(ours)
        if not present.intersection(theirs):
            asked = f" ({FLAG} {names})" if names.of([ours]) else ""
            raise DataError(
                f"{file}: has no category {' or '.join(map(repr, theirs))}{asked}; "
                f"its categories: {_short(', '.join(sorted(present))) or 'none'}",
                hint=hint_for(ours, present) if present else None,
            )
    return found


def _say_what_is_absent(file: Path, name: str, order: Order) -> None:
    absent = [one for one, place in zip(LANDMARK_NAMES, order.places, strict=True) if place is None]
    if absent:
        _log.warning(
            "%s: no keypoint of category %r is understood as %s; the others are: %s",
            file, name, " or ".join(absent), named(list(order.strange)) or "none",
        )  # fmt: skip


def images_of(records: list[Any], tally: Tally) -> tuple[dict[Key, Image], set[Key]]:
    """The good image records by id, and the ids of those left out.

    Where one id is that of two photos, both are left out: nobody knows whose its annotations are.

    Args:
        records: The list `images` of the file.
        tally: Account of the photos, which this updates.
    """
    images: dict[Key, Image] = {}
    left_out: dict[Key, int] = {}
    for place, record in enumerate(records):
        record = record if isinstance(record, dict) else {}
        key, name = parse_id(record.get("id")), record.get("file_name")
        width, height = parse_id(record.get("width")), parse_id(record.get("height"))
        if key is None:
            tally.lose("image without an id", place)
            continue
        if key in images or key in left_out:
            before = images.get(key)
            if before is not None and before[:3] == (name, width, height):
                tally.mend("image listed twice", place)
                continue
            if before is not None:
                del images[key]
                tally.lose("image whose id is used twice", before.place)
            left_out[key] = place
            tally.lose("image whose id is used twice", place)
            continue
        if not isinstance(name, str) or not name:
            reason = "image without a file_name"
        elif leads_out(name):
            reason = "image whose file_name leads out of the data root"
        elif not all(isinstance(side, int) and 0 < side <= _MAX_SIDE for side in (width, height)):
            reason = "image without a width and height in pixels"
        else:
            images[key] = Image(name, int(width or 0), int(height or 0), place)
            continue
        left_out[key] = place
        tally.lose(reason, place)
    tally.kept += len(images)
    return images, set(left_out)


class _Candidate(NamedTuple):
    image: Key
    box: list[float]
    ignore: bool
    source: str
    points: Points
    place: int


def faces_of(
    records: list[Any],
    images: Mapping[Key, Image],
    left_out: Iterable[Key],
    categories: Mapping[Key, Category],
    tally: Tally,
    others: Counter[str],
) -> dict[Key, list[Face]]:
    """The good annotations of the wanted categories, by image id.

    Args:
        records: The list `annotations` of the file.
        images: The good images, from `images_of`.
        left_out: The ids of the other images.
        categories: The result of `categories_of`.
        tally: Account of the labels, which this updates.
        others: Counts of records of other categories by name, which this updates.
    """
    image_ids = ById[Any]({**dict.fromkeys(left_out), **images})
    category_ids = ById(categories)
    candidates: list[_Candidate] = []
    for place, record in enumerate(records):
        record = record if isinstance(record, dict) else {}
        said_category, said_image = record.get("category_id"), record.get("image_id")
        category_id = category_ids.find(said_category)
        category = None if category_id is None else categories.get(category_id)
        if category is not None and not category.wanted:
            others[category.name] += 1
            continue
        key = image_ids.find(said_image)
        if key is None or key not in images:
            known = key is not None and key in image_ids.records
            what = "an image that is left out" if known else "an unknown image_id"
            tally.lose(f"annotation of {what}", place)
            continue
        if category is None:
            tally.lose("annotation of an unknown category_id", place)
            continue
        box = numbers_in(record.get("bbox"), 4)
        if box is None and not record.get("bbox"):
            box = polygon_box(record)
            if box is not None:
                tally.mend("bbox taken from the polygon", place)
            elif isinstance(record.get("segmentation"), dict):
                tally.lose("annotation with a mask (RLE) and no bbox", place)
                continue
        if box is None or not all(map(math.isfinite, box)):
            tally.lose("bbox that is not four finite numbers", place)
            continue
        if box[2] <= 0 or box[3] <= 0:
            tally.lose("bbox without area", place)
            continue
        if key != said_image or category_id != said_category:
            tally.mend("id written as a number here and as text there", place)
        ignore = any(record.get(flag) == 1 for flag in _IGNORED)
        source, points = _landmarks(record, category.order, tally, place)
        candidates.append(_Candidate(key, box, ignore, source, points, place))
    return _together(candidates, images, tally)


def _together(
    candidates: list[_Candidate], images: Mapping[Key, Image], tally: Tally
) -> dict[Key, list[Face]]:
    """Judge by all annotations of a file what one does not tell, and clip boxes to their photos."""
    shares = are_shares([one.box for one in candidates])
    in_shares = shares and not any(
        abs(value) > 2 for one in candidates for value in one.points
    )  # landmarks, if any
    sources = {one.source for one in candidates if one.source}
    crossed = {
        source for source in sources
        if are_crossed(one.points for one in candidates if one.source == source)
    }  # fmt: skip
    faces: dict[Key, list[Face]] = {}
    for key, box, ignore, source, points, place in candidates:
        _, width, height, _ = images[key]
        if shares:
            tally.mend("bbox in shares of the photo (0 to 1), taken as such", place)
            box = [side * (height if axis % 2 else width) for axis, side in enumerate(box)]
            if in_shares and source:
                points = [side * (height if axis % 2 else width)
                          for axis, side in enumerate(points)]  # fmt: skip
        elif is_share(box):
            tally.lose("bbox within one pixel, perhaps in shares of the photo (0 to 1)", place)
            continue
        corners = clipped(box, width, height)
        if corners is None:
            tally.lose("bbox outside the photo", place)
            continue
        if source in crossed:
            tally.mend("landmarks with the person's left and right, exchanged", place)
            points = exchanged(points)
        faces.setdefault(key, []).append(Face(corners, ignore, points, place))
        tally.kept += 1
    return faces


def _landmarks(
    record: Mapping[str, Any], order: Order | None, tally: Tally, place: int
) -> tuple[str, Points]:
    """The key that an annotation's landmarks come from ("" if it has none), and the landmarks."""
    for name, per_point in (("landmarks", 2), ("landmarks_pseudo", 2), ("keypoints", 3)):
        value = record.get(name)
        if not value:
            continue
        by_name = order if per_point == 3 else None
        count = 5 if by_name is None else by_name.count
        numbers = numbers_in(value, count * per_point)
        if numbers is None:
            what = "five points" if by_name is None else "the category's keypoints"
            tally.note(f"landmarks that are not {what} (the box is kept)", place)
            break
        places: Sequence[int | None] = range(5)
        if by_name is not None:
            if not by_name.is_understood:
                tally.note("keypoints whose names are not understood (the box is kept)", place)
                break
            places = by_name.places
        points: Points = []
        for at in places:
            if at is None:
                points += (math.nan, math.nan)
                continue
            start = at * per_point
            x, y = numbers[start : start + 2]
            known = numbers[start + 2] > 0 if per_point == 3 else (x, y) != (-1, -1)
            known = known and abs(x) < _MAX_SIDE and abs(y) < _MAX_SIDE  # false for NaN
            points += (x, y) if known else (math.nan, math.nan)
        return name, points
    return "", UNKNOWN


def parse_id(value: object) -> Key | None:
    """An integer id (some tools write 1 as 1.0) or a text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) else None


def _number(key: Key) -> int | None:
    """The whole number that an id is or that its text stands for."""
    if isinstance(key, int):
        return key
    return int(key) if re.fullmatch("-?[0-9]{1,18}", key) else None


def _short(text: str) -> str:
    return textwrap.shorten(text, _MAX_LETTERS, placeholder=" ...")
