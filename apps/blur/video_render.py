"""Write a video again with its faces hidden."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.coded_videos import CodedFrame, CodedVideo, open_coded
from ...data.read_ahead import work_ahead
from ...errors import DataError
from ...tasks.segmentation.model import FaceSegmenter
from .cover import Cover, drawn_boxes
from .tracks_cover import Covers
from .tracks_file import VideoTracks
from .video_codecs import target_of
from .video_masks import Hull, hulls_of
from .video_planes import black, hide_in_planes, stored_boxes, stored_hull
from .video_writer import CodedWriter, coded_file

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_SAME_TIME = 1e-5
"""Seconds by which times may differ that were written as text."""


def render(
    source: Path,
    output: Path,
    tracks: VideoTracks,
    cover: Cover,
    *,
    digests: array[int] | None,
    segmenter: FaceSegmenter | None,
    codec: str,
    keep_audio: bool,
    tell: Callable[[int], None],
) -> int:
    """Decode a video once more, hide its faces, and write it.

    Args:
        source: The video's file.
        output: The MP4 file to write.
        tracks: Its faces.
        cover: How they are hidden.
        digests: Of the frames that were looked at; None if only their times are known.
        segmenter: For the shape `mask`.
        codec: One of `video_codecs.CODECS`.
        keep_audio: Whether the sound is kept.
        tell: Called with the number of frames done.

    Returns:
        The number of frames that are black.

    Raises:
        DataError: The frames are not those that were looked at; `output` is unchanged.
        OSError: See `coded_file`.
        PocketfaceError: See `coded_file`.
    """
    with open_coded(source) as video:
        target = target_of(video.kind, codec, source, warn=False)  # the first pass has told
        sound = source if keep_audio else None
        with coded_file(output, video, target, sound=sound) as writer:
            drawing = _Drawing(video, tracks, cover, segmenter, writer)
            waiting: tuple[VideoFrame, int] | None = None
            lasts: int | None = None
            step = max(1, round(1 / (video.rate * video.time_base)))
            number = -1

            def drawn(numbered: tuple[int, CodedFrame]) -> tuple[VideoFrame, int, int | None]:
                at, frame = numbered
                if not _same(frame, at, video, tracks, digests):
                    raise DataError(f"{source}: its frame {at} is not the one that was looked at")
                return drawing.drawn(frame, at), frame.time, frame.lasts

            # The next frame is drawn while this one is encoded.
            for number, (picture, time, long) in enumerate(
                work_ahead(drawn, enumerate(video.frames))
            ):
                if waiting is not None:
                    step = time - waiting[1]
                    writer.write(*waiting, step)
                waiting, lasts = (picture, time), long
                tell(number + 1)
            if waiting is None or number + 1 != len(tracks.times):
                raise DataError(
                    f"{source}: has {number + 1} frames; {len(tracks.times)} were looked at"
                )
            writer.write(*waiting, lasts or step)
    return drawing.blacked


class _Drawing:
    """Hides the faces of frames, each in a copy of it."""

    def __init__(
        self,
        video: CodedVideo,
        tracks: VideoTracks,
        cover: Cover,
        segmenter: FaceSegmenter | None,
        writer: CodedWriter,
    ) -> None:
        self.blacked = 0
        self._video = video
        self._segmenter = segmenter
        self._cover = cover
        self._tracks = tracks
        self._writer = writer
        self._covers = Covers(tracks.paths, _rate(tracks, video))

    def drawn(self, frame: CodedFrame, number: int) -> VideoFrame:
        target = self._writer.target
        if frame.picture is None or number in self._tracks.black:
            self.blacked += 1
            empty = self._writer.new_frame()
            black(empty, target.kind)
            return empty
        copy = self._writer.copied(target.picture(frame.picture))
        shown = drawn_boxes(self._covers.at(number), self._cover)
        faces = stored_boxes(shown, self._tracks.shown, target.kind)
        hulls = self._hulls(frame, number) if self._cover.shape == "mask" else []
        hide_in_planes(copy, faces, self._cover, target.kind, hulls)
        return copy

    def _hulls(self, frame: CodedFrame, number: int) -> list[Hull | None]:
        """The outlines of the faces of a frame, as stored."""
        boxes, found = self._covers.unsteadied(number)
        image = self._video.shown(frame) if found.any() else None
        if image is None or self._segmenter is None:
            return [None] * len(boxes)
        hulls = hulls_of(self._segmenter, image, boxes, found)
        kind = self._writer.target.kind
        return [stored_hull(hull, self._tracks.shown, kind) for hull in hulls]


def _same(
    frame: CodedFrame,
    number: int,
    video: CodedVideo,
    tracks: VideoTracks,
    digests: array[int] | None,
) -> bool:
    if number >= len(tracks.times):
        return False
    apart = abs(float(frame.time * video.time_base) - tracks.times[number])
    return apart <= _SAME_TIME and (digests is None or digests[number] == frame.digest)


def _rate(tracks: VideoTracks, video: CodedVideo) -> float:
    """Frames per second, as they are: headers of a variable rate say anything."""
    if len(tracks.times) < 2:
        return video.rate
    return float(1 / np.median(np.diff(tracks.times)))
