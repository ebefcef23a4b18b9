"""Look at every frame of a video, and link its faces."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...data.coded_videos import open_coded
from ...errors import DataError
from ...files import sha256_file
from .find import FaceFinder
from .scene_cuts import SceneCuts
from .tracks import FAINT, Linker
from .tracks_cover import path_of
from .tracks_file import VideoTracks
from .video_doubts import TrackDoubts
from .video_who import TrackWho
from .who import Who

_log = logging.getLogger(__name__)


def find_tracks(
    source: Path,
    finder: FaceFinder,
    *,
    score: float,
    who: Who | None,
    tell: Callable[[int], None],
) -> tuple[VideoTracks, array[int]]:
    """Look at all frames of a video.

    Args:
        source: The video's file.
        finder: Finds the faces.
        score: Lowest score of a face, 0 to 1, that starts a track.
        who: Whose faces stay visible; None for nobody's.
        tell: Called with the number of frames done.

    Returns:
        Its faces, and the digest of each frame.

    Raises:
        DataError: The video cannot be read.
    """
    digest = sha256_file(source)
    faint = min(score, max(FAINT, finder.least_score))
    linker = Linker(score)
    opinion = finder.second_opinion
    doubts = None if opinion is None else TrackDoubts(opinion, score)
    asking = None if who is None else TrackWho(who, score)
    scenes = SceneCuts()
    times, digests = array("d"), array("Q")
    cuts: list[int] = []
    blind: set[int] = set()
    shown: tuple[int, int] | None = None
    with open_coded(source) as video:
        for number, frame in enumerate(video.frames):
            times.append(float(frame.time * video.time_base))
            digests.append(frame.digest)
            image = video.shown(frame)
            if image is None:
                blind.add(number)
            else:
                shown = image.shape[0], image.shape[1]
                if scenes.begins(image):
                    cuts.append(number)
                    linker.cut()
                # The closer search goes below.
                faces = finder.find_all(image, score=faint).above(faint)
                linked = linker.add(number, times[-1], faces)
                if doubts is not None:
                    doubts.look(times[-1], image, faces, linked)
                if asking is not None:
                    asking.look(number, times[-1], image, faces, linked)
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
