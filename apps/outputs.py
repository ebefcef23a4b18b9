"""Paths of the results, checked before the work begins."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import atomic_write
from ..places import check_new_file, check_place
from .sources import Source

_log = logging.getLogger(__name__)

_WITHOUT_COLOUR = (".pgm", ".pbm")
"""Suffixes of formats that OpenCV writes without colour."""


def output_path(source: Source, output: Path, *, force: bool) -> Path:
    """The file or folder that a run writes.

    Args:
        source: What is read.
        output: What the user named.
        force: Whether older files may be replaced, unless they are read.

    Raises:
        UserError: `output` does not fit this source, or would overwrite it, or an older file.
    """
    if source.kind == "folder":
        if output.is_file():
            raise UserError(f"--output {output}: is a file; the output of a folder is a folder")
        check_place(output, "--output", folder=True)
        inside = output.resolve()
        if source.path is not None and source.path.resolve() in (inside, *inside.parents):
            raise UserError(
                f"--output {output}: lies in {source.path}, among the photos to be read"
            )
        # Photos may be symbolic links to files in the output folder.
        originals = {photo.resolve() for photo in source.photos}
        taken: dict[Path, Path] = {}
        for photo in source.photos:
            place = mirrored(photo, source, output)
            other = taken.setdefault(place, photo)
            if other != photo:
                raise UserError(f"--output {output}: {other} and {photo} would both be {place}")
            if place.resolve() in originals:
                raise UserError(f"--output {output}: {place} is one of the photos to be read")
            if not force and os.path.lexists(place):
                raise UserError(
                    f"--output {output}: {place} is there already",
                    hint="--force replaces it; or name another folder",
                )
        return output
    if output.is_dir():
        if source.path is None:
            output /= f"{source.kind}.mp4"
        else:
            output /= source.path.name if source.photos else f"{source.path.stem}.mp4"
    if source.photos and not can_write(output):
        raise UserError(f"--output {output}: expected a photo's name, as {output.stem}.jpg")
    if not source.photos and output.suffix.lower() != ".mp4":
        raise UserError(f"--output {output}: expected a name that ends in .mp4")
    if source.path is not None and output.resolve() == source.path.resolve():
        raise UserError(f"--output {output}: is the source itself")
    check_new_file(output, "--output", inputs=(), force=force)
    return output


def mirrored(photo: Path, source: Source, target: Path) -> Path:
    """Path of the drawn `photo`: `target` itself, or its place in the folder `target`."""
    if source.kind == "photo" or source.path is None:
        return target
    path = target / photo.relative_to(source.path)
    # The whole name is kept, so that a.gif and a.png get different names.
    return path if can_write(path) else path.with_name(f"{path.name}.png")


def write_photo(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write a uint8 picture, (H, W, 3) BGR or what else the format has, in that of its suffix.

    A picture whose side is too long for the format (WebP: 16,383 pixels, JPEG: 65,500) is written
    as a PNG file beside it, with a warning. Returns the path written.
    """
    good, buffer = cv2.imencode(path.suffix.lower(), image)
    if not good:
        longer = path.with_name(f"{path.name}.png")
        _log.warning("%s: too large for %s, written as %s", path, path.suffix, longer.name)
        path, (_, buffer) = longer, cv2.imencode(".png", image)
    with atomic_write(path) as handle:
        handle.write(buffer.tobytes())
    return path


def can_write(path: Path) -> bool:
    """Whether colour pictures can be written in the format of a suffix."""
    suffix = path.suffix.lower()
    # Only the suffix is passed, because OpenCV might open a file of the real name.
    return bool(suffix) and suffix not in _WITHOUT_COLOUR and cv2.haveImageWriter(f"x{suffix}")
