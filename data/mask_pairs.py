"""Read lists of photos and their masks: `.masks.json`, as `pocketface data` writes them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, ValidationError

from ..errors import DataError, ImageError
from ..model_templates.schema import BACKGROUND
from ..model_templates.spec import Spec
from .class_names import FLAG, OWN_NAMES, ClassNames
from .image_headers import check_size, stored_as
from .landmark_geometry import ONE_POINT, are_one_point
from .pairs import paired
from .photo_paths import leads_out
from .pillow_quiet import pillow_quiet
from .record_set import RecordSet, named
from .table import read_text

SUFFIX = ".masks.json"
"""What the names of such lists end in."""

UNNAMED = 255
"""In `MaskPair.classes`: a value that the list gives no name."""

Name = Annotated[str, StringConstraints(min_length=1)]
Value = Annotated[str, StringConstraints(pattern=r"^(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$")]

_FAR = 1e6
Position = Annotated[float, Field(ge=-_FAR, le=_FAR)]
"""In pixels of a photo; as a float32 it is still exact to a tenth."""


class PairSpec(Spec):
    """One entry of a list.

    Attributes:
        image: The photo, relative to the data root.
        mask: Its mask, likewise: a grey PNG of 8 bits and of the photo's size.
        landmarks: x, y of five points in pixels of the photo, in the order of
            `results.LANDMARK_NAMES`; None if the photo is a head already cut and upright.
        tags: Names of the subsets that it belongs to.
    """

    image: Name
    mask: Name
    landmarks: (
        Annotated[tuple[tuple[Position, Position], ...], Field(min_length=5, max_length=5)] | None
    ) = None
    tags: tuple[Name, ...] = ()


class ListSpec(Spec):
    """A whole list.

    Attributes:
        classes: The class of each value in the masks, by name; 0 is `background` unless it is
            named. Several values may be one class.
        pairs: The photos with their masks.
    """

    classes: Annotated[dict[Value, Name], Field(min_length=1)]
    pairs: Annotated[list[PairSpec], Field(min_length=1)]


@dataclass(frozen=True, eq=False)
class MaskPair:
    """A photo and its mask.

    Attributes:
        path: The photo, which existed when the list was read.
        mask_path: The mask, likewise.
        image_id: Position in the list.
        classes: uint8 (256,): index of the class for each value of the mask, or `UNNAMED`.
        landmarks: float32 (5, 2), pixels of the photo; None if it is a head already cut.
        tags: Names of the subsets that it belongs to.
    """

    path: Path
    mask_path: Path
    image_id: int
    classes: NDArray[np.uint8]
    landmarks: NDArray[np.float32] | None = None
    tags: tuple[str, ...] = ()


def read_list(file: Path) -> ListSpec:
    """Read one list, without its photos.

    Raises:
        DataError: The file cannot be read, is not JSON, or is not such a list.
    """
    try:
        return ListSpec.model_validate_json(read_text(file))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"]
        if first["type"] == "string_pattern_mismatch":
            what = f"found {first['input']!r}: expected a value from 0 to 255"
        raise DataError(
            f"{file}: not a list of masks: {f'{where}: ' if where else ''}{what}",
            hint="`pocketface data masks` makes such lists",
        ) from error


def read_mask_pairs(
    files: Sequence[Path],
    roots: Sequence[Path],
    *,
    classes: Sequence[str],
    names: ClassNames = OWN_NAMES,
) -> tuple[MaskPair, ...]:
    """Read lists of photos and masks; the masks themselves are not opened.

    A photo that is listed twice counts once; one whose name, or whose mask's, leads out of its
    root is left out, as is one that is not there, or whose landmarks are one point. Warnings count
    all.

    Args:
        files: Lists, `SUFFIX`.
        roots: Folders of photos and masks, one for each file or one for all.
        classes: The template's classes: one, or several of which the first is `BACKGROUND`.
        names: What the lists call these classes.

    Raises:
        DataError: A file or root cannot be read, a list does not fit, does not name all classes,
            more than half of its pairs are left out, or nothing is left.
        UserError: `names` has a class that is none of `classes`.
    """
    meant = names.by_theirs(classes)
    records, pairs = RecordSet(), dict[Hashable, MaskPair]()
    for file, root in paired(files, roots):
        if not root.is_dir():
            raise DataError(f"{root}: no such folder of photos")
        content = read_list(file)
        values = _values(content, meant, several=len(classes) > 1)
        _check_classes(file, content, classes, meant)
        tally = records.tally(file, "pairs", "pairs[{}]")
        missing: list[str] = []
        for place, entry in enumerate(content.pairs):
            if leads_out(entry.image) or leads_out(entry.mask):
                tally.lose("name that leads out of the data root", place)
                continue
            photo, mask = records.find(root, entry.image), records.find(root, entry.mask)
            if photo is None or mask is None:
                missing.append(entry.image if photo is None else entry.mask)
                tally.lose("photo or mask that is not there", place)
                continue
            if photo[0] in pairs:
                tally.mend("photo listed again", place)
                continue
            points = None if entry.landmarks is None else np.array(entry.landmarks, np.float32)
            if points is not None and are_one_point(points[None])[0]:
                tally.lose(ONE_POINT, place)
                continue
            tally.kept += 1
            pairs[photo[0]] = MaskPair(photo[1], mask[1], 0, values, points, entry.tags)
        if len(missing) == len(content.pairs):
            raise DataError(f"{file}: {len(missing)} files are not in {root}: {named(missing)}")
        tally.check()
    records.report()
    if not pairs:
        raise DataError(f"{', '.join(map(str, files))}: no photo with a mask")
    return tuple(replace(pair, image_id=place) for place, pair in enumerate(pairs.values()))


def _check_classes(
    file: Path, content: ListSpec, classes: Sequence[str], meant: dict[str, int]
) -> None:
    """Refuse a list that does not name a class, whose pixels would count as background.

    Raises:
        DataError: It does not.
    """
    there = {meant[name] for name in content.classes.values() if name in meant}
    for index, name in enumerate(classes):
        if name != BACKGROUND and index not in there:
            known = ", ".join(dict.fromkeys(content.classes.values()))
            others = ", ".join(one for one in classes if one != BACKGROUND)
            raise DataError(
                f"{file}: its classes are {known}: expected {others}",
                hint=f"{FLAG} {name}=NAME says what it is called there",
            )


def _values(content: ListSpec, meant: dict[str, int], *, several: bool) -> NDArray[np.uint8]:
    """`MaskPair.classes`; what is of no class counts as background."""
    values = np.full(256, UNNAMED, np.uint8)
    for value, name in {"0": BACKGROUND, **content.classes}.items():
        index = meant.get(name)
        # The only class has index 0 in the template, and 1 in masks.
        values[int(value)] = 0 if index is None else index + (not several)
    return values


def read_mask(pair: MaskPair, *, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The truth of a photo: uint8 (H, W); 1 for the only class, or the index of each of several.

    Args:
        pair: The photo and its mask.
        shape: Height and width of the decoded photo.

    Raises:
        DataError: The mask is no such PNG, has another size, or a value that the list does not
            name.
        ImageError: The mask is damaged.
    """
    values = read_mask_values(pair.mask_path)
    if values.shape != shape[:2]:
        mask, photo = (f"{size[1]}x{size[0]}" for size in (values.shape, shape))
        raise DataError(f"{pair.mask_path}: {mask} pixels: expected {photo}, as its photo has")
    truth: NDArray[np.uint8] = pair.classes[values]
    if (truth == UNNAMED).any():
        counts = np.bincount(values[truth == UNNAMED])
        value = int(counts.argmax())
        raise DataError(
            f"{pair.mask_path}: {counts[value]} pixels have the value {value}: expected one of "
            f"{', '.join(str(one) for one in np.flatnonzero(pair.classes != UNNAMED))}",
            hint="name it in `classes` of the list",
        )
    return truth


