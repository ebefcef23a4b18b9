"""Look at every frame of a video, and link its faces."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.coded_videos import CodedVideo, open_coded
from ...data.read_ahead import work_ahead
from ...errors import DataError
from ...files import sha256_file
from ...results import Detections
from .find import FaceFinder
from .scene_cuts import SceneCuts
from .tracks import FAINT, Linker
from .tracks_cover import path_of
from .tracks_file import VideoTracks
from .video_doubts import TrackDoubts
from .video_who import TrackWho
from .who import Who

_log = logging.getLogger(__name__)

_CLOSER = 0.06
"""Seconds after which a frame is searched at its own resolution again, which takes four fifths of
the time: what lies between two such frames is filled as any gap of a track is."""


@dataclass(frozen=True)
class _Picture:
    """One frame as it is shown.

    Attributes:
        time: When, in seconds.
        digest: Of its pixels.
        image: uint8 (H, W, 3), BGR; None if it cannot be looked at.
        cut: Whether a scene begins with it.
        closer: Whether it is searched at its own resolution too.
    """

    time: float
    digest: int
    image: NDArray[np.uint8] | None
    cut: bool
    closer: bool


def find_tracks(
    source: Path,
    finder: FaceFinder,
    *,
    who: Who | None,
    tell: Callable[[int], None],
) -> tuple[VideoTracks, array[int]]:
    """Look at all frames of a video.

    Args:
        source: The video's file.
        finder: Finds the faces.
        who: Whose faces stay visible; None for nobody's.
        tell: Called with the number of frames done.

    Returns:
        Its faces, and the digest of each frame.

    Raises:
        DataError: The video cannot be read.
    """
    digest = sha256_file(source)
    faint = min(finder.score, max(FAINT, finder.least_score))
    linker = Linker()
    opinion = finder.second_opinion
    doubts = None if opinion is None else TrackDoubts(opinion, finder.faint_score)
    asking = None if who is None else TrackWho(who, finder.score)
    times, digests = array("d"), array("Q")
    cuts: list[int] = []
    blind: set[int] = set()
    shown: tuple[int, int] | None = None

    def searched(picture: _Picture) -> tuple[_Picture, Detections | None]:
        if picture.image is None:
            return picture, None
        return picture, finder.find_all(picture.image, score=faint, closer=picture.closer)

    with open_coded(source) as video:
        at_once = finder.at_once
        looked = work_ahead(searched, _pictures(video), threads=at_once, ahead=at_once)
        for number, (picture, faces) in enumerate(looked):
            times.append(picture.time)
            digests.append(picture.digest)
            if picture.image is None or faces is None:
                blind.add(number)
            else:
                shown = picture.image.shape[0], picture.image.shape[1]
                if picture.cut:
                    cuts.append(number)
                    linker.cut()
                sure = finder.are_sure(faces, picture.image)
                linked = linker.add(number, picture.time, faces, sure)
                if doubts is not None:
                    doubtful = finder.are_doubtful(faces, picture.image)
                    doubts.look(
                        picture.time, picture.image, faces, linked, sure=sure, doubtful=doubtful
                    )
                if asking is not None:
                    asking.look(number, picture.time, picture.image, faces, linked)
            tell(number + 1)
        stopped = video.reading.stopped
    if shown is None:
        raise DataError(f"{source}: no frame of this video can be looked at")
    if stopped:
        _log.warning("%s: %s", source, stopped)
    when = np.array(times, np.float64)
    tracks = VideoTracks(
        sha256=digest,
        shown=shown,
        times=when,
        cuts=tuple(cuts),
        black=frozenset(blind),
        paths=tuple(
            path_of(track, when, cuts)
            for track in linker.finish()
            if doubts is None or doubts.is_sure(track)
        ),
    )
    return tracks, digests


def _pictures(video: CodedVideo) -> Iterator[_Picture]:
    scenes = SceneCuts()
    closest = -np.inf
    for frame in video.frames:
        time = float(frame.time * video.time_base)
        image = video.shown(frame)
        cut = image is not None and scenes.begins(image)
        closer = image is not None and (cut or time - closest >= _CLOSER)
        closest = time if closer else closest
        yield _Picture(time, frame.digest, image, cut, closer)
