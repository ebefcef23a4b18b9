"""The faces of a video as a JSON file, to be corrected by hand and rendered again.

Its keys: docs/reference/tracks.md.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, ValidationError

from ...data.coded_videos import open_coded
from ...errors import DataError
from ...files import atomic_write, name_in_utf8, reading, sha256_file
from ...model_templates.explain import explain
from ...model_templates.spec import Spec
from .tracks_cover import FacePath

_MOST_BYTES = 1 << 30
"""Of a file that is read; an hour of a crowd has less."""

_FARTHEST = 1_000_000
"""Pixels from the picture's corner within which a box lies."""

_CLOSEST = 5e-7
"""Seconds between two frames, whose times are rounded to microseconds."""

_Row = tuple[NonNegativeInt, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat | None]


class _SourceSpec(Spec):
    """The video: its name, SHA-256, and size as shown."""

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    width: PositiveInt
    height: PositiveInt


class _TrackSpec(Spec):
    """One face: its boxes by frame; between two of them it moves evenly."""

    id: PositiveInt
    visible: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] = ()
    boxes: Annotated[tuple[_Row, ...], Field(min_length=1)]


class _TracksSpec(Spec):
    """All of a video."""

    format: Literal[1]
    source: _SourceSpec
    times: Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
    cuts: tuple[NonNegativeInt, ...] = ()
    black: tuple[NonNegativeInt, ...] = ()
    tracks: tuple[_TrackSpec, ...]


@dataclass(frozen=True, eq=False)
class VideoTracks:
    """The faces of a video.

    Attributes:
        sha256: Of the video's file.
        shown: Height and width as shown.
        times: When each frame appears, in seconds since the start, float64 (N,).
        cuts: Numbers of frames that begin a scene.
        black: Numbers of frames that could not be looked at.
        paths: The faces.
    """

    sha256: str
    shown: tuple[int, int]
    times: NDArray[np.float64]
    cuts: tuple[int, ...]
    black: frozenset[int]
    paths: tuple[FacePath, ...]


