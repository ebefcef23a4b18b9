"""Read video files frame by frame as their codec stores them, to be written again as exactly."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .media import Timeline, open_container, start_of
from .video_pixels import deinterlaced, display_matrix
from .videos import Reading, average_rate, picture_stream

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)

_FINEST = 1_000_000
"""Finest unit of times, as a part of a second, that MP4 and its encoders can count."""

_HDR10 = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
_DOLBY = ("DOVI_RPU_BUFFER", "DOVI_METADATA")


@dataclass(frozen=True)
class Kind:
    """What the frames of a video are, which is to be the same in the one that is written.

    Attributes:
        width: Of a stored frame, in pixels; it may be shown turned and stretched.
        height: Likewise.
        pix_fmt: FFmpeg's name of the pixel format.
        pixel_aspect: Width of a pixel divided by its height; None if the file does not tell.
        matrix: How it is turned: a, b, c, d of `video_pixels.display_matrix`.
        colours: Code points of primaries, transfer function and matrix (ITU-T H.273), and FFmpeg's
            number of the range.
        light: Static metadata of HDR10 by FFmpeg's name, as FFmpeg has them in memory.
    """

    width: int
    height: int
    pix_fmt: str
    pixel_aspect: Fraction | None
    matrix: tuple[int, int, int, int]
    colours: tuple[int, int, int, int]
    light: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class CodedFrame:
    """One stored frame.

    Attributes:
        picture: It, progressive; None if it could not be decoded.
        time: When it appears, in units of the video's time base since the file's start; growing.
        lasts: How long it is meant to stay; None if the next one decides.
        digest: CRC-32 of its pixels; 0 if it could not be decoded.
    """

    picture: VideoFrame | None
    time: int
    lasts: int | None
    digest: int


@dataclass(frozen=True)
class CodedVideo:
    """An open video.

    Attributes:
        kind: What its frames are.
        frames: Its frames, once.
        time_base: Unit of their times, in seconds.
        rate: Frames per second, on average.
        duration: Length in seconds that the file promises; None if unknown.
        count: Number of frames that the file promises; None if unknown.
        reading: Converts frames to what a player shows, and knows what went wrong.
    """

    kind: Kind
    frames: Iterator[CodedFrame]
    time_base: Fraction
    rate: float
    duration: float | None
    count: int | None
    reading: Reading

    def shown(self, frame: CodedFrame) -> NDArray[np.uint8] | None:
        """What a player shows, uint8 (H, W, 3) BGR; None if that is not known."""
        return None if frame.picture is None else self.reading.pixels(frame.picture)


@contextmanager
def open_coded(path: Path) -> Iterator[CodedVideo]:
    """Open a video file for as long as the block runs.

    Interlaced frames become progressive ones. A frame that cannot be decoded, or of which data are
    missing, comes without a picture.

    Raises:
        DataError: The file cannot be opened, or none of its frames decoded; or, while reading,
            the kind of its frames changes, or the file cannot be read on though it goes on.
        MissingPackageError: PyAV is not installed.
    """
    with open_container(path) as container:
        stream = picture_stream(container, path)
        duration = None if container.duration is None else container.duration / 1_000_000
        timeline = Timeline(start_of(container, stream.time_base), stream, duration)
        reading = Reading(container, stream)
        pictures = deinterlaced(reading.frames())
        first = _first(pictures, path)
        if first is None:
            codec = stream.codec_context.name
            raise DataError(f"{path}: no frame of this video ({codec}) can be decoded")
        unit = timeline.time_base
        if unit.denominator > _FINEST:
            unit = Fraction(1, 90_000)
        yield CodedVideo(
            kind=_kind(first, stream, path),
            frames=_frames(first, pictures, reading, timeline, unit, path),
            time_base=unit,
            rate=average_rate(stream),
            duration=duration,
            count=stream.frames or None,
            reading=reading,
        )


def other_pictures(path: Path) -> list[str]:
    """The streams of pictures that a player might show instead of those of `open_coded`.

    Covers, as those of songs, are none.

    Args:
        path: The video's file.

    Returns:
        Each in some words.

    Raises:
        DataError: See `open_coded`.
    """
    from av.stream import Disposition

    with open_container(path) as container:
        own = picture_stream(container, path)
        streams: Any = container.streams.video
        return [
            f"stream {one.index} ({one.width} x {one.height} pixels)"
            for one in streams
            if one.index != own.index and not one.disposition & Disposition.attached_pic
        ]


def _first(pictures: Iterator[VideoFrame], path: Path) -> VideoFrame | None:
    import av

    try:
        return next(pictures, None)
    except av.FFmpegError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _frames(
    first: VideoFrame,
    others: Iterator[VideoFrame],
    reading: Reading,
    timeline: Timeline,
    unit: Fraction,
    path: Path,
) -> Iterator[CodedFrame]:
    import av

    # Not all of `Kind` for each frame: a frame and its side data keep each other in memory.
    told = _told(first)
    last = -1

    def placed(pts: int | None) -> int:
        nonlocal last
        last = max(round(timeline.place(pts) * timeline.time_base / unit), last + 1)
        return last

    before: int | None = None
    picture: VideoFrame | None = first
    del first  # one frame at a time in memory
    try:
        while picture is not None:
            lost, reading.lost = reading.lost, []
            for pts in sorted(one for one in lost if one is not None):
                if picture.pts is not None and pts > picture.pts:
                    reading.lost.append(pts)  # its turn comes later
                elif pts != picture.pts and (before is None or pts > before):
                    yield CodedFrame(None, placed(pts), None, 0)
            for _ in range(lost.count(None)):
                yield CodedFrame(None, placed(None), None, 0)
            if _told(picture) != told:
                raise DataError(
                    f"{path}: from {float(placed(picture.pts) * unit):.2f} s on its frames are "
                    f"{_told(picture)}, before {told}: such a video cannot be kept as it is"
                )
            before = picture.pts if picture.pts is not None else before
            time = placed(picture.pts)
            lasts = round(picture.duration * timeline.time_base / unit) or None
            good = picture.pts is None or picture.pts not in lost
            yield CodedFrame(picture if good else None, time, lasts, digest_of(picture) * good)
            picture = next(others, None)
    except av.FFmpegError as error:
        # What follows is unknown: to write the part before as if it were all would be no copy.
        raise DataError(f"{path}: reading ended early: {error.strerror}") from error
    for pts in sorted(one for one in reading.lost if one is not None):
        if before is None or pts > before:
            yield CodedFrame(None, placed(pts), None, 0)


def planes_of(frame: VideoFrame) -> list[NDArray[Any]]:
    """The planes of a planar frame, (h, w), uint8 or uint16: its own memory, not a copy."""
    planes = []
    for plane, component in zip(_planes(frame), frame.format.components, strict=True):
        deep = component.bits > 8
        values = np.frombuffer(memoryview(plane), np.uint16 if deep else np.uint8)
        rows = values.reshape(-1, plane.line_size // (2 if deep else 1))
        planes.append(rows[: component.height, : component.width])
    return planes


def _planes(frame: VideoFrame) -> Any:
    return frame.planes  # typed without the buffer that they are


def digest_of(frame: VideoFrame) -> int:
    """CRC-32 of a frame's pixels and palette, without the gaps of its rows, which hold anything."""
    digest = 0
    for number, plane in enumerate(_planes(frame)):
        values = np.frombuffer(memoryview(plane), np.uint8)
        if plane.line_size:  # a palette has no rows
            values = values.reshape(-1, abs(plane.line_size))[:, : _row_size(frame, number)]
        digest = zlib.crc32(values.tobytes(), digest)
    return digest


