"""Read the faces of a COCO file: its annotations one by one, and then all of them together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .box_geometry import check_boxes
from .coco_boxes import (
    Box,
    are_no_shares,
    are_shares,
    clipped,
    is_share,
    numbers_in,
    polygon_box,
)
from .coco_keypoints import Order
from .coco_records import MAX_SIDE, ById, Category, Image, Key
from .landmark_geometry import (
    CROSSED,
    NOSE_ABOVE_EYES,
    ONE_POINT,
    UNKNOWN,
    Points,
    are_crossed,
    are_in_another_order,
    are_one_point,
    exchanged,
)
from .record_set import Tally


class Face(NamedTuple):
    """A good annotation: corners in pixels, ignore flag, landmarks, its place in the records."""

    box: Box
    ignore: bool
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

    Raises:
        DataError: The boxes are not x, y, width, height; see `check_boxes`.
    """
    records = [record if isinstance(record, dict) else {} for record in records]
    image_ids = ById[Any]({**dict.fromkeys(left_out), **images})
    category_ids = ById(categories)
    shares = are_shares(_boxes(records))
    if not shares and are_no_shares(_boxes(records)):
        raise DataError(
            f"{tally.file}: bbox: all numbers are from 0 to 1, and are not x, y, width, height as "
            "shares of the photo: expected these, or pixels (is it x1, y1, x2, y2?)"
        )
    numbers: list[float] = []
    areas: list[object] = []
    faces: dict[Key, list[Face]] = {}
    marked: dict[str, list[tuple[Key, int]]] = {}
    for place, record in enumerate(records):
        said_category, said_image = record.get("category_id"), record.get("image_id")
        plain = type(said_category) is int and said_category in categories
        category_id = said_category if plain else category_ids.find(said_category)
        category = None if category_id is None else categories.get(category_id)
        if category is not None and not category.wanted:
            others[category.name] += 1
            continue
        plain = type(said_image) is int and said_image in images
        key = said_image if plain else image_ids.find(said_image)
        if key is None or key not in images:
            known = key is not None and key in image_ids.records
            what = "an image that is left out" if known else "an unknown image_id"
            tally.lose(f"annotation of {what}", place)
            continue
        if category is None:
            tally.lose("annotation of an unknown category_id", place, in_photo=True)
            continue
        box, said_of_box = _box(record)
        if box is None:
            tally.lose(said_of_box, place, in_photo=True)
            continue
        _, width, height, _ = images[key]
        if shares:
            box = _scaled(box, width, height)
        elif box[2] <= 2 and is_share(box):
            reason = "bbox within one pixel, perhaps in shares of the photo (0 to 1)"
            tally.lose(reason, place, in_photo=True)
            continue
        numbers += (*box, width, height)
        areas.append(None if shares else record.get("area"))
        corners = clipped(box, width, height)
        if corners is None:
            tally.lose("bbox outside the photo", place, in_photo=True)
            continue
        tally.kept += 1
        if shares:
            tally.mend("bbox in shares of the photo (0 to 1), taken as such", place)
        if said_of_box:
            tally.mend(said_of_box, place)
        if key != said_image or category_id != said_category:
            tally.mend("id written as a number here and as text there", place)
        ignore = (
            record.get("iscrowd") == 1 or record.get("ignore") == 1 or record.get("invalid") == 1
        )
        source, points = _landmarks(record, category.order, tally, place)
        some = faces.setdefault(key, [])
        if source:
            marked.setdefault(source, []).append((key, len(some)))
        some.append(Face(corners, ignore, points, place))
    check_boxes(numbers, areas, file=tally.file)
    for those in marked.values():
        _mend_landmarks(faces, those, images if shares else {}, tally)
    return faces


def _boxes(records: Iterable[Mapping[str, Any]]) -> Iterator[list[float]]:
    return (box for record in records if (box := _box(record)[0]) is not None)


def _box(record: Mapping[str, Any]) -> tuple[list[float] | None, str]:
    """An annotation's box x, y, width, height, and how it was mended; or None, and why not."""
    value = record.get("bbox")
    box = numbers_in(value, 4)
    mended = ""
    if not value:
        box, mended = polygon_box(record), "bbox taken from the polygon"
        if box is None and isinstance(record.get("segmentation"), dict):
            return None, "annotation with a mask (RLE) and no bbox"
    if box is None or not all(map(math.isfinite, box)):
        return None, "bbox that is not four finite numbers"
    if box[2] <= 0 or box[3] <= 0:
        return None, "bbox without area"
    return box, mended


def _mend_landmarks(
    faces: dict[Key, list[Face]],
    those: Sequence[tuple[Key, int]],
    in_shares: Mapping[Key, Image],
    tally: Tally,
) -> None:
    """Mend what all landmarks of a file together tell: their scale, order, and left and right.

    Args:
        faces: All faces, of which this changes some.
        those: Image id and place of the faces whose landmarks come from one key.
        in_shares: The images, if the file's boxes are shares of them.
        tally: Account of the labels, which this updates.
    """
    points = [faces[key][index].points for key, index in those]
    if in_shares and all(abs(value) <= 2 for some in points for value in some if value == value):
        for (key, index), some in zip(those, points, strict=True):
            _, width, height, _ = in_shares[key]
            faces[key][index] = faces[key][index]._replace(points=_scaled(some, width, height))
        points = [faces[key][index].points for key, index in those]
    placed = np.array(points, np.float64).reshape(-1, 5, 2)
    for place in np.flatnonzero(are_one_point(placed)):
        key, index = those[int(place)]
        face = faces[key][index]
        faces[key][index] = face._replace(points=UNKNOWN)
        tally.note(f"{ONE_POINT} (the box is kept)", face.place)
        placed[place] = np.nan
    in_another_order = are_in_another_order(placed)
    if not in_another_order and not are_crossed(placed):
        return
    for key, index in those:
        face = faces[key][index]
        if in_another_order:
            faces[key][index] = face._replace(points=UNKNOWN)
            tally.note(f"{NOSE_ABOVE_EYES} (the boxes are kept)", face.place)
        else:
            faces[key][index] = face._replace(points=exchanged(face.points))
            tally.mend(CROSSED, face.place)


def _scaled(numbers: Sequence[float], width: int, height: int) -> list[float]:
    return [number * (height if axis % 2 else width) for axis, number in enumerate(numbers)]


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
        if per_point == 2 and None not in value and -1 not in value and _are_near(numbers):
            return name, numbers
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
            known = known and abs(x) < MAX_SIDE and abs(y) < MAX_SIDE  # false for NaN
            points += (x, y) if known else (math.nan, math.nan)
        return name, points
    return "", UNKNOWN


def _are_near(numbers: list[float]) -> bool:
    return min(numbers) > -MAX_SIDE and max(numbers) < MAX_SIDE
