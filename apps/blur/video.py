"""Blur videos: look at every frame and link its faces first, then write each frame again."""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ...data.coded_videos import open_coded, other_pictures
from ...errors import UserError
from ...tasks.segmentation.model import FaceSegmenter
from .cover import Cover
from .find import FaceFinder
from .tracks_file import VideoTracks, read_tracks, write_tracks
from .video_codecs import CODECS, target_of
from .video_find import find_tracks
from .video_render import render
from .who import Who

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class VideoRequest:
    """One video to be blurred.

    Attributes:
        source: Its file.
        output: The MP4 file to write.
        finder: Finds the faces.
        cover: How they are hidden.
        segmenter: For the shape `mask`; see `video_masks`.
        codec: One of `video_codecs.CODECS`.
        keep_audio: Whether the sound is kept.
        who: Whose faces stay visible; None for nobody's.
        tracks: A file of tracks, instead of looking for faces; None to look.
        on_frame: Called after each frame of both passes with the number done and that of all, in
            both; the latter is a guess.
    """

    source: Path
    output: Path
    finder: FaceFinder
    cover: Cover = field(default_factory=Cover)
    segmenter: FaceSegmenter | None = None
    codec: str = "h264"
    keep_audio: bool = True
    who: Who | None = None
    tracks: Path | None = None
    on_frame: Callable[[int, int], None] | None = None


@dataclass(frozen=True, kw_only=True)
class BlurredVideo:
    """What became of a video.

    Attributes:
        tracks: Its faces.
        sidecar: The file that they were written to; None if they came from a file.
        black: Frames that are black, as they could not be decoded or looked at.
        finding: Seconds of the first pass.
        writing: Seconds of the second pass.
    """

    tracks: VideoTracks
    sidecar: Path | None
    black: int
    finding: float
    writing: float


def blur_video(request: VideoRequest) -> BlurredVideo:
    """Hide the faces of a video.

    The file of tracks is written before the video, so that the time for looking is not lost if the
    second pass fails. A frame that could not be decoded or looked at is black.

    Raises:
        UserError: The codec is not there.
        DataError: The video cannot be read, or not be kept as it is; or the tracks are another's.
        OSError: The disk is full, or a file cannot be written; `output` is unchanged.
        PocketfaceError: The video could not be written; `output` is unchanged.
    """
    check_codec(request.codec)
    with open_coded(request.source) as video:  # refused before the first pass, not after it
        target_of(video.kind, request.codec, request.source)
        count = video.count or round((video.duration or 0) * video.rate)
    warn_of_others(request.source)
    started = time.monotonic()
    digests: array[int] | None = None
    sidecar = None
    done, both = 0, 2 * count

    def tell(number: int) -> None:
        if request.on_frame is not None:
            request.on_frame(done + number, max(both, done + number))

    if request.tracks is not None:
        tracks = read_tracks(request.tracks, request.source)
        both = len(tracks.times)
    else:
        tracks, digests = find_tracks(request.source, request.finder, who=request.who, tell=tell)
        sidecar = sidecar_of(request.output)
        write_tracks(sidecar, tracks, request.source)
        done = len(tracks.times)
        both = 2 * done
    found = time.monotonic()
    blacked = render(
        request.source,
        request.output,
        tracks,
        request.cover,
        digests=digests,
        segmenter=request.segmenter,
        codec=request.codec,
        keep_audio=request.keep_audio,
        tell=tell,
    )
    if blacked:
        frames = "1 frame" if blacked == 1 else f"{blacked} frames"
        _log.warning("%s: %s could not be looked at: black", request.source, frames)
    return BlurredVideo(
        tracks=tracks,
        sidecar=sidecar,
        black=blacked,
        finding=found - started,
        writing=time.monotonic() - found,
    )


def warn_of_others(source: Path) -> None:
    """Say which pictures of a file are neither blurred nor written."""
    if others := other_pictures(source):
        _log.warning(
            "%s: has several streams of pictures, of which one is written; left out: %s",
            source,
            ", ".join(others),
        )


def check_codec(codec: str) -> None:
    """Refuse a codec that is none of `CODECS`.

    Raises:
        UserError: See above.
    """
    if codec not in CODECS:
        raise UserError(f"--codec {codec}: expected one of {', '.join(CODECS)}")


def sidecar_of(output: Path) -> Path:
    """The file of tracks beside a blurred video."""
    return output.with_suffix(".tracks.json")
