"""Read the images and categories of a COCO file, and its ids."""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import DataError
from ..results import LANDMARK_NAMES
from .class_names import FLAG, ClassNames, hint_for
from .coco_keypoints import Order, order_of
from .photo_paths import leads_out
from .record_set import Tally, listed, named

_log = logging.getLogger(__name__)

MAX_SIDE = 1_000_000
"""Largest width or height in pixels; larger values are mistakes in the file."""

_MAX_LETTERS = 200

Key = int | str
"""An id as it stands in the file."""

Value = TypeVar("Value")


class Image(NamedTuple):
    """A good image record, and its place among the records."""

    name: str
    width: int
    height: int
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
        name = name.strip()
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

    Raises:
        DataError: There is no good record.
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
                tally.kept += 1
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
        elif not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in (width, height)):
            reason = "image without a width and height in pixels"
        else:
            images[key] = Image(name, int(width or 0), int(height or 0), place)
            continue
        left_out[key] = place
        tally.lose(reason, place)
    tally.kept += len(images)
    if not images:
        why = listed(tally.lost) or "images is empty"
        raise DataError(f"{tally.file}: has no usable image: {why}")
    return images, set(left_out)


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
