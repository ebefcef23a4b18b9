"""Hide the faces of what users send: bytes in, bytes or a file out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Literal, get_args

from ...errors import ImageError, ImageTooLargeError, UserError
from ...files import scratch_folder
from ...results import Detections
from ..blur.cover import Cover
from ..blur.find import FaceFinder
from ..blur.photo import PhotoBlurrer
from ..blur.photo_file import Picture
from ..blur.video import VideoRequest, blur_video
from .refusal import Refusal

Style = Literal["mosaic", "gaussian", "solid", "emoji"]
STYLES: tuple[Style, ...] = get_args(Style)
"""What is offered: all that need nothing but the photo itself."""


@dataclass(frozen=True)
class Hidden:
    """A photo or video whose faces are hidden.

    Attributes:
        content: The file, or its path.
        suffix: Of its format, as `.jpg`.
        black: Frames of a video that could not be looked at.
    """

    content: bytes | Path
    suffix: str
    black: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


class Blurring:
    """Hides faces in each of the styles; several threads may use it at once.

    Args:
        finder: Finds the faces.
        work_seconds: Longest work on one photo or video.
    """

    def __init__(self, finder: FaceFinder, *, work_seconds: float) -> None:
        self._finder = finder
        self._seconds = work_seconds
        self._covers: Mapping[Style, Cover] = {style: Cover(style=style) for style in STYLES}

    def photo(self, content: bytes, style: Style) -> Hidden:
        """Hide the faces of a photo.

        Raises:
            Refusal: It cannot be read, takes too long, or has no face: who gets it back unchanged
                takes it for one whose faces are hidden, although one may have been missed.
        """
        finder = _InTime(self._finder, self._seconds)
        try:
            made = PhotoBlurrer(finder, self._covers[style]).blur(content, source="photo")
        except ImageTooLargeError as error:
            raise Refusal("too_many_pixels") from error
        except ImageError as error:
            raise Refusal("unreadable") from error
        if not made.hidden:
            raise Refusal("no_face")
        return Hidden(made.content, made.suffix)

    def video(self, content: bytes, style: Style, kept: ExitStack) -> Hidden:
        """Hide the faces of a video.

        Args:
            content: Its file.
            style: How they are hidden.
            kept: The result is a file until this is closed.

        Raises:
            Refusal: It cannot be read, takes too long, or has no face.
        """
        folder = kept.enter_context(scratch_folder(Path(gettempdir())))
        source = folder / "sent"
        source.write_bytes(content)
        clock = _InTime(self._finder, self._seconds)
        try:
            made = blur_video(
                VideoRequest(
                    source=source,
                    output=folder / "blurred.mp4",
                    finder=self._finder,
                    cover=self._covers[style],
                    on_frame=clock.check,
                )
            )
        except UserError as error:  # of the video: all else is given here
            raise Refusal("unreadable") from error
        if not made.tracks.paths:
            raise Refusal("no_face")
        return Hidden(folder / "blurred.mp4", ".mp4", made.black)


class _InTime:
    """A finder that ends when its time is up: a small file may hold thousands of frames."""

    def __init__(self, finder: FaceFinder, seconds: float) -> None:
        self._finder = finder
        self._until = time.monotonic() + seconds

    def find(self, image: Picture) -> Detections:
        """See `Finder`."""
        self.check()
        return self._finder.find(image)

    def check(self, *_: int) -> None:
        """Raise when it is.

        Raises:
            Refusal: It is.
        """
        if time.monotonic() > self._until:
            raise Refusal("too_long")
