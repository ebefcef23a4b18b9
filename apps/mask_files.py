"""Files of masks: their names, checked before the work begins, and their pixels."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..drawing import draw_masks
from ..errors import UserError
from ..mask import Mask
from ..places import check_not_read, check_place
from ..results import Detections
from ..tasks.segmentation.draw import draw
from .outputs import can_write, write_photo

_log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

Kind = Literal["mask", "overlay", "cutout", "json"]

FOLDERS: Mapping[Kind, Path] = {
    "mask": Path("masks"),
    "overlay": Path("overlays"),
    "cutout": Path("cutouts"),
}
"""Where each kind goes if no folder is named."""


def places_of(
    sources: Mapping[Path, Path], kind: Kind, folder: Path, *, video: bool
) -> dict[Path, Path]:
    """The path of what is written of each photo or video.

    It has the source's name and its place below the folder that was named; sources that would have
    one name then are told apart by their own folders. Masks and cutouts are PNG files, of what
    differs by its suffix alone with that suffix in the name.

    Args:
        sources: Of each file the path below what the user named.
        kind: What is written.
        folder: Where it goes.
        video: Whether the files are videos.
    """
    sources = named_apart(sources)
    if kind == "overlay" and not video:
        ends = {path: "" if can_write(name) else ".png" for path, name in sources.items()}
        return {path: folder / f"{name}{ends[path]}" for path, name in sources.items()}
    suffix = ".mp4" if video else ".png"
    short = {path: folder / name.with_suffix(suffix) for path, name in sources.items()}
    often = Counter(short.values())
    return {
        path: short[path] if often[short[path]] == 1 else folder / f"{name}{suffix}"
        for path, name in sources.items()
    }


def named_apart(names: Mapping[Path, Path]) -> dict[Path, Path]:
    """The same, with as many of its own folders before a name as tell it from all others."""
    apart = dict(names)
    whole = {path: (path.parent.resolve() / path.name).parts[1:] for path in names}
    for length in range(2, max(map(len, whole.values()), default=0) + 1):
        often = Counter(apart.values())
        for path, name in apart.items():
            if often[name] > 1 and len(name.parts) < length:
                apart[path] = Path(*whole[path][-length:])
    return apart


def check_places(
    places: Mapping[Path, Path],
    folder: Path,
    *,
    given: Sequence[Path],
    inputs: Iterable[Path] = (),
    each: bool,
    force: bool,
) -> None:
    """Refuse to write over anything that may be wanted.

    Args:
        places: Of each source, from `places_of`.
        folder: What --output names.
        given: The files and folders that the user named.
        inputs: Files that are read besides the sources, and never replaced.
        each: Whether there is a file for each face, see `numbered`.
        force: Whether older files may be replaced, unless they are read.

    Raises:
        UserError: The folder lies among the sources or cannot be written, two sources would have
            one path, or there is a file already.
    """
    if folder.is_file():
        raise UserError(f"--output {folder}: is a file; expected a folder, new or old")
    check_place(folder, "--output", folder=True)
    inside = folder.resolve()
    for source in given:
        if source.is_dir() and source.resolve() in (inside, *inside.parents):
            raise UserError(f"--output {folder}: lies in {source}, among the photos to be read")
    originals = {path.resolve() for path in places}
    taken: dict[Path, Path] = {}
    for path, place in places.items():
        other = taken.setdefault(place, path)
        if other != path:
            raise UserError(f"--output {folder}: {other} and {path} would both be {place}")
    for place in _there(taken, each=each):
        if place.resolve() in originals:
            raise UserError(f"--output {folder}: {place} is one of the photos to be read")
        check_not_read(place, f"--output {folder}:", inputs)
        if not force:
            raise UserError(
                f"--output {folder}: {place} is there already",
                hint="--force replaces it; or name a new folder",
            )


def _there(places: Iterable[Path], *, each: bool) -> Iterator[Path]:
    """What exists of the files that will be written."""
    if not each:
        yield from filter(os.path.lexists, places)
        return
    listed: dict[Path, list[str]] = {}
    for place in places:
        parent = place.parent
        if parent not in listed:
            listed[parent] = os.listdir(parent) if parent.is_dir() else []
        of_face = re.compile(rf"{re.escape(place.stem)}-[0-9]+{re.escape(place.suffix)}")
        yield from (parent / name for name in listed[parent] if of_face.fullmatch(name))


def numbered(place: Path, number: int) -> Path:
    """The path of a photo's face, counted from 1."""
    return place.with_stem(f"{place.stem}-{number}")


def grey(masks: Sequence[Mask], shape: tuple[int, int]) -> Pixels:
    """All masks of a photo in one picture, uint8 (H, W).

    Of one class it is 255 in the masks; of several each has its number, from 1 on in the order of
    the model's classes without the background. All else is 0.
    """
    picture = np.zeros(shape, np.uint8)
    for mask in masks:
        part = picture[mask.place]
        for number, name in enumerate(mask.named, 1):
            part[mask.inside(name)] = number if len(mask.named) > 1 else 255
    return picture


def picture_of(
    image: Pixels, masks: Sequence[Mask], *, kind: Kind, faces: Detections | None = None
) -> Pixels:
    """One picture of all faces of a photo or frame, of its size.

    Args:
        image: uint8 (H, W, 3), BGR.
        masks: Of each face.
        kind: "mask", "overlay" or "cutout".
        faces: What an overlay's boxes are drawn of, if it is to have any.

    Returns:
        uint8: masks grey (H, W), an overlay BGR (H, W, 3), cutouts BGRA (H, W, 4).
    """
    if kind == "mask":
        return grey(masks, image.shape[:2])
    if kind == "overlay":
        return draw_masks(image, masks) if faces is None else draw(image, faces, masks)
    picture = np.zeros((*image.shape[:2], 4), np.uint8)
    for mask in masks:
        # Soft edges of neighbours overlap: the more opaque one counts. Colours are the photo's.
        part = picture[mask.place]
        part[:] = np.maximum(part, mask.cutout(image))
    return picture


def trimmed(mask: Mask, image: Pixels) -> Pixels | None:
    """A face's cutout without transparent edges, uint8 (h, w, 4) BGRA; None if it is empty."""
    cut = mask.cutout(image)
    rows, columns = (np.flatnonzero(cut[..., 3].any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return None
    return cut[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def write_masks(
    place: Path,
    image: Pixels,
    masks: Sequence[Mask],
    *,
    kind: Kind,
    each: bool,
) -> list[Path]:
    """Write what was found in a photo; returns the files.

    Args:
        place: See `places_of`.
        image: The photo, uint8 (H, W, 3), BGR.
        masks: Of each face.
        kind: What to write.
        each: Whether masks get a file for each face; cutouts always do.
    """
    if kind == "overlay" or (kind == "mask" and not each):
        return [write_photo(place, picture_of(image, masks, kind=kind))]
    written = []
    for number, mask in enumerate(masks, 1):
        picture = grey([mask], mask.shape) if kind == "mask" else trimmed(mask, image)
        if picture is not None:
            written.append(write_photo(numbered(place, number), picture))
    there = {path.name for path in _there([place], each=True)}
    if older := sorted(there - {path.name for path in written}):
        _log.warning("%s: left there from an earlier run: %s", place.parent, ", ".join(older))
    return written
