"""Convert CelebAMask-HQ (Lee et al., CVPR 2020) from its official layout to pairs with masks."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UserError
from .images import list_images, read_image
from .mask_pairs import block_shares
from .masks import (
    BadPair,
    NewPair,
    Split,
    WrittenList,
    new_pairs,
    save_lists,
    write_picture,
)
from .read_ahead import read_ahead
from .record_set import RecordSet, named
from .table import read_text

_log = logging.getLogger(__name__)

CLASSES = {1: "face", 2: "glasses", 3: "hair", 4: "hat", 5: "ear", 6: "neck"}
"""What the values of the masks mean; 0 is all else."""

_PARTS = {
    "skin": 1, "nose": 1, "eye_g": 2, "l_eye": 1, "r_eye": 1, "l_brow": 1, "r_brow": 1,
    "l_ear": 5, "r_ear": 5, "mouth": 1, "u_lip": 1, "l_lip": 1, "hair": 3, "hat": 4,
    "ear_r": 0, "neck_l": 0, "neck": 6, "cloth": 0,
}  # fmt: skip
"""The value of each part, in the official order, in which later parts cover earlier ones. `ear_r`
is an earring, `neck_l` a necklace. Eyes and brows behind clear lenses stay part of the face."""

_PHOTOS, _MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
_IDENTITIES, _MAPPING = "identity_CelebA.txt", "CelebA-HQ-to-CelebA-mapping.txt"
_PART_FILE = re.compile(r"([0-9]{1,9})_([a-z_]+)")
_SIDE = 512
"""Side of the official masks in pixels."""

_TAGGED = {2: "glasses", 4: "hat"}
_MIN_TAGGED = 200
"""Pixels of the official mask above which a pair has a tag."""

_SMALLEST = 32
_THREADS = 2


@dataclass(frozen=True)
class _Photo:
    """A photo's number, its file (None if there is none), and its parts' files."""

    number: int
    photo: Path | None
    parts: Mapping[str, Path]


def convert_celebamask(
    folder: Path,
    output: Path,
    *,
    size: int = 256,
    split: Split,
    on_progress: Callable[[int, int], object] | None = None,
) -> list[WrittenList]:
    """Convert CelebAMask-HQ to photos and masks of one size, and lists of them.

    Expects `CelebA-HQ-img/<n>.jpg` (1024 x 1024) and
    `CelebAMask-HQ-mask-anno/<n // 2000>/<n of five digits>_<part>.png` (512 x 512, white on black),
    which are there only for the parts that the photo shows. The face is skin, nose, eyes, brows,
    mouth and lips, without what glasses, hair or a hat cover. Masks are reduced by vote: a block
    has its most frequent value, or that of its top left pixel if it is among the most frequent.

    Pairs are split by person where `identity_CelebA.txt` and `CelebA-HQ-to-CelebA-mapping.txt` are
    in the folder, else by photo, which is logged. Pairs that cannot be used are left out, and
    counted in a warning. Tags are "glasses" and "hat", each for more than 200 pixels at 512 x 512.

    Args:
        folder: The folder that holds the two.
        output: Folder for `images`, `masks` and the lists; it must not have the first two.
        size: Side of the results in pixels: a divisor of 512, 32 or more.
        split: How pairs are split.
        on_progress: Called with the number of photos done and of all.

    Returns:
        The written lists.

    Raises:
        UserError: The size is none of these, or the output cannot be written.
        DataError: The folder is not in this layout, a list of persons is damaged, or more than half
            of the photos cannot be used.
    """
    if size < _SMALLEST or _SIDE % size:
        fit = ", ".join(str(one) for one in range(_SMALLEST, _SIDE + 1) if _SIDE % one == 0)
        raise UserError(f"--size {size}: expected one of {fit}")
    photos = _find(folder)
    persons = _persons(folder)
    if persons is None and split.test_fraction is not None:
        _log.warning(
            "%s: split by photo, so that one person may be in both lists; by person only with %s "
            "and %s in the folder",
            folder, _IDENTITIES, _MAPPING,
        )  # fmt: skip
    records = RecordSet()
    tally = records.tally(folder, "photos", "{}")
    pairs: list[NewPair] = []
    with new_pairs(output) as scratch:

        def convert(one: _Photo) -> NewPair | BadPair:
            try:
                return _convert(one, scratch, size, persons)
            except BadPair as error:
                return error

        made = read_ahead(convert, photos, threads=_THREADS, ahead=2 * _THREADS)
        for done, (one, pair) in enumerate(zip(photos, made, strict=True), start=1):
            if isinstance(pair, NewPair):
                pairs.append(pair)
            elif isinstance(pair, BadPair):
                place = f"photo {one.number}" + (f" ({pair.detail})" if pair.detail else "")
                tally.lose(pair.reason, place)
            else:
                tally.lose("photo or mask that cannot be read", f"photo {one.number} ({pair})")
            if on_progress is not None:
                on_progress(done, len(photos))
        tally.kept = len(pairs)
        tally.check()
        records.report()
        present = {name for pair in pairs for name in pair.classes}
        classes = {value: name for value, name in CLASSES.items() if name in present}
        return save_lists(output, pairs, classes=classes, split=split, into=scratch)


def _find(folder: Path) -> list[_Photo]:
    """The photos and masks by number; a number may lack either."""
    if not folder.is_dir():
        what = "is a file; expected a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}")
    for name in (_PHOTOS, _MASKS):
        if not (folder / name).is_dir():
            raise DataError(f"{folder}: not CelebAMask-HQ: expected {_PHOTOS} and {_MASKS} in it")
    photos: dict[int, Path] = {}
    parts: dict[int, dict[str, Path]] = {}
    strange: list[str] = []
    for path in list_images(folder / _PHOTOS):
        if path.stem.isdecimal():
            _only(photos, int(path.stem), path)
        else:
            strange.append(path.name)
    for path in list_images(folder / _MASKS):
        match = _PART_FILE.fullmatch(path.stem)
        if match is None or match[2] not in _PARTS:
            strange.append(path.name)
        else:
            _only(parts.setdefault(int(match[1]), {}), match[2], path)
    if strange:
        _log.warning(
            "%s: %d files left out, whose names are none of CelebAMask-HQ: %s",
            folder, len(strange), named(strange),
        )  # fmt: skip
    if not photos or not parts:
        what = f"{_PHOTOS} has no <number>.jpg" if not photos else f"{_MASKS} has no part"
        raise DataError(f"{folder}: not CelebAMask-HQ: {what}")
    numbers = sorted(photos.keys() | parts.keys())
    return [_Photo(number, photos.get(number), parts.get(number, {})) for number in numbers]


def _only(found: dict[Any, Path], key: int | str, path: Path) -> None:
    """Note a file, of which there may be one.

    Raises:
        DataError: There are two.
    """
    other = found.setdefault(key, path)
    if other != path:
        raise DataError(f"{other} and {path} have the same number: which of them is it?")


def _persons(folder: Path) -> dict[int, str] | None:
    """The person of each photo by its number; None if one of the two files is not there."""
    identities, mapping = folder / _IDENTITIES, folder / _MAPPING
    if not identities.is_file() or not mapping.is_file():
        return None
    of_file = {row[0]: row[1] for row in _rows(identities, 2)}
    return {
        int(row[0]): of_file[row[2]]
        for row in _rows(mapping, 3)  # the first is a heading
        if row[0].isdecimal() and row[2] in of_file
    }


def _rows(file: Path, cells: int) -> Iterator[list[str]]:
    """The rows of a text in columns, without empty ones.

    Raises:
        DataError: The file cannot be read, or a row has another number of cells.
    """
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        row = line.split()
        if row and len(row) != cells:
            raise DataError(f"{file}:{number}: {line[:60]!r}: expected {cells} columns")
        if row:
            yield row


def _convert(one: _Photo, output: Path, size: int, persons: Mapping[int, str] | None) -> NewPair:
    """Write the photo and its mask.

    Raises:
        BadPair: They cannot be used.
        ImageError: A file cannot be read.
    """
    if one.photo is None:
        raise BadPair("mask without a photo", f"no {one.number}.jpg in {_PHOTOS}")
    if "skin" not in one.parts:
        what = f"parts: {named(sorted(one.parts))}" if one.parts else "no part"
        reason = "photo without skin in its mask" if one.parts else "photo without a mask"
        raise BadPair(reason, what)
    group = f"{one.number}"
    if persons is not None:
        if one.number not in persons:
            raise BadPair("photo whose person is unknown", f"not in {_MAPPING} and {_IDENTITIES}")
        group = persons[one.number]
    whole = _whole_mask(one.parts)
    photo = read_image(one.photo)
    height, width = photo.shape[:2]
    if height != width or width < size:
        raise BadPair("photo of another size", f"{width} x {height}, expected 1024 x 1024")
    mask = reduce_mask(whole, size)
    counts = np.bincount(mask.ravel(), minlength=len(CLASSES) + 1)
    if not counts[1]:
        raise BadPair("photo without skin in its mask", f"nothing of it is left at {size} pixels")
    name = f"{one.number:05d}"
    reduced = cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA)
    write_picture(output / "images" / f"{name}.jpg", np.asarray(reduced, np.uint8))
    write_picture(output / "masks" / f"{name}.png", mask)
    return NewPair(
        f"images/{name}.jpg",
        f"masks/{name}.png",
        classes=frozenset(name for value, name in CLASSES.items() if counts[value]),
        part=None,
        group=group,
        tags=[tag for value, tag in _TAGGED.items() if (whole == value).sum() > _MIN_TAGGED],
    )


def _whole_mask(parts: Mapping[str, Path]) -> NDArray[np.uint8]:
    """The values of `CLASSES`, (512, 512), of a photo's parts laid over each other in order."""
    whole = np.zeros((_SIDE, _SIDE), np.uint8)
    for part, value in _PARTS.items():
        if part not in parts:
            continue
        # The files are RGB, but converted ones are grey: any channel of both has 0 and 255.
        plane = read_image(parts[part])[:, :, 0]
        if plane.shape != whole.shape:
            height, width = plane.shape
            what = f"{parts[part].name}: {width} x {height}, expected {_SIDE} x {_SIDE}"
            raise BadPair("mask of another size", what)
        whole[plane > 127] = value
    return whole


def reduce_mask(mask: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Let the pixels of each block vote: (size, size) of a square mask whose side size divides.

    A block gets its most frequent value; of several, that of its top left pixel, else the least.
    """
    block = len(mask) // size
    if block == 1:
        return mask
    first = mask[::block, ::block]
    # The top left pixel has half a vote more, which decides between equals.
    votes = [
        share + (first == value) / (2 * block**2)
        for value, share in enumerate(block_shares(mask, (size, size)))
    ]
    return np.asarray(np.argmax(votes, axis=0), np.uint8)
