"""Read video files through PyAV (FFmpeg), frame by frame, with each frame's own time."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .images import MAX_PIXELS
from .media import Timeline, open_container, read_packets, start_of
from .video_pixels import Conversion, deinterlaced

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)

THREADS = 4
"""Threads of one decoder or encoder: what is gained beyond is little, and machines are shared."""


_REORDERED = ("h264", "hevc")
"""Codecs whose packets in AVI have times that are none; FFmpeg knows those of MPEG-4 part 2."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        pixels: uint8 (H, W, 3) BGR; what a player shows.
        time: Seconds since the video's start, when the picture appears; always growing.
        lasts: Seconds for which it is meant to stay; None if the next one decides.
    """

    pixels: NDArray[np.uint8]
    time: float
    lasts: float | None = None


@dataclass(frozen=True)
class Video:
    """An open video.

    Attributes:
        frames: Its frames, once.
        rate: Frames per second, on average; a guess for a file that does not tell.
        time_base: The unit in which the file counts time, in seconds.
        duration: Length in seconds that the file promises; None if unknown.
        count: Number of frames that the file promises; None if unknown.
    """

    frames: Iterator[Frame]
    rate: float
    time_base: Fraction
    duration: float | None = None
    count: int | None = None

    def total(self, done: int, time: float) -> int | None:
        """The number of frames in all, as far as it can be told when `done` were read.

        Args:
            done: Frames read.
            time: `time` of the last of them.
        """
        if self.count is not None or self.duration is None or time <= 0:
            return self.count
        return max(done, round(done * self.duration / time))


@functools.cache
def pyav_is_there() -> bool:
    """Whether PyAV can be imported; the first call warns if not."""
    try:
        import av  # noqa: F401
    except ImportError:
        _log.warning(
            "PyAV is not installed: videos keep neither the times of their frames nor their sound, "
            "and are written for few players; needs `pip install 'pocketface[video]'`"
        )
        return False
    return True


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a video file for as long as the block runs.

    Frames are what a player shows: deinterlaced where they are interlaced, turned as the file
    says, widened or heightened where its pixels are not square. Colours are converted by the tags
    of the stream; without tags, HD counts as BT.709 and the rest as BT.601.

    What cannot be decoded is left out, and so is a frame of which data are missing, or that the
    decoder calls corrupt: a face in what is left may be missed and yet be recognised by people.
    Nothing but the file's own pictures is ever seen: FFmpeg's decoders write into memory that
    was zeroed, and a failed conversion is an error, unlike in OpenCV. One warning at the end
    counts what was left out, and says whether the file ends before its promised length.

    One thread decodes a frame, or several its slices, so that an error belongs to the packet that
    caused it, and a damaged file looks the same each time.

    Raises:
        DataError: The file cannot be opened, or none of its frames decoded; larger frames than
            `images.MAX_PIXELS` are refused before memory is taken.
        MissingPackageError: PyAV is not installed.
    """
    with open_container(path) as container:
        stream = picture_stream(container, path)
        origin = start_of(container, stream.time_base)
        duration = None if container.duration is None else container.duration / 1_000_000
        reading = Reading(container, stream)
        frames = _frames(reading, Timeline(origin, stream, duration))
        first = next(frames, None)
        if first is None:
            codec = stream.codec_context.name
            raise DataError(f"{path}: no frame of this video ({codec}) can be decoded")
        try:
            yield Video(
                frames=_chained(first, frames),
                rate=average_rate(stream),
                time_base=_time_base(stream),
                duration=duration,
                count=stream.frames or None,
            )
        finally:
            if reading.faults:
                _log.warning("%s: %s", path, "; ".join(reading.faults))


