"""Read the faces of a COCO file: its annotations one by one, and then all of them together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .coco_boxes import Box, are_shares, clipped, is_share, numbers_in, polygon_box
from .coco_keypoints import UNKNOWN, Order, Points, are_crossed, exchanged
from .coco_records import MAX_SIDE, ById, Category, Image, Key
from .record_set import Tally


class Face(NamedTuple):
    """A good annotation: corners in pixels, ignore flag, landmarks, its place in the records."""

    box: Box
    ignore: bool
    points: Points
    place: int


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
        ignore = (
            record.get("iscrowd") == 1 or record.get("ignore") == 1 or record.get("invalid") == 1
        )
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
