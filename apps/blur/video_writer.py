"""Write the frames of a video as they were stored, at their exact times, with the sound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.coded_videos import CodedVideo, planes_of
from ...data.videos import THREADS
from ...errors import PocketfaceError
from ...files import atomic_write
from ...interrupts import signals_kept
from ..sound import Sound, open_sound
from ..video_file import failures
from .video_codecs import Target

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@contextmanager
def coded_file(
    path: Path, video: CodedVideo, target: Target, *, sound: Path | None
) -> Iterator[CodedWriter]:
    """Write a video beside `path`, and give it that name when the block ends well, and only then.

    Nothing but pictures and sound is written: no chapters, subtitles, attachments, places, dates
    nor timed metadata.

    Args:
        path: The file to write, an MP4 file.
        video: The source.
        target: How its frames are written.
        sound: The file whose sound is kept, all its tracks; None for silence.

    Raises:
        OSError: The disk is full, or the folder cannot be written; `path` is unchanged.
        PocketfaceError: The video could not be written; `path` is unchanged.
    """
    with signals_kept() as check, atomic_write(path) as handle:
        name = os.path.abspath(handle.name)  # FFmpeg takes text before a colon for a protocol
        writer = CodedWriter(name, path, video, target, sound)
        try:
            yield writer
            check()
            writer.close()
        except BaseException:
            writer.abandon()
            raise


class CodedWriter:
    """Writes frames; see `coded_file`.

    Attributes:
        target: How they are written.
    """

    def __init__(
        self, name: str, path: Path, video: CodedVideo, target: Target, sound: Path | None
    ) -> None:
        import av

        self._path = path
        self.target = target
        self._unit = video.time_base
        self._lasts: dict[int, int] = {}
        self._stack = ExitStack()
        self._sound: Sound | None = None
        with failures(path):
            # The index before the frames, so that a browser plays before it has all of the file.
            self._container = self._stack.enter_context(
                av.open(name, "w", format="mp4", container_options={"movflags": "+faststart"})
            )
            self._stream = self._begin(video)
            if sound is not None:
                self._sound = self._stack.enter_context(open_sound(sound, self._container))

    def new_frame(self) -> VideoFrame:
        """A frame to be drawn and written; its pixels are anything."""
        from av.video.frame import VideoFrame

        return VideoFrame(*self.target.size, self.target.kind.pix_fmt)

    def copied(self, picture: VideoFrame) -> VideoFrame:
        """A frame of the target's format and the source's size with the pixels of another.

        Decoders need theirs for the frames that follow; and theirs have captions and the like.
        """
        from av.video.frame import VideoFrame

        kind = self.target.kind
        frame = VideoFrame(kind.width, kind.height, kind.pix_fmt)
        for new, old in zip(planes_of(frame), planes_of(picture), strict=True):
            new[...] = old
        return frame

    def write(self, frame: VideoFrame, time: int, lasts: int) -> None:
        """Add a frame.

        Args:
            frame: Of the target's format and size, or the source's size.
            time: When it appears, in units of the source's time base; growing.
            lasts: For how long, in the same units.
        """
        frame = self._grown(frame)
        frame.pts, frame.time_base, frame.duration = time, self._unit, lasts
        kind = self.target.kind
        primaries, transfer, matrix, colour_range = kind.colours
        frame.color_primaries, frame.color_trc = primaries, transfer
        frame.colorspace, frame.color_range = matrix, colour_range
        self._lasts[time] = lasts
        with failures(self._path):
            self._mux(frame)
            if self._sound is not None:
                self._sound.copy(float(time * self._unit))

    def close(self) -> None:
        """Write what is still to be written, and the index."""
        with failures(self._path):
            self._mux(None)
            if self._sound is not None:
                self._sound.copy(None)
                self._sound.end()
            self._stack.close()

    def abandon(self) -> None:
        """Close a file that nobody will see."""
        with suppress(Exception):  # of an encoder that never began, for one
            self._stack.close()

    def _begin(self, video: CodedVideo) -> Any:
        import av

        target = self.target
        kind = target.kind
        rate = Fraction(video.rate).limit_denominator(1001)
        try:
            stream: Any = self._container.add_stream(
                target.encoder, rate=rate, options=target.options
            )
            stream.width, stream.height = target.size
            stream.pix_fmt = kind.pix_fmt
            context = stream.codec_context
            context.time_base = self._unit
            if kind.pixel_aspect is not None:
                context.sample_aspect_ratio = kind.pixel_aspect
            context.thread_count = THREADS
            context.flags |= av.codec.context.Flags.frame_duration
            context.color_primaries, context.color_trc = kind.colours[:2]
            context.colorspace, context.color_range = kind.colours[2:]
            if target.tag is not None:
                context.codec_tag = target.tag
            if kind.matrix != (1, 0, 0, 1):
                _turn(stream, kind.matrix)
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise PocketfaceError(
                f"{self._path}: a video of {target.size[0]}x{target.size[1]} pixels, "
                f"{kind.pix_fmt}, cannot be begun by {target.encoder}"
            ) from error
        return stream

    def _grown(self, frame: VideoFrame) -> VideoFrame:
        """A frame of an odd size, with a copy of its last row or column."""
        if (frame.width, frame.height) == self.target.size:
            return frame
        larger = self.new_frame()
        for new, old in zip(planes_of(larger), planes_of(frame), strict=True):
            more = [(0, new.shape[axis] - old.shape[axis]) for axis in (0, 1)]
            new[...] = np.pad(old, more, mode="edge")
        return larger

    def _mux(self, frame: VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            packet.duration = self._lasts.pop(packet.pts)
            self._container.mux(packet)


def _turn(stream: Any, matrix: tuple[int, int, int, int]) -> None:
    """Ask players to turn the frames as those of the source."""
    a, b, c, d = (one << 16 for one in matrix)
    stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
