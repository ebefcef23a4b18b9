"""Sources of pictures: a camera, a video, a photo, a folder of photos, a stream."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES, list_images
from ..data.media import CONTAINERS
from ..data.videos import Frame, Video, open_video, pyav_is_there
from ..errors import DataError, PocketfaceError
from .live_frames import LiveFrames

_log = logging.getLogger(__name__)

_SCHEMES = ("http", "https", "rtmp", "rtsp", "rtsps", "srt", "tcp", "udp")
_TIMEOUT_MS = 10_000

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
"""Variable with FFmpeg's options, which OpenCV reads at each open."""

_COUNTED = (".avi", ".mp4", ".m4v", ".mov")
"""Suffixes of formats whose header has the number of frames; for others OpenCV takes length times
rate, which is wrong where the rate changes."""

_CLOCK = Fraction(1, 90_000)
"""Unit of times that come from no file, in seconds; that of MPEG."""


@dataclass(frozen=True)
class Source:
    """A source that the user named.

    Attributes:
        kind: `photo` and `folder` have photos, the others have frames.
        name: Name for messages, without what may be secret in a stream's address.
        photos: The files of a `photo` or `folder`; empty for the other kinds.
        path: The photo, the folder or the video; None for a camera or stream.
        address: What OpenCV opens: camera number, path or URL.
    """

    kind: Literal["photo", "folder", "video", "camera", "stream"]
    name: str
    photos: tuple[Path, ...] = ()
    path: Path | None = None
    address: int | str = ""


def find_source(text: str) -> Source:
    """Find out which source a user's text names.

    Args:
        text: A camera number; a stream's URL; a video file; a photo; a folder of photos.

    Raises:
        DataError: The file is missing or of an unknown kind, or the folder holds no photo.
    """
    if not text:
        raise DataError("--video is empty: expected a camera number, a file, a folder or a URL")
    if re.fullmatch(r"[0-9]{1,3}", text):
        if Path(text).exists():
            _log.warning("%s is taken for a camera; ./%s is the file or folder", text, text)
        return Source("camera", f"camera {int(text)}", address=int(text))
    if "://" in text:
        return _stream(text)
    path = Path(text)
    if path.is_dir():
        photos = tuple(list_images(path))
        if not photos:
            raise DataError(
                f"{text}: no photo in this folder (looked for {_known(IMAGE_SUFFIXES)})"
            )
        return Source("folder", text, photos=photos, path=path)
    if path.exists() and not path.is_file():  # opening a pipe would block for ever
        raise DataError(
            f"{text}: is no regular file",
            hint="a camera is named by its number, as in --video 0",
        )
    if not path.is_file():
        raise DataError(
            f"{text}: no such file or folder",
            hint="a source is a camera number, a video, a photo, a folder of photos or a URL",
        )
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return Source("photo", text, photos=(path,), path=path)
    # Decided by suffix: FFmpeg would play even a text file, as a terminal recording.
    if suffix in VIDEO_SUFFIXES:
        # Absolute, as FFmpeg takes the text before a colon for a protocol.
        return Source("video", text, path=path, address=os.path.abspath(path))
    raise DataError(
        f"{text}: neither a photo ({_known(IMAGE_SUFFIXES)}) nor a video ({_known(VIDEO_SUFFIXES)})"
    )


@contextmanager
def open_frames(source: Source) -> Iterator[Video]:
    """Open a video, camera or stream for as long as the block runs.

    Files are read through PyAV if it is installed; see `data.videos.open_video`. A camera or a
    stream does not wait: the newest frame is given, and one line at the end counts those that
    were left out. Their times are those at which they came, by this machine's clock, from the
    first frame on. A stream that is a finite file is read like one, frame by frame.

    Raises:
        DataError: The file cannot be decoded as a video, or the camera does not open.
        PocketfaceError: The stream cannot be reached or sends no picture. After the block, when
            all frames were read: the camera or stream sends nothing more, or a finite one ended
            before its promised length.
    """
    if source.kind == "video" and source.path is not None and pyav_is_there():
        with open_video(source.path) as video:
            yield video
        return
    with _silent():
        capture = _open(source)
        pictures = _pictures(capture)
        try:
            first = next(pictures, None)
            if first is None:
                raise _cannot_open(source)
            fps = capture.get(cv2.CAP_PROP_FPS)
            # Cameras report 0 and damaged headers thousands; a time lapse is really slow.
            least, most = (0.1, 1000) if source.kind == "video" else (1, 240)
            rate = fps if least <= fps <= most else 25.0
            count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        except BaseException:
            capture.release()
            raise
        # A video at a URL has a frame count; a stream has none, and does not wait.
        if source.kind == "video" or count > 0:
            read = _Counted(itertools.chain([first], pictures), rate)
            try:
                known = count if count > 0 else None
                yield Video(read.frames(), rate=rate, time_base=_CLOCK, count=known)
            finally:
                capture.release()
            _check_end(source, read, count)
            return
        live = LiveFrames(first, pictures, close=capture.release)
        try:
            yield Video(live.frames(), rate=rate, time_base=_CLOCK)
        finally:
            live.stop()
            if live.left_out:
                _log.warning(
                    "%s: %d of %d frames were left out: they came faster than they were looked at",
                    source.name, live.left_out, live.count,
                )  # fmt: skip
        if live.ended:
            raise _failed(source, f"sent nothing more after {_so_far(live.count, live.lasted)}")


