"""Write a video through OpenCV, where PyAV is missing: a constant rate, and no sound."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PocketfaceError


class PlainVideo:
    """Writer of MPEG-4 part 2; see `video_file.VideoFile`."""

    def __init__(self, name: str, path: Path, *, rate: float) -> None:
        self.frames = 0
        self._name = name
        self._path = path
        # MPEG-4 divides a second into at most 65,535 ticks; OpenCV needs one per decimal.
        self._rate = round(rate, 3 if rate < 65 else 2)
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None

    def write(
        self,
        pixels: NDArray[np.uint8],
        time: float,
        lasts: float | None = None,  # noqa: ARG002
    ) -> None:
        """Add a frame, repeated or left out so that the file keeps to the times."""
        height, width = pixels.shape[:2]
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._size = (width, height)
            self._writer = cv2.VideoWriter(self._name, cv2.CAP_FFMPEG, code, self._rate, self._size)
            if not self._writer.isOpened():
                raise PocketfaceError(
                    f"OpenCV cannot begin an MPEG-4 video of {width}x{height} "
                    f"at {self._rate:g} frames/s"
                )
        if (width, height) != self._size:
            pixels = np.asarray(cv2.resize(pixels, self._size), dtype=np.uint8)
        for _ in range(1 + round(time * self._rate) - self.frames):
            self._writer.write(pixels)
            self.frames += 1

    def finish(self) -> None:
        """There is no sound to keep."""

    def abandon(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.release()

    def close(self) -> None:
        """Write the index, without which no player opens the file."""
        if self._writer is None:
            return
        self._writer.release()
        if not cv2.VideoCapture(self._name, cv2.CAP_FFMPEG).isOpened():
            raise PocketfaceError(
                f"{self._path}: the video could not be written; is the disk full?"
            )
