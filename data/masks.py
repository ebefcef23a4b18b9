"""Write photos with masks of classes, and the lists of them that `mask_pairs` reads."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UserError
from ..files import FULL, name_in_utf8, scratch_folder
from ..model_templates.schema import BACKGROUND
from ..places import check_place, write_lists
from .mask_pairs import SUFFIX, ListSpec, PairSpec

_log = logging.getLogger(__name__)

_HEADS = 0.15
"""Share of a photo below which its face is too small for a head: 98 in 100 of CelebAMask-HQ's cover
18 to 44 %, see docs/reference/celebamask-hq.md."""

FindLandmarks = Callable[[NDArray[np.uint8]], NDArray[np.float32] | None]
"""Of a photo (H, W, 3) BGR, the landmarks (5, 2) of its main face; None if none is found."""


class BadPair(Exception):
    """A pair that cannot be used; its reason is the same for all pairs of this kind.

    Args:
        reason: What is wrong, to count by.
        detail: The value found and what was expected.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class NewPair:
    """A pair that goes into a list.

    Attributes:
        image: Path of the photo below the data root, with `/`.
        mask: Path of the mask below the data root.
        classes: Names of the classes in the mask, without background.
        part: Name of the list, such as "train"; None if a `Split` decides.
        group: Pairs of one group go to one list: the person, where that is known.
        tags: Names of the subsets that it belongs to.
        landmarks: x, y in the photo's pixels, (5, 2); None if the photo is a head already cut.
        share: Share of the photo that is of a class, 0 to 1; None if unknown.
    """

    image: str
    mask: str
    classes: frozenset[str]
    part: str | None
    group: str
    tags: Sequence[str] = ()
    landmarks: NDArray[np.float32] | None = None
    share: float | None = None


@dataclass(frozen=True)
class WrittenList:
    """A written list, and its number of pairs."""

    path: Path
    pairs: int


@dataclass(frozen=True)
class Split:
    """How pairs are put into lists that do not say it themselves.

    Attributes:
        test_fraction: Share of the pairs for "test", above 0 and below 1, the others being "train";
            None for one list, "all".
        seed: Seed of the split.

    Raises:
        UserError: The share is not between 0 and 1.
    """

    test_fraction: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            raise UserError(
                f"--test-fraction {self.test_fraction:g}: expected a number above 0 and below 1"
            )

    def parts(self, pairs: Sequence[NewPair]) -> list[str]:
        """The name of each pair's list; whole groups go to "test" until it has its share.

        Raises:
            UserError: There is one group alone, which cannot be split.
        """
        if self.test_fraction is None:
            return [pair.part or "all" for pair in pairs]
        sizes = Counter(pair.group for pair in pairs)
        if len(sizes) < 2:
            raise UserError(
                f"--test-fraction {self.test_fraction:g}: all pairs are of one group; expected two "
                "or more"
            )
        order = sorted(sizes)
        random.Random(self.seed).shuffle(order)
        wanted, test = self.test_fraction * len(pairs), set[str]()
        for group in order[:-1]:
            if test and sum(sizes[one] for one in test) + sizes[group] / 2 > wanted:
                break
            test.add(group)
        return ["test" if pair.group in test else "train" for pair in pairs]


@contextmanager
def new_pairs(output: Path) -> Iterator[Path]:
    """A scratch folder whose content moves into `output` when the block ends well.

    A folder that is made for it goes again when the block fails.

    Raises:
        UserError: `output` cannot be written, or has `images`, `masks` or a list already.
    """
    check_place(output, "--output", folder=True)
    for there in (output / "images", output / "masks", *sorted(output.glob(f"*{SUFFIX}"))):
        if os.path.lexists(there):
            raise UserError(
                f"--output {output}: its {there.name} is there already; expected a new folder"
            )
    absent = [folder for folder in (output, *output.parents) if not folder.exists()]
    output.mkdir(parents=True, exist_ok=True)
    try:
        with scratch_folder(output) as scratch:
            yield scratch
            for made in sorted(scratch.iterdir()):
                os.replace(made, output / made.name)
    except BaseException:
        with suppress(OSError):  # not empty, as somebody else has written there
            for folder in absent:
                folder.rmdir()
        raise


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write pixels, grey (H, W) or BGR (H, W, 3), as the suffix says; makes the folder.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(path.suffix, pixels)  # JPEG with quality 95
    path.write_bytes(encoded.tobytes())