def _open(source: Source) -> cv2.VideoCapture:
    if isinstance(source.address, int):
        return cv2.VideoCapture(source.address)
    # FFmpeg is named because other backends take "%d" in a file's name for a series of pictures.
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
    with _file_alone() if source.kind == "video" else nullcontext():
        return cv2.VideoCapture(source.address, cv2.CAP_FFMPEG, [*timeouts, _TIMEOUT_MS])


@contextmanager
def _file_alone() -> Iterator[None]:
    """Let FFmpeg open no list of other files or addresses, whatever its name."""
    before = os.environ.get(_OPTIONS)
    os.environ[_OPTIONS] = f"protocol_whitelist;file|format_whitelist;{CONTAINERS}"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OPTIONS]
        else:
            os.environ[_OPTIONS] = before


def _pictures(capture: cv2.VideoCapture) -> Iterator[NDArray[np.uint8]]:
    while capture.isOpened():
        good, frame = capture.read()
        if not good:
            return
        yield np.asarray(frame, dtype=np.uint8)


class _Counted:
    """Frames at a constant rate, counted.

    Attributes:
        count: Number of frames that were read.
        ended: Whether there are no more.
    """

    def __init__(self, pictures: Iterator[NDArray[np.uint8]], rate: float) -> None:
        self.count = 0
        self.ended = False
        self._pictures = pictures
        self._rate = rate

    def frames(self) -> Iterator[Frame]:
        for pixels in self._pictures:
            self.count += 1
            yield Frame(pixels, (self.count - 1) / self._rate)
        self.ended = True


def _check_end(source: Source, read: _Counted, promised: int) -> None:
    """Tell of a file that ended early, where its header has the number of frames."""
    place = urlsplit(str(source.address)).path if source.kind == "stream" else source.name
    counted = Path(place).suffix.lower() in _COUNTED
    # A few may be missing by intent; a larger gap means a truncated or damaged file.
    if not (read.ended and counted and promised > read.count + max(2, 0.05 * promised)):
        return
    if source.kind == "stream":
        raise _failed(source, f"ended at frame {read.count} of {promised}")
    _log.warning("%s: ended at frame %d of %d", source.name, read.count, promised)


def _failed(source: Source, what: str) -> PocketfaceError:
    return PocketfaceError(f"{source.name}: {what}", hint="an --output holds what came until then")


def _so_far(count: int, seconds: float) -> str:
    return f"{count} {'frame' if count == 1 else 'frames'}, {seconds:.1f} s"


def _cannot_open(source: Source) -> PocketfaceError:
    if source.kind == "camera":
        return DataError(f"{source.name}: does not open, or gives no picture")
    if source.kind == "stream":
        return PocketfaceError(f"{source.name}: cannot be reached, or sends no video")
    return DataError(f"{source.name}: not a video that can be decoded")


def _stream(text: str) -> Source:
    scheme = text.partition("://")[0].lower()
    name = _without_secrets(text)
    if scheme not in _SCHEMES:
        raise DataError(f"{name}: unknown kind of address; known are {', '.join(_SCHEMES)}")
    return Source("stream", name, address=text)


def _without_secrets(address: str) -> str:
    """Only user and host of an address: cameras have passwords in path and query too."""
    scheme, _, rest = address.partition("://")
    user, at, place = rest.rpartition("@")
    if "/" in user or "?" in user:  # part of a password, or the "@" does not end the user
        return f"{scheme}://…"
    name, colon, _ = user.partition(":")
    host, *more = re.split("[/?]", place, maxsplit=1)
    secret, left_out = ":***" if colon else "", "/…" if any(more) else ""
    return f"{scheme}://{name}{secret}{at}{host}{left_out}"


def _known(suffixes: frozenset[str]) -> str:
    return " ".join(sorted(suffixes))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep OpenCV's and FFmpeg's own lines off stderr; errors come as exceptions."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read at each open
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
