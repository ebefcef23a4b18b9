"""Files of FFmpeg's formats: how they are opened, read on through damage, and count time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, MissingPackageError
from ..files import reading
from .images import MAX_PIXELS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

CONTAINERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,dv,gif,h264,hevc,m4v"
"""FFmpeg's names of the formats that are opened. Others are lists of further files or addresses
(HLS, concat, SDP), or play texts."""

_DAMAGED_READS = 10
"""Failed reads in a row after which a file is taken to be at its end."""

_BACK, _BEYOND = 0.1, 10
"""Seconds by which a time may lie before the last one, or behind the file's promised end, before
the clock is not believed."""


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a local file's streams, without following what it may say of other files.

    Raises:
        DataError: It is no regular file, empty, or nothing that FFmpeg can read as a video.
        MissingPackageError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPackageError("av") from error
    _check_file(path)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": CONTAINERS,
        "max_pixels": str(MAX_PIXELS),
    }
    try:
        # Absolute, as FFmpeg takes the text before a colon for a protocol.
        container = av.open(os.path.abspath(path), "r", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        reason = "it is damaged, cut off, or something else"
        raise DataError(f"{path}: not a video that can be decoded: {reason}") from error
    with container:
        yield container


def read_packets(container: InputContainer) -> Iterator[Packet[Stream]]:
    """All packets of all streams; a damaged place is passed over, if the format can do so.

    Raises:
        av.FFmpegError: Nothing more can be read, though the file is not at its end.
    """
    import av

    failed = 0
    while True:
        try:
            for packet in container.demux():
                failed = 0
                if packet.size:
                    yield packet
            return
        except av.FFmpegError:
            failed += 1
            if failed == _DAMAGED_READS:
                raise


def start_of(container: InputContainer, time_base: Fraction | None) -> int:
    """When a file starts, which its streams share, in units of `time_base`."""
    return round(Fraction(container.start_time or 0, 1_000_000) / (time_base or 1))


class Timeline:
    """Makes times of timestamps that may be missing, repeat, or begin again.

    Args:
        origin: Timestamp of the file's start.
        stream: The stream, which knows the unit of its timestamps.
        duration: The file's promised length in seconds, if any.
        earliest: Seconds before the start that are believed of the first timestamp.
    """

    def __init__(
        self, origin: int, stream: Any, duration: float | None, *, earliest: float = 0
    ) -> None:
        self.time_base: Fraction = stream.time_base or Fraction(1, 1000)
        self._shift = -origin
        rate = getattr(stream, "average_rate", None)
        self._step = max(1, round(1 / (rate * self.time_base))) if rate else 1
        self._back = _BACK / self.time_base
        self._limit = None if duration is None else (duration + _BEYOND) / self.time_base
        self._earliest = round(-earliest / self.time_base)
        self._last: int | None = None

    def place(self, timestamp: int | None, *, after: int | None = None) -> int:
        """The time of the next frame or packet, in units of `time_base` since the start.

        A clock that begins again (joined recordings), or that leaves the file's length far
        behind (damage), goes on where it was.

        Args:
            timestamp: Its timestamp, if it has one.
            after: How long the one before lasts; None for a frame at the average rate.
        """
        due = 0 if self._last is None else self._last + (after or self._step)
        placed = due if timestamp is None else timestamp + self._shift
        back = self._last is not None and placed < self._last - self._back
        if back or (self._limit is not None and placed > self._limit):
            self._shift += due - placed
            placed = due
        self._last = max(placed, self._earliest if self._last is None else self._last + 1)
        return self._last


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read: {reason}") from error
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would block for ever
        raise DataError(f"{path}: not a video: it is no regular file")
    if status.st_size == 0:
        raise DataError(f"{path}: not a video: the file is empty")
    with reading(path, DataError), path.open("rb") as file:  # FFmpeg's reasons are not the system's
        file.read(1)