def link_or_copy(photo: Path, target: Path) -> None:
    """Make a file the same as a photo: by a hard link where the disk can, else by a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(photo.resolve(), target)
    except OSError:  # another disk, or no links there
        try:
            shutil.copyfile(photo, target)
        except OSError as error:
            if error.errno in FULL:  # `copyfile` names the photo
                raise OSError(error.errno, error.strerror, str(target)) from error
            raise


def classes_in(mask: NDArray[np.uint8], names: Sequence[str]) -> frozenset[str]:
    """The classes of a mask, whose values are 0 for background and places in `names` plus 1.

    Raises:
        BadPair: There is none, or all of the mask is one.
    """
    found = np.flatnonzero(np.bincount(mask.ravel())).tolist()
    if len(found) == 1:
        if not found[0]:
            raise BadPair("mask without any class", f"all of it is {BACKGROUND}")
        raise BadPair("mask that is all one class", f"all of it is {names[found[0] - 1]}")
    return frozenset(names[value - 1] for value in found if value)


def check_name(name: str) -> None:
    """Refuse a file's name that is no UTF-8, which lists are.

    Raises:
        BadPair: It is not.
    """
    if name_in_utf8(name) != name:
        raise BadPair("name that is no UTF-8", name_in_utf8(name))


def landmarks_in(
    photo: NDArray[np.uint8], find: FindLandmarks | None
) -> NDArray[np.float32] | None:
    """The landmarks (5, 2) of a photo's main face; None where photos are heads already cut.

    Args:
        photo: uint8 (H, W, 3), BGR.
        find: Finds them; None where photos are heads already cut.

    Raises:
        BadPair: There is no face: the whole photo would be taken for a head.
    """
    if find is None:
        return None
    found = find(photo)
    if found is None:
        raise BadPair("photo in which no face was found", f"{photo.shape[1]}x{photo.shape[0]}")
    return found


def put_pair(
    photo: Path, mask: NDArray[np.uint8], *, name: str, into: Path, classes: Sequence[str]
) -> NewPair:
    """Write a pair into `images` and `masks` of a folder.

    Args:
        photo: The photo's file, which is linked or copied.
        mask: Places in `classes` plus 1, and 0 for background: uint8 (H, W).
        name: The photo's path below its folder.
        into: The folder.
        classes: Names of the classes.

    Returns:
        The pair, a group of its own.

    Raises:
        BadPair: See `classes_in`; or the name is no UTF-8.
        OSError: A file cannot be written.
    """
    check_name(name)
    there = classes_in(mask, classes)
    path = PurePosixPath("masks", name).with_suffix(".png")
    if (into / path).exists():  # of a photo that has another suffix
        path = PurePosixPath("masks", f"{name}.png")
    link_or_copy(photo, into / "images" / name)
    write_picture(into / path, mask)
    share = np.count_nonzero(mask) / mask.size
    return NewPair(f"images/{name}", str(path), classes=there, part=None, group=name, share=share)


def save_lists(
    output: Path,
    pairs: Sequence[NewPair],
    *,
    classes: Mapping[int, str],
    split: Split,
    into: Path,
) -> list[WrittenList]:
    """Write one list for each part of the pairs.

    Args:
        output: Folder of the lists.
        pairs: At least one.
        classes: Names of the masks' values.
        split: See `Split`.
        into: Folder that the files are written to: `output`, or from where they will move there.

    Raises:
        DataError: A class is in no mask at all. Where one list alone lacks it, a warning says so.
        UserError: A list of another content is there, which may have been corrected by hand.
    """
    names = [name for name in dict.fromkeys(classes.values()) if name != BACKGROUND]
    for name in names:
        if not any(name in pair.classes for pair in pairs):
            raise DataError(f"{output}: class {name} is in none of the {len(pairs)} masks")
    shares = [pair.share for pair in pairs if pair.landmarks is None and pair.share is not None]
    if len(shares) == len(pairs) and (middle := float(np.median(shares))) < _HEADS:
        _log.warning(
            "the classes cover %.0f %% of a photo in the median: where photos are no upright, "
            "centred heads, --align finds them",
            100 * middle,
        )
    parts: dict[str, list[NewPair]] = {}
    for part, pair in zip(split.parts(pairs), pairs, strict=True):
        parts.setdefault(part, []).append(pair)
    written, texts = [], {}
    for part, some in sorted(parts.items()):
        path = output / f"{part}{SUFFIX}"
        for name in names:
            if not any(name in pair.classes for pair in some):
                _log.warning("%s: class %s is in none of its %d masks", path, name, len(some))
        content = ListSpec(
            classes={str(value): name for value, name in sorted(classes.items())},
            pairs=[_spec(pair) for pair in some],
        )
        texts[into / path.name] = content.model_dump_json(exclude_defaults=True)
        written.append(WrittenList(path, len(some)))
    write_lists(texts)
    return written


def _spec(pair: NewPair) -> PairSpec:
    points = None
    if pair.landmarks is not None:
        points = tuple((round(float(x), 2), round(float(y), 2)) for x, y in pair.landmarks)
    return PairSpec(image=pair.image, mask=pair.mask, landmarks=points, tags=tuple(pair.tags))
