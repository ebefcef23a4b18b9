"""Which photos and videos are to be blurred, and where each goes, checked beforehand."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...data.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES, list_images
from ...errors import UserError
from ...places import check_not_read, check_place
from ..mask_files import check_places, named_apart

_log = logging.getLogger(__name__)

PREFIX = "blurred_"
"""Before the name of what is written beside its source."""


def find_media(sources: Sequence[Path]) -> dict[Path, Path]:
    """The photos and videos of files and folders, each once, with its path below its source.

    Those of folders whose names begin with `PREFIX` are left out, with a warning: they are most
    likely what an earlier run wrote.

    Raises:
        UserError: A file or folder is missing, or there is nothing to blur in any.
        DataError: See `list_images`.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    left: list[Path] = []
    for source in sources:
        if source.is_dir():
            for path in list_images(source, suffixes=IMAGE_SUFFIXES | VIDEO_SUFFIXES):
                if path.name.startswith(PREFIX):
                    left.append(path)
                else:
                    found.setdefault(_place(path), (path, path.relative_to(source)))
        elif source.exists():
            found.setdefault(_place(source), (source, Path(source.name)))
        else:
            raise UserError(f"{source}: no such file or folder")
    if left:
        _log.warning(
            "left out %s named %s…, as %s: name them one by one to have them blurred",
            "1 file" if len(left) == 1 else f"{len(left)} files",
            PREFIX,
            left[0],
        )
    if not found:
        where = ", ".join(map(str, sources))
        raise UserError(f"{where}: no photo or video to blur in there")
    return dict(found.values())


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video, by its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def blurred_places(
    media: Mapping[Path, Path], output: Path | None, *, given: Sequence[Path], force: bool
) -> dict[Path, Path]:
    """The path of what is written of each photo and video.

    Args:
        media: See `find_media`.
        output: The folder where they go, with their places below their sources, and as many of
            their own folders as tell them apart; None for beside each, with `PREFIX` before its
            name.
        given: The files and folders that the user named.
        force: Whether older files may be replaced, unless they are sources.

    Raises:
        UserError: The folder lies among the sources or cannot be written, two sources would have
            one path, or there is a file already.
    """
    if output is None:
        names = _written({path: path for path in media})
        places = {path: name.with_name(PREFIX + name.name) for path, name in names.items()}
        _check_beside(places, force=force)
        return places
    if output.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and not output.is_dir():
        raise UserError(f"--output {output}: expected a folder, new or old")
    places = {path: output / name for path, name in _written(named_apart(media)).items()}
    check_places(places, output, given=given, each=False, force=force)
    return places


def report_files(report: Path) -> tuple[Path, Path]:
    """The list and the contact sheet of a report.

    Raises:
        UserError: The list has the name of a picture.
    """
    if report.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        raise UserError(f"--report {report}: expected the name of a JSON file")
    return report, report.with_suffix(".jpg")


def check_more(
    flag: str,
    files: Iterable[Path],
    places: Mapping[Path, Path],
    *,
    inputs: Iterable[Path],
    force: bool,
    hint: str = "",
) -> None:
    """Refuse to write a run's other files over anything that may be wanted.

    Args:
        flag: Says where they go.
        files: Their paths.
        places: See `blurred_places`.
        inputs: Files that are read besides the sources, and never replaced.
        force: Whether older files may be replaced, unless they are read.
        hint: What else can be done with an older file.

    Raises:
        UserError: One is a source, or what is written of one, or is read, or there is a file
            already.
    """
    originals = {path.resolve() for path in places}
    written = {path.resolve() for path in places.values()}
    for file in files:
        if file.resolve() in originals:
            raise UserError(f"{flag}: {file} is one of the files to be blurred")
        if file.resolve() in written:
            raise UserError(f"{flag}: {file} is to be one of the blurred files")
        check_not_read(file, flag, inputs)
        if not force and os.path.lexists(file):
            raise UserError(f"{flag}: {file} is there already", hint=f"--force replaces it{hint}")


def _written(names: Mapping[Path, Path]) -> dict[Path, Path]:
    """The names of what is written: videos are MP4, of what differs by its suffix alone as well."""
    short = {
        path: name.with_suffix(".mp4") if is_video(path) else name for path, name in names.items()
    }
    often = Counter(short.values())
    return {
        path: short[path] if often[short[path]] == 1 else name.with_name(f"{name.name}.mp4")
        for path, name in names.items()
    }


def _check_beside(places: Mapping[Path, Path], *, force: bool) -> None:
    originals = {path.resolve() for path in places}
    taken: dict[Path, Path] = {}
    for path, place in places.items():
        other = taken.setdefault(place, path)
        if other != path:
            raise UserError(f"{path}: would be {place}, as {other}: name --output DIR for one")
        if os.path.lexists(place):
            if place.resolve() in originals:
                raise UserError(f"{path}: would be {place}, which is to be blurred too")
            if not force:
                raise UserError(
                    f"{path}: {place} is there already",
                    hint="--force replaces it; or name a folder with --output",
                )
    for folder, place in {place.parent: place for place in places.values()}.items():
        check_place(folder / place.name, "--output")


def _place(path: Path) -> Path:
    """The same path for all ways to write it; links to photos are not resolved."""
    return path.parent.resolve() / path.name
