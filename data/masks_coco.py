"""Make masks of the polygons and run-length codes of a COCO file, and lists of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError, MissingPackageError, UserError
from ..model_templates.schema import BACKGROUND
from .class_names import FLAG, ClassNames
from .coco_json import load_coco_json
from .coco_records import ById, Category, Image, Key, categories_of, images_of
from .images import read_image
from .masks import (
    BadPair,
    FindLandmarks,
    NewPair,
    Split,
    WrittenList,
    landmarks_in,
    new_pairs,
    put_pair,
    save_lists,
)
from .masks_values import REST
from .record_set import RecordSet, Tally, listed, named

_log = logging.getLogger(__name__)

_MOST_CLASSES = 255


@dataclass(frozen=True)
class _Shape:
    """An annotation: its place in the file, its value in the mask, and its outline."""

    place: int
    value: int
    segmentation: Any


@dataclass(frozen=True)
class CocoRequest:
    """What `convert_coco` is to do.

    Attributes:
        annotations: The COCO JSON file.
        photos: The folder that its `file_name` is relative to.
        output: Folder for `images`, `masks` and the lists.
        names: Our classes and the categories that they are; all categories if empty.
        split: How photos are split.
        find_landmarks: Finds the main face of a photo; None where photos are heads already cut.
    """

    annotations: Path
    photos: Path
    output: Path
    names: ClassNames
    split: Split
    find_landmarks: FindLandmarks | None = None


def convert_coco(
    request: CocoRequest, *, on_progress: Callable[[int, int], object] | None = None
) -> list[WrittenList]:
    """Draw the annotations of each photo over each other, in their order, as its mask.

    Polygons and both kinds of run-length codes are read (cocodataset.org, "Data format"). A crowd
    is of its class like the others. Photos without an annotation of the classes are left out, as
    are those that are not on disk, and, where faces are looked for, those without one. A photo of
    which one annotation has no usable mask is left out, since what that shows would count as
    background.

    Args:
        request: What to do.
        on_progress: Called with the number of photos done and of all.

    Raises:
        UserError: The output cannot be written or has the folders or a list already.
        DataError: The file is not COCO or lacks a class, no photo is there, a class is in none of
            the masks, or more than half of the photos cannot be used.
        MissingPackageError: faster-coco-eval is not installed.
    """
    one = request
    content = load_coco_json(one.annotations)
    if not one.photos.is_dir():
        raise DataError(f"{one.photos}: no such folder of photos")
    if (BACKGROUND, REST) in one.names.pairs:
        raise UserError(
            f"{FLAG} {BACKGROUND}={REST}: is for folders of masks; in COCO all that no annotation "
            f"covers is {BACKGROUND}",
            hint="leave it out",
        )
    wanted = list(dict.fromkeys(ours for ours, _ in one.names.pairs)) or None
    categories = categories_of(one.annotations, content["categories"], wanted, one.names)
    classes = wanted or list(dict.fromkeys(category.name for category in categories.values()))
    if set(classes) <= {BACKGROUND}:
        raise DataError(f"{one.annotations}: expected a class beside {BACKGROUND}")
    meant = one.names.by_theirs(classes)
    if len(classes) > _MOST_CLASSES:
        raise DataError(
            f"{one.annotations}: {len(classes)} classes; expected {_MOST_CLASSES} at most",
            hint=f"name some with {FLAG}",
        )
    records = RecordSet()
    pictures = records.tally(one.annotations, "images", "images[{}]")
    images, left_out = images_of(content["images"], pictures)
    labels = records.tally(one.annotations, "labels", "annotations[{}]")
    shapes = _by_image(content["annotations"], images, left_out, labels, categories, meant)
    photos = _photos(images, shapes, records, one)
    tally = records.tally(one.annotations, "photos", "{}")
    pairs: list[NewPair] = []
    with new_pairs(one.output) as scratch:
        for done, (path, (listings, some)) in enumerate(photos.items(), start=1):
            name = listings[0].name
            try:
                pairs.append(_convert(one, path, listings, some, classes, scratch))
            except BadPair as error:
                tally.lose(error.reason, f"{name} ({error.detail})")
            except ImageError as error:
                tally.lose("photo that cannot be read", f"{name} ({error})")
            if on_progress is not None:
                on_progress(done, len(photos))
        tally.kept = len(pairs)
        for account in (pictures, labels, tally):
            account.check()
        records.report()
        names = dict(enumerate(classes, start=1))
        if wanted is None:  # files list all categories of a set, whatever is in them
            there = frozenset[str]().union(*(pair.classes for pair in pairs))
            names = {value: name for value, name in names.items() if name in there}
        return save_lists(one.output, pairs, classes=names, split=one.split, into=scratch)


def _by_image(
    records: list[Any],
    images: Mapping[Key, Image],
    left_out: set[Key],
    tally: Tally,
    categories: Mapping[Key, Category],
    meant: Mapping[str, int],
) -> dict[Key, list[_Shape]]:
    """The shapes of the wanted categories by the id of their image, in the order of the file."""
    by_image, by_category = ById({**images, **dict.fromkeys(left_out)}), ById(categories)
    found: dict[Key, list[_Shape]] = {}
    others: Counter[str] = Counter()
    for place, record in enumerate(records):
        record = record if isinstance(record, dict) else {}
        key, kind = (
            by_image.find(record.get("image_id")),
            by_category.find(record.get("category_id")),
        )
        if key is None or key not in by_image.records:
            tally.lose("annotation of an unknown image_id", place)
        elif kind is None or kind not in categories:
            tally.lose("annotation of an unknown category_id", place)
        elif not categories[kind].wanted:
            others[categories[kind].name] += 1
        else:
            tally.kept += 1
            index = meant[categories[kind].name]
            found.setdefault(key, []).append(_Shape(place, index + 1, record.get("segmentation")))
    if others:
        _log.warning(
            "%d annotations of other categories not read: %s", others.total(), listed(others)
        )
    return found


def _photos(
    images: Mapping[Key, Image],
    shapes: Mapping[Key, list[_Shape]],
    records: RecordSet,
    one: CocoRequest,
) -> dict[Path, tuple[list[Image], list[_Shape]]]:
    """The photos that are there and have shapes; those of a photo listed twice are joined."""
    found: dict[Hashable, tuple[Path, list[Image], list[_Shape]]] = {}
    absent, empty = list[str](), 0
    for key, image in images.items():
        there = records.find(one.photos, image.name)
        if there is None:
            absent.append(image.name)
        elif key not in shapes:
            empty += 1
        else:
            _, listings, joined = found.setdefault(there[0], (there[1], [], []))
            listings.append(image)
            joined.extend(shapes[key])
    if not found:
        if absent:
            raise DataError(
                f"{one.photos}: none of the photos with an annotation is there: {named(absent)}"
            )
        raise DataError(f"{one.annotations}: no photo has an annotation of these classes")
    if absent:
        _log.warning("%d of %d photos are not there: %s", len(absent), len(images), named(absent))
    if empty:
        _log.warning("%d photos left out, which have no annotation of these classes", empty)
    return {path: (listings, joined) for path, listings, joined in found.values()}


def _convert(
    one: CocoRequest,
    path: Path,
    listings: Sequence[Image],
    shapes: Sequence[_Shape],
    classes: Sequence[str],
    into: Path,
) -> NewPair:
    """Write a photo and its mask.

    Raises:
        BadPair: They cannot be used.
        ImageError: The photo cannot be read.
    """
    photo = read_image(path)
    height, width = photo.shape[:2]
    for image in listings:
        if (image.height, image.width) != (height, width):
            sizes = f"{image.width}x{image.height}, photo {width}x{height}"
            raise BadPair("photo of another size than its record", sizes)
    landmarks = landmarks_in(photo, one.find_landmarks)
    mask = np.zeros((height, width), np.uint8)
    for shape in shapes:
        mask[_plane(shape, height, width)] = shape.value
    name = path.relative_to(one.photos).as_posix()
    pair = put_pair(path, mask, name=name, into=into, classes=classes)
    return replace(pair, landmarks=landmarks)


def _plane(shape: _Shape, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of a shape: bool (height, width).

    Raises:
        BadPair: It has no mask, or a damaged one, from which the decoder has to be kept.
        MissingPackageError: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval.core import mask as codec  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("faster_coco_eval") from error
    found, place = shape.segmentation, f"annotations[{shape.place}]"
    if not found:
        raise BadPair("photo with an annotation without a mask", place)
    if isinstance(found, list):
        if not isinstance(found[0], list):  # one polygon alone, as some programs write it
            found = [found]
        if not all(_is_polygon(one, height, width) for one in found):
            raise BadPair("photo with a damaged polygon", place)
        code = codec.merge(codec.frPyObjects(found, height, width))
    elif isinstance(found, dict) and found.get("size") == [height, width]:
        counts = found.get("counts")
        if isinstance(counts, list):
            whole = all(isinstance(count, int) and count >= 0 for count in counts)
            if not whole or sum(counts) != height * width:
                raise BadPair("photo with a damaged run-length code", place)
            code = codec.frPyObjects(found, height, width)
        else:
            code = found
    else:
        raise BadPair("photo with a run-length code of another size", place)
    try:
        return np.asarray(codec.decode(code), bool)
    except (ValueError, TypeError, RuntimeError, KeyError) as error:
        raise BadPair("photo with a damaged run-length code", place) from error


def _is_polygon(points: object, height: int, width: int) -> bool:
    """Whether it is three points or more, none farther outside the photo than its longer side."""
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return False
    far = max(height, width)
    return all(isinstance(one, int | float) and -far <= one <= 2 * far for one in points)