class Reading:
    """Decodes one stream of a file, and notes what goes wrong.

    Attributes:
        faults: What the user should know, a clause each; complete when the frames were read.
        lost: `pts` of frames that could not be decoded since the list was last cleared; None where
            the file does not tell.
        stopped: Why nothing more can be read, though the file is not at its end; empty if it is.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._conversion = Conversion(stream.sample_aspect_ratio)
        self._good = 0
        self._bad = 0
        self._end = 0.0
        self.stopped = ""
        self.lost: list[int | None] = []
        self._doubtful: set[int | None] = set()  # times of frames of which data are missing
        # AVI counts packets as they are stored, which with B-frames is not the order of pictures.
        in_avi = container.format.name == "avi"
        self._in_packets = in_avi and stream.codec_context.name in _REORDERED

    @property
    def faults(self) -> list[str]:
        """See the class."""
        clauses = []
        if self._bad:
            frames = "1 frame" if self._bad == 1 else f"{self._bad} frames"
            is_left = "is" if self._bad == 1 else "are"
            clauses.append(
                f"{frames} could not be decoded and {is_left} left out ({self._good} were read)"
            )
        if self.stopped:
            clauses.append(self.stopped)
        return clauses

    def frames(self) -> Iterator[VideoFrame]:
        """The decoded frames, as they come from the decoder."""
        context = self._stream.codec_context
        context.thread_type = "SLICE"
        context.thread_count = THREADS
        context.options = {"max_pixels": str(MAX_PIXELS)}
        for packet in read_packets(self._container):
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self._end = max(self._end, end)
            if packet.stream_index == self._stream.index:
                yield from self._decoded(packet)
        yield from self._decoded(None)
        self._check_end()

    def pixels(self, frame: VideoFrame) -> NDArray[np.uint8] | None:
        """The picture, or None if it cannot be converted."""
        import av

        try:
            pixels = self._conversion.bgr(frame)
        except (av.FFmpegError, ValueError):
            self._bad += 1
            return None
        self._good += 1
        return pixels

    def _decoded(self, packet: Any) -> Iterator[VideoFrame]:
        import av

        try:
            frames = self._stream.codec_context.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            if not isinstance(error, EOFError):
                self._bad += 1
                self.lost.append(None if packet is None else packet.pts)
            return
        if packet is not None and packet.is_corrupt and packet.pts is not None:
            self._doubtful.add(packet.pts)
        for frame in frames:
            frame.time_base = self._stream.time_base  # not set on the last ones
            if frame.pts is None or self._in_packets:
                frame.pts = frame.dts
            if frame.is_corrupt or frame.pts in self._doubtful:
                self._doubtful.discard(frame.pts)
                self._bad += 1
                self.lost.append(frame.pts)
            else:
                yield frame

    def _check_end(self) -> None:
        """Note a file that ends long before its promised length.

        Only formats whose header promises one: others estimate it from the size.
        """
        names = set(self._container.format.name.split(","))
        promised = self._container.duration
        if promised is None or not names & {"mov", "matroska", "avi", "asf"}:
            return
        length, end = promised / 1_000_000, self._end
        if "avi" in names:  # FFmpeg takes the length of what is there; the header has a count
            length = max(length, self._stream.frames / average_rate(self._stream))
        elif "matroska" not in names:  # where the length goes from time 0
            end -= (self._container.start_time or 0) / 1_000_000
        if end < length - max(0.5, 0.05 * length):
            self.stopped = f"it ends after {max(0.0, end):.1f} of {length:.1f} s: is it cut off?"


def _frames(reading: Reading, timeline: Timeline) -> Iterator[Frame]:
    import av

    try:
        for frame in deinterlaced(reading.frames()):
            pixels = reading.pixels(frame)
            if pixels is not None:
                time = float(timeline.place(frame.pts) * timeline.time_base)
                yield Frame(pixels, time, float(frame.duration * timeline.time_base) or None)
    except av.FFmpegError as error:
        reading.stopped = f"reading ended early: {error.strerror}"


def _chained(first: Frame, others: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    del first  # one frame at a time in memory
    yield from others


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream with a file's pictures.

    Raises:
        DataError: There is none, or it cannot be decoded, or its frames are too large.
    """
    from av.stream import Disposition

    stream: Any = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic:
        kind = "it has sound alone" if container.streams.audio else "it has no pictures"
        raise DataError(f"{path}: not a video: {kind}")
    if stream.codec_context is None:
        raise DataError(f"{path}: the codec of this video is not known")
    if not stream.width * stream.height:  # probing keeps to `MAX_PIXELS` too
        raise DataError(
            f"{path}: frames of this video ({stream.codec_context.name}) have no size, "
            f"or more than {MAX_PIXELS:,} pixels"
        )
    if stream.width * stream.height > MAX_PIXELS:
        raise DataError(
            f"{path}: frames of {stream.width} x {stream.height} pixels: "
            f"above the limit of {MAX_PIXELS:,} pixels"
        )
    found: VideoStream = stream
    return found


def average_rate(stream: VideoStream) -> float:
    """Frames per second; a guess for a stream that does not tell."""
    # The guessed rate of a file without one is that of its clock, such as 1000.
    rate = float(stream.average_rate or 0)
    return rate if 0.01 <= rate <= 1000 else 25.0


def _time_base(stream: VideoStream) -> Fraction:
    base = stream.time_base
    # Finer than microseconds is beyond what MP4 and H.264 can count.
    return base if base and base.denominator <= 1_000_000 else Fraction(1, 90_000)