def write_tracks(path: Path, tracks: VideoTracks, source: Path) -> None:
    """Write a file of tracks, one box a line.

    Raises:
        OSError: It cannot be written.
    """
    head = {
        "format": 1,
        "source": {
            "name": name_in_utf8(source.name),
            "sha256": tracks.sha256,
            "width": tracks.shown[1],
            "height": tracks.shown[0],
        },
        "times": [round(float(time), 6) for time in tracks.times],
        "cuts": list(tracks.cuts),
        "black": sorted(tracks.black),
    }
    with atomic_write(path, "w") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "tracks": [')
        for number, one in enumerate(tracks.paths):
            about = {"id": one.number, "visible": _spans(one)}
            file.write(",\n" if number else "\n")
            file.write(json.dumps(about, ensure_ascii=False)[:-1] + ', "boxes": [\n  ')
            file.write(",\n  ".join(map(json.dumps, _rows(one))) + "]}")
        file.write("]}\n")


def read_tracks(path: Path, source: Path) -> VideoTracks:
    """Read a file of tracks.

    Args:
        path: The file.
        source: The video that they are to be of.

    Raises:
        DataError: The file cannot be read, is damaged, or is another video's.
    """
    with reading(path, DataError):
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: expected at most {_MOST_BYTES:,} bytes")
        content = path.read_bytes().decode("utf-8", "replace")
    try:
        spec = _TracksSpec.model_validate_json(content)
    except ValidationError as error:
        text, hint = explain(error, _TracksSpec)
        raise DataError(f"{path}: no tracks of a video: {text}", hint=hint) from error
    with reading(source, DataError):
        own = sha256_file(source)
    if own != spec.source.sha256:
        raise DataError(
            f"{path}: is of {spec.source.name!r} with SHA-256 {spec.source.sha256[:12]}…, not of "
            f"{source}, whose is {own[:12]}…"
        )
    shown = spec.source.height, spec.source.width
    real = _shown_size(source)
    if real not in (None, shown):
        raise DataError(
            f"{path}: source: {shown[1]} x {shown[0]} pixels; {source} has {real[1]} x {real[0]}"
        )
    times = np.array(spec.times, np.float64)
    if (np.diff(times) < _CLOSEST).any():
        raise DataError(f"{path}: times: expected each later than the one before")
    for key in ("cuts", "black"):
        _check_frames(getattr(spec, key), len(times), f"{path}: {key}")
    ids: set[int] = set()
    for track in spec.tracks:
        if track.id in ids:
            raise DataError(f"{path}: track {track.id}: is there twice: expected one of each id")
        ids.add(track.id)
    return VideoTracks(
        sha256=own,
        shown=shown,
        times=times,
        cuts=spec.cuts,
        black=frozenset(spec.black),
        paths=tuple(_path(one, len(times), path) for one in spec.tracks),
    )


def _shown_size(source: Path) -> tuple[int, int] | None:
    """Height and width of a video's frames as shown; None if none can be looked at."""
    with open_coded(source) as video:
        for frame in video.frames:
            image = video.shown(frame)
            if image is not None:
                return image.shape[0], image.shape[1]
    return None


def _check_frames(frames: Sequence[int], count: int, what: str) -> None:
    """Refuse numbers of frames that are not there, or not in ascending order."""
    for frame in frames:
        if frame >= count:
            raise DataError(f"{what}: frame {frame}: expected frames below {count}")
    for before, frame in itertools.pairwise(frames):
        if frame <= before:
            raise DataError(f"{what}: frame {frame} after {before}: expected ascending ones")


def _path(spec: _TrackSpec, count: int, file: Path) -> FacePath:
    what = f"{file}: track {spec.id}"
    _check_frames([row[0] for row in spec.boxes], count, what)
    for frame, *box, score in spec.boxes:
        x1, y1, x2, y2 = box
        if not (x1 < x2 and y1 < y2):
            raise DataError(f"{what}: frame {frame}: box {box}: expected x1 < x2, y1 < y2")
        if max(map(abs, box)) > _FARTHEST:
            raise DataError(
                f"{what}: frame {frame}: box {box}: expected at most {_FARTHEST:,} pixels"
            )
        if score is not None and not 0 <= score <= 1:
            raise DataError(f"{what}: frame {frame}: score {score:g}: expected 0 to 1, or null")
    for first, last in spec.visible:
        if not first <= last < count:
            raise DataError(
                f"{what}: visible [{first}, {last}]: expected the first and the last frame of a "
                f"stretch, below {count}"
            )
    rows = np.array([row[:5] for row in spec.boxes], np.float64)
    frames = rows[:, 0].astype(np.int64)
    every = np.arange(frames[0], frames[-1] + 1)
    boxes = np.stack([np.interp(every, frames, side) for side in rows[:, 1:].T], 1)
    scores = np.full(len(every), np.nan, np.float32)
    scores[frames - frames[0]] = [np.nan if row[5] is None else row[5] for row in spec.boxes]
    hidden = np.ones(len(every), np.bool_)
    for first, last in spec.visible:
        hidden[(every >= first) & (every <= last)] = False
    return FacePath(spec.id, int(frames[0]), boxes.astype(np.float32), scores, hidden)


def _rows(path: FacePath) -> Iterator[list[Any]]:
    for offset, (box, score) in enumerate(zip(path.boxes, path.scores, strict=True)):
        told = None if np.isnan(score) else round(float(score), 4)
        yield [path.first + offset, *(round(float(value), 2) for value in box), told]


def _spans(path: FacePath) -> Sequence[tuple[int, int]]:
    """First and last frame of each stretch in which a face is not hidden."""
    steps = np.flatnonzero(np.diff(np.concatenate([[True], path.hidden, [True]])))
    first, after = steps[0::2] + path.first, steps[1::2] + path.first
    return [(int(one), int(other) - 1) for one, other in zip(first, after, strict=True)]
