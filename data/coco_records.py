"""Check each record of a COCO file on its own, and count bad ones by reason."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError

_MAX_SIDE = 1_000_000
"""Largest width or height in pixels; larger values are mistakes in the file."""

_MIN_SIDE = 0.01
"""Smallest width and height, in pixels, of a box's part inside its photo."""

Key = int | str
"""An id as it stands in the file."""

Face = tuple[tuple[float, float, float, float], bool, list[float]]
"""Corners, ignore flag, and landmarks as ten numbers."""

_UNKNOWN_POINTS = [math.nan] * 10


def category_names(file: Path, categories: list[Any], classes: Sequence[str]) -> dict[Key, str]:
    """Names of the categories by id.

    Raises:
        DataError: A category has no id or name, or one of `classes` is missing.
    """
    names: dict[Key, str] = {}
    for category in categories:
        key = parse_id(category.get("id")) if isinstance(category, dict) else None
        if key is None or not isinstance(category.get("name"), str):
            raise DataError(f"{file}: categories: expected an id and a name, found {category!r}")
        names[key] = category["name"]
    for name in classes:
        if name not in names.values():
            present = ", ".join(sorted(set(names.values()))) or "none"
            raise DataError(
                f"{file}: has no category {name!r}; its categories: {present}",
                hint="rename it in the file, or name its own in the template's dataset.classes",
            )
    return names


def image_records(records: list[Any], skipped: Counter[str]) -> dict[Key, tuple[str, int, int]]:
    """File name, width and height of each good image record, by id.

    Args:
        records: The list `images` of the file.
        skipped: Counts of bad records by reason, which this updates.
    """
    images: dict[Key, tuple[str, int, int]] = {}
    for record in records:
        record = record if isinstance(record, dict) else {}
        key, name = parse_id(record.get("id")), record.get("file_name")
        width, height = parse_id(record.get("width")), parse_id(record.get("height"))
        if key is None:
            skipped["image without an id"] += 1
        elif key in images:
            skipped["image whose id is used twice"] += 1
        elif not isinstance(name, str) or not name:
            skipped["image without a file_name"] += 1
        elif _escapes(name):
            skipped["image whose file_name leads out of the data root"] += 1
        elif not all(isinstance(side, int) and 0 < side <= _MAX_SIDE for side in (width, height)):
            skipped["image without a width and height in pixels"] += 1
        else:
            images[key] = (name, int(width or 0), int(height or 0))
    return images


def faces_by_image(
    records: list[Any],
    images: Mapping[Key, tuple[str, int, int]],
    names: Mapping[Key, str],
    classes: Sequence[str],
    skipped: Counter[str],
    others: Counter[str],
) -> dict[Key, list[Face]]:
    """The good annotations of the wanted categories, by image id.

    Args:
        records: The list `annotations` of the file.
        images: The result of `image_records`.
        names: The result of `category_names`.
        classes: Names of the wanted categories.
        skipped: Counts of bad records by reason, which this updates.
        others: Counts of good records of other categories by name, which this updates.
    """
    faces: dict[Key, list[Face]] = {}
    for record in records:
        record = record if isinstance(record, dict) else {}
        key, category = parse_id(record.get("image_id")), parse_id(record.get("category_id"))
        if key is None or key not in images:
            skipped["annotation of an unknown image_id"] += 1
            continue
        if category is None or category not in names:
            skipped["annotation of an unknown category_id"] += 1
            continue
        if names[category] not in classes:
            others[names[category]] += 1
            continue
        box = _numbers(record.get("bbox"), 4)
        if box is None or not all(map(math.isfinite, box)):
            skipped["bbox that is not four finite numbers"] += 1
            continue
        x, y, w, h = box
        if w <= 0 or h <= 0:
            skipped["bbox without area"] += 1
            continue
        _, width, height = images[key]
        x1, y1, x2, y2 = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
        if x2 - x1 < _MIN_SIDE or y2 - y1 < _MIN_SIDE:
            skipped["bbox outside the photo"] += 1
            continue
        ignore = any(record.get(flag) == 1 for flag in ("iscrowd", "ignore", "invalid"))
        face = ((x1, y1, x2, y2), ignore, _landmarks(record, skipped))
        faces.setdefault(key, []).append(face)
    return faces


def _landmarks(record: Mapping[str, Any], skipped: Counter[str]) -> list[float]:
    """Ten numbers x, y; NaN if unknown."""
    for name, per_point in (("landmarks", 2), ("landmarks_pseudo", 2), ("keypoints", 3)):
        value = record.get(name)
        if not value:
            continue
        numbers = _numbers(value, 5 * per_point)
        if numbers is None:
            skipped["landmarks that are not five points (the box is kept)"] += 1
            break
        points: list[float] = []
        for start in range(0, len(numbers), per_point):
            x, y = numbers[start : start + 2]
            known = numbers[start + 2] > 0 if per_point == 3 else (x, y) != (-1, -1)
            known = known and abs(x) < _MAX_SIDE and abs(y) < _MAX_SIDE  # false for NaN
            points += (x, y) if known else (math.nan, math.nan)
        return points
    return _UNKNOWN_POINTS


def _numbers(value: object, count: int) -> list[float] | None:
    """A list of `count` numbers, null as NaN; None for anything else."""
    if not isinstance(value, list) or len(value) != count:
        return None
    numbers: list[float] = []
    for item in value:
        if item is None:
            numbers.append(math.nan)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            # JSON integers have no bound; those beyond float64 count as infinite.
            numbers.append(float(item) if abs(item) < 1e300 else math.inf)
        else:
            return None
    return numbers


def parse_id(value: object) -> Key | None:
    """An integer id (some tools write 1 as 1.0) or a text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int | str) else None


def _escapes(name: str) -> bool:
    """Whether a file name is absolute or goes up a folder, by the rules of any system."""
    parts = re.split(r"[/\\]", name)
    drive = re.match(r"[A-Za-z]:", name)
    return ".." in parts or not parts[0] or drive is not None or "\0" in name
