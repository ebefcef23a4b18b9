"""Write a video atomically."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PocketfaceError
from ..files import atomic_write
from ..interrupts import signals_kept

_log = logging.getLogger(__name__)


class VideoFile:
    """Writer of an MPEG-4 file; see `video_file`."""

    def __init__(self, name: str, *, fps: float, live: bool) -> None:
        self.frames = 0
        self._name = name
        self._fps = fps
        self._live = live
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None
        self._started = 0.0

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one uint8 (H, W, 3) BGR frame, scaled to the first frame's size."""
        height, width = frame.shape[:2]
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._size = (width, height)
            # MPEG-4 divides a second into at most 65,535 ticks; OpenCV needs one per decimal.
            fps = round(self._fps, 3 if self._fps < 65 else 2)
            self._writer = cv2.VideoWriter(self._name, cv2.CAP_FFMPEG, code, fps, self._size)
            if not self._writer.isOpened():
                raise PocketfaceError(
                    f"OpenCV cannot begin an MPEG-4 video of {width}x{height} at {fps:g} frames/s"
                )
            self._started = time.monotonic()
        if (width, height) != self._size:
            frame = np.asarray(cv2.resize(frame, self._size), dtype=np.uint8)
        copies = 1
        if self._live:
            # A camera does not wait: repeat or skip frames so that the file keeps real time.
            due = 1 + int((time.monotonic() - self._started) * self._fps)
            copies = due - self.frames
        for _ in range(copies):
            self._writer.write(frame)
            self.frames += 1

    def close(self) -> None:
        """Write the index, without which no player opens the file."""
        if self._writer is not None:
            self._writer.release()


@contextmanager
def video_file(path: Path, *, fps: float, live: bool) -> Iterator[VideoFile]:
    """Write a video beside `path` and give it that name when it is complete.

    Ctrl-C and SIGTERM complete it too: the frames so far are kept, and the signal is raised again.

    Args:
        path: The file to write; ends in .mp4.
        fps: Frames per second.
        live: Whether to keep real time by repeating or skipping frames.

    Raises:
        PocketfaceError: The video could not be written; `path` is unchanged.
    """
    interrupt: KeyboardInterrupt | SystemExit | None = None
    with signals_kept(), atomic_write(path) as handle:
        name = os.path.abspath(handle.name)  # FFmpeg takes text before a colon for a protocol
        video = VideoFile(name, fps=fps, live=live)
        try:
            yield video
        except (KeyboardInterrupt, SystemExit) as error:
            if video.frames == 0:
                raise
            interrupt = error
        finally:
            video.close()
        if not cv2.VideoCapture(name, cv2.CAP_FFMPEG).isOpened():
            raise PocketfaceError(f"{path}: the video could not be written; is the disk full?")
    kept = f"{path} holds the {video.frames} frames until then"
    if isinstance(interrupt, SystemExit):
        _log.warning("%s", kept)
        raise interrupt
    if interrupt is not None:
        raise KeyboardInterrupt(kept) from interrupt
