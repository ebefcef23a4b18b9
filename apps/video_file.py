"""Write a video atomically: H.264 and the source's sound in an MP4 file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.video_pixels import is_hd
from ..data.videos import THREADS, pyav_is_there
from ..errors import PocketfaceError
from ..files import atomic_write
from ..interrupts import signals_kept
from .plain_video import PlainVideo
from .sound import Sound, open_sound

if TYPE_CHECKING:
    from av.container import OutputContainer

_log = logging.getLogger(__name__)

_OPTIONS = {"preset": "veryfast", "crf": "20", "bf": "0", "rc-lookahead": "5"}
"""Of x264. Without B-frames each frame lasts in MP4 as long as it should, also the last. It keeps
the frames that it looks ahead to, 27 MB each of 4K; five instead of ten change sizes by 1 %."""

_BT601, _BT709 = 6, 1
"""Code points of primaries, transfer function and matrix alike (ITU-T H.273)."""


class VideoFile(Protocol):
    """Writer of a video; see `video_file`.

    Attributes:
        frames: Number of frames written.
    """

    frames: int

    def write(self, pixels: NDArray[np.uint8], time: float, lasts: float | None = None) -> None:
        """Add a frame; one of another size than the first is fitted into that, on black.

        Args:
            pixels: uint8 (H, W, 3), BGR.
            time: Seconds after the start of the source.
            lasts: Seconds it stays if it is the last; None for as long as the one before.
        """

    def finish(self) -> None:
        """Say that the source is at its end: sound that goes on longer is kept too."""

    def close(self) -> None:
        """Write what is still to be written, and the index, without which no player opens it."""

    def abandon(self) -> None:
        """Close a file that nobody will see."""


@contextmanager
def video_file(
    path: Path, *, rate: float, time_base: Fraction, sound: Path | None = None
) -> Iterator[VideoFile]:
    """Write a video beside `path` and give it that name when it is complete.

    Ctrl-C and SIGTERM complete it too: the frames so far are kept, and the signal is raised again.

    Each frame appears at its own time and stays until the next. Nothing but pictures and sound
    comes from the source: no place, device or date. An odd width or height grows by a pixel at its
    end, a copy of the last one, as most players take even sizes only. Without PyAV it is MPEG-4
    part 2, of a constant rate, without sound.

    Args:
        path: The file to write; ends in .mp4.
        rate: Frames per second, about.
        time_base: Unit of the source's times, in seconds; they are kept to it exactly.
        sound: The video whose sound is kept, all its tracks; None for silence.

    Raises:
        OSError: The disk is full, or the folder cannot be written; `path` is unchanged.
        PocketfaceError: The video could not be written; `path` is unchanged.
    """
    interrupt: KeyboardInterrupt | SystemExit | None = None
    with signals_kept(), atomic_write(path) as handle:
        name = os.path.abspath(handle.name)  # FFmpeg takes text before a colon for a protocol
        video: VideoFile
        if pyav_is_there():
            video = _H264(name, path, rate=rate, time_base=time_base, sound=sound)
        else:
            video = PlainVideo(name, path, rate=rate)
        try:
            yield video
        except (KeyboardInterrupt, SystemExit) as error:
            if video.frames == 0:
                video.abandon()
                raise
            interrupt = error
        except BaseException:
            video.abandon()
            raise
        video.close()
    kept = f"{path} holds the {video.frames} frames until then"
    if isinstance(interrupt, SystemExit):
        _log.warning("%s", kept)
        raise interrupt
    if interrupt is not None:
        raise KeyboardInterrupt(kept) from interrupt


class _H264:
    """Writer through PyAV."""

    def __init__(
        self, name: str, path: Path, *, rate: float, time_base: Fraction, sound: Path | None
    ) -> None:
        self.frames = 0
        self._name = name
        self._path = path
        self._rate = Fraction(rate).limit_denominator(1001)
        self._unit = time_base
        self._source = sound
        self._stack = ExitStack()
        self._container: OutputContainer | None = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._size = (0, 0)
        self._last = -1
        self._length = max(1, round(1 / (rate * time_base)))

    def write(self, pixels: NDArray[np.uint8], time: float, lasts: float | None = None) -> None:
        import av

        with failures(self._path):
            if self._container is None:
                self._begin(*pixels.shape[:2])
            moment = max(round(time / self._unit), self._last + 1)
            if lasts is not None:
                self._length = max(1, round(lasts / self._unit))
            elif self.frames:
                self._length = moment - self._last
            frame = av.VideoFrame.from_ndarray(_fitted(pixels, self._size), format="bgr24")
            frame.pts, frame.time_base, frame.duration = moment, self._unit, self._length
            self._mux(self._in_yuv(frame))
            self._last = moment
            self.frames += 1
            if self._sound is not None:
                self._sound.copy(float(moment * self._unit))

    def finish(self) -> None:
        if self._sound is not None:
            with failures(self._path):
                self._sound.copy(None)

    def close(self) -> None:
        if self._container is None:
            return
        with failures(self._path):
            self._mux(None)
            if self._sound is not None:
                self._sound.copy(float((self._last + self._length) * self._unit))
                self._sound.end()
            self._stack.close()

    def abandon(self) -> None:
        with suppress(Exception):  # of an encoder that never began, for one
            self._stack.close()

    def _begin(self, height: int, width: int) -> None:
        import av

        self._size = (width + width % 2, height + height % 2)
        # The index before the frames, so that a browser plays before it has all of the file.
        options = {"movflags": "+faststart"}
        container = av.open(self._name, "w", format="mp4", container_options=options)
        self._container = self._stack.enter_context(container)
        try:
            stream = container.add_stream("libx264", rate=self._rate, options=_OPTIONS)
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base = self._unit
            context.sample_aspect_ratio = Fraction(1)
            context.thread_count = THREADS
            context.flags |= av.codec.context.Flags.frame_duration
            code = _BT709 if is_hd(*self._size) else _BT601
            context.color_primaries = context.color_trc = context.colorspace = code
            context.color_range = av.video.reformatter.ColorRange.MPEG
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise PocketfaceError(
                f"{self._path}: an H.264 video of {width}x{height} pixels cannot be begun"
            ) from error
        self._stream = stream
        if self._source is not None:
            self._sound = self._stack.enter_context(open_sound(self._source, container))

    def _in_yuv(self, frame: Any) -> Any:
        from av.video.reformatter import ColorRange, Colorspace, Interpolation

        matrix = Colorspace.ITU709 if is_hd(*self._size) else Colorspace.ITU601
        return frame.reformat(
            format="yuv420p",
            dst_colorspace=matrix,
            dst_color_range=ColorRange.MPEG,
            # Plain rounding would darken all by two levels.
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
            threads=1,
        )

    def _mux(self, frame: Any) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode(frame))


@contextmanager
def failures(path: Path) -> Iterator[None]:
    """Errors of FFmpeg as ours; those of the system keep their cause."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise PocketfaceError(
            f"{path}: the video could not be written: {error.strerror}"
        ) from error


def _fitted(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A frame in the video's size (width, height), which is even."""
    height, width = pixels.shape[:2]
    if (width + width % 2, height + height % 2) == size:
        right, below = size[0] - width, size[1] - height
        if right or below:
            padded = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
            return np.asarray(padded, dtype=np.uint8)
        return pixels
    scale = min(size[0] / width, size[1] / height)
    inside = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size[0] - inside[0]) // 2, (size[1] - inside[1]) // 2
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    canvas[top : top + inside[1], left : left + inside[0]] = cv2.resize(pixels, inside)
    return canvas