def read_mask_values(path: Path) -> NDArray[np.uint8]:
    """The stored values of a grey PNG: uint8 (H, W).

    Raises:
        DataError: It is a PNG of another kind: in colour, with a palette, or of 16 bits.
        ImageError: It cannot be read, or is no PNG.
    """
    from PIL import Image

    try:
        with pillow_quiet(), Image.open(path, formats=["PNG"]) as image:
            check_size(image.size, str(path))
            # Grey pixels of 2 and 4 bits have the mode L, too, and are stretched to 255.
            kind = stored_as(image) if image.mode == "L" else image.mode
            if kind != "L":
                raise DataError(
                    f"{path}: its pixels are {kind}: expected grey of 8 bits (L), the value of a "
                    "class for each",
                    hint="`pocketface data masks` makes such masks of others",
                )
            return np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: not a PNG, or damaged: {error}") from error


def block_shares(mask: NDArray[np.uint8], size: tuple[int, int]) -> list[NDArray[np.float32]]:
    """The share of each value, from 0 to the highest, in the blocks of a mask.

    Args:
        mask: (H, W).
        size: Blocks across and down, which divide the mask's width and height.

    Returns:
        float32 (down, across) for each value.
    """
    return [
        np.asarray(cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA))
        for plane in (mask == value for value in range(int(mask.max()) + 1))
    ]
