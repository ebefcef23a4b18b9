"""Make lists of pairs of any folders of photos and masks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, ImageError, UserError
from ..model_templates.schema import BACKGROUND
from ..places import check_place
from .class_names import FLAG
from .images import list_images, read_image
from .mask_pairs import read_mask_values
from .masks import (
    BadPair,
    FindLandmarks,
    NewPair,
    Split,
    WrittenList,
    check_name,
    classes_in,
    landmarks_in,
    new_pairs,
    put_pair,
    save_lists,
)
from .masks_table import Listed, PairTable, key_of
from .masks_values import MaskValues, read_mask_file
from .record_set import RecordSet, Tally, named

_log = logging.getLogger(__name__)

MASK_ENDINGS = ("_mask", "-mask")
"""What many programs add to the name of a photo to make that of its mask."""


@dataclass(frozen=True)
class FolderRequest:
    """What `convert_folders` is to do.

    Attributes:
        images: Folder of the photos, also in subfolders.
        masks: Folder of the masks: each has the path and name of its photo, but for the suffix and
            an ending of `MASK_ENDINGS`.
        output: Folder for the lists, and for `images` and `masks` unless `in_place`.
        values: What the masks' values or colours are.
        split: How pairs are split, if the table does not say it.
        table: A CSV that says which pairs are taken, and perhaps their list and tags.
        in_place: Whether the lists name photos and masks where they are. The masks must be grey
            PNGs of 8 bits then.
        find_landmarks: Finds the main face of a photo; None where photos are heads already cut.
    """

    images: Path
    masks: Path
    output: Path
    values: MaskValues
    split: Split
    table: Path | None = None
    in_place: bool = False
    find_landmarks: FindLandmarks | None = None


def convert_folders(
    request: FolderRequest, *, on_progress: Callable[[int, int], object] | None = None
) -> tuple[Path, list[WrittenList]]:
    """Convert photos and masks to pairs, and write lists of them.

    Pairs that cannot be used are left out, and counted in a warning: a photo without a mask or a
    mask without a photo; one that cannot be read; a mask of another size than its photo, of another
    kind than `values`, without any class, or all of one class; and, where faces are looked for, a
    photo without one.

    Args:
        request: What to do.
        on_progress: Called with the number of pairs done and of all.

    Returns:
        The data root, and the lists.

    Raises:
        UserError: The output cannot be written, or has the folders or, in place, a list of another
            content already; or flags do not fit together.
        DataError: A folder has no photo, a mask has a value that is not named, a class is in none
            of the masks, or more than half of the pairs cannot be used.
    """
    one, values = request, request.values
    table = _checked(one)
    records = RecordSet()
    tally = records.tally(one.images, "pairs", "{}")
    found = _pairs(one, table, tally)
    root = _common(one.images, one.masks) if one.in_place else one.output
    pairs: list[NewPair] = []
    with _place(one) as into:
        for done, (photo, mask, listed) in enumerate(found, start=1):
            try:
                pairs.append(_convert(one, photo, mask, listed, root if one.in_place else into))
            except BadPair as error:
                tally.lose(error.reason, f"{photo.name} ({error.detail})")
            except ImageError as error:
                tally.lose("photo that cannot be read", f"{photo.name} ({error})")
            if on_progress is not None:
                on_progress(done, len(found))
        values.check(one.masks)
        tally.kept = len(pairs)
        tally.check()
        records.report()
        classes = dict(enumerate(values.classes, start=1))
        if one.in_place:
            others = dict.fromkeys(sorted(values.strange), values.rest or BACKGROUND)
            classes = values.names | others
        return root, save_lists(one.output, pairs, classes=classes, split=one.split, into=into)


def _checked(one: FolderRequest) -> PairTable | None:
    """The table of a request, whose parts fit together."""
    if one.in_place and one.values.coloured:
        raise UserError(f"--in-place: expected values in {FLAG}, found colours")
    if one.images.resolve() == one.masks.resolve():
        raise UserError(f"{one.masks}: expected a folder of masks beside that of the photos")
    places = (one.output.resolve(), *one.output.resolve().parents)
    for folder in (one.images, one.masks):
        if not one.in_place and folder.resolve() in places:
            raise UserError(f"--output {one.output}: lies in {folder}, among what is to be read")
    table = None if one.table is None else PairTable(one.table)
    if table is not None and table.says_parts and one.split.test_fraction is not None:
        raise UserError(f"--test-fraction: not with {table.file}, which has a column split")
    return table


@contextmanager
def _place(one: FolderRequest) -> Iterator[Path]:
    """Where the files are written."""
    if not one.in_place:
        with new_pairs(one.output) as scratch:
            yield scratch
        return
    check_place(one.output, "--output", folder=True)
    yield one.output


def _common(images: Path, masks: Path) -> Path:
    """The folder that both lie in."""
    try:
        return Path(os.path.commonpath([os.path.abspath(images), os.path.abspath(masks)]))
    except ValueError as error:
        raise UserError(f"--in-place: {images} and {masks} are on two disks") from error


def _pairs(
    one: FolderRequest, table: PairTable | None, tally: Tally
) -> list[tuple[Path, Path, Listed]]:
    """Photos with their masks, and what the table says of them."""
    photos, masks = (_by_key(folder, tally) for folder in (one.images, one.masks))
    for key in [key for key in masks if key not in photos and key.endswith(MASK_ENDINGS)]:
        if (plain := key[: -len(MASK_ENDINGS[0])]) in photos and plain not in masks:
            masks[plain] = masks.pop(key)
    for key, path in masks.items():
        if key not in photos:
            tally.lose("mask without a photo", path.relative_to(one.masks).as_posix())
    found, others = [], list[str]()
    for key, photo in photos.items():
        name = photo.relative_to(one.images).as_posix()
        if key not in masks:
            tally.lose("photo without a mask", name)
            continue
        listed = Listed(None, ())
        if table is not None:
            row = table.find(name, f"{one.images.name}/{name}")
            if row is None:
                others.append(name)
                continue
            listed = row
        found.append((photo, masks[key], listed))
    if table is not None and others:
        if not found:
            raise DataError(f"{table.file}: names none of the photos of {one.images}")
        _log.warning("%d photos are not in %s: %s", len(others), table.file, named(others))
    if table is not None and (rows := table.unused()):
        _log.warning(
            "%d rows of %s name no photo with a mask: %s", len(rows), table.file, named(rows)
        )
    return found


def _by_key(folder: Path, tally: Tally) -> dict[str, Path]:
    """The pictures of a folder by the name that photo and mask share."""
    found: dict[str, Path] = {}
    for path in list_images(folder):
        name = path.relative_to(folder).as_posix()
        if found.setdefault(key_of(name), path) != path:
            tally.lose("picture of which there are two of one name", name)
    if not found:
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        raise DataError(f"{folder}: has no pictures; it has {named(others) or 'nothing'}")
    return found


def _convert(one: FolderRequest, photo: Path, path: Path, listed: Listed, into: Path) -> NewPair:
    """Write a pair into a folder, or name it there if it is in place.

    Raises:
        BadPair: It cannot be used.
        ImageError: The photo cannot be read.
    """
    if one.in_place:
        try:
            pixels = read_mask_values(path)
        except DataError as error:
            raise BadPair("mask that cannot be used in place", str(error)) from error
    else:
        pixels = read_mask_file(path, coloured=one.values.coloured)
    image = read_image(photo)
    if pixels.shape[:2] != image.shape[:2]:
        found, expected = (f"{some.shape[1]}x{some.shape[0]}" for some in (pixels, image))
        raise BadPair("mask of another size than its photo", f"{found}, photo {expected}")
    mask = one.values.indices(pixels, path)
    landmarks = landmarks_in(image, one.find_landmarks)
    name = photo.relative_to(one.images).as_posix()
    if one.in_place:
        check_name(name)
        image_name, mask_name = (
            Path(os.path.relpath(file, into)).as_posix() for file in (photo, path)
        )
        there = classes_in(mask, one.values.classes)
        share = np.count_nonzero(mask) / mask.size
        pair = NewPair(image_name, mask_name, classes=there, part=None, group=name, share=share)
    else:
        pair = put_pair(photo, mask, name=name, into=into, classes=one.values.classes)
    return replace(pair, part=listed.part, tags=listed.tags, landmarks=landmarks)