def _row_size(frame: VideoFrame, plane: int) -> int:
    """Bytes that the pixels of one row of a plane take."""
    components = frame.format.components
    if all(one.plane == 0 for one in components):  # they may share bytes, or leave some unused
        return -(-frame.width * frame.format.padded_bits_per_pixel // 8)
    return sum(one.width * -(-one.bits // 8) for one in components if one.plane == plane)


def _kind(frame: VideoFrame, stream: VideoStream, path: Path) -> Kind:
    light = []
    side_data: Any = frame.side_data  # typed as a dict, but iterates over its values
    for data in side_data:
        name = data.type.name
        if name in _DOLBY:
            raise DataError(f"{path}: Dolby Vision cannot be kept: expected HDR10, HLG or plain")
        if name in _HDR10:
            light.append((name, bytes(data)))
    return Kind(
        width=frame.width,
        height=frame.height,
        pix_fmt=frame.format.name,
        pixel_aspect=stream.sample_aspect_ratio or None,
        matrix=display_matrix(frame),
        colours=tuple(  # type: ignore[arg-type]
            int(one)
            for one in (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range)
        ),
        light=tuple(sorted(light)),
    )


def _told(frame: VideoFrame) -> str:
    turned = f" turned by {frame.rotation}°" if frame.rotation else ""
    return f"{frame.width} x {frame.height} {frame.format.name}{turned}"
