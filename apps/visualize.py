"""Faces found and drawn, from any source to the screen, to files, or only counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.images import read_image
from ..errors import DataError, ImageError, UserError
from ..results import Classification, Detections
from .draw import draw_detections
from .outputs import mirrored, output_path, write_photo
from .sources import Source, find_source, open_frames
from .video_file import video_file
from .window import Window, check_display
from .work_dir import weights_for

if TYPE_CHECKING:
    from ..runtimes.detector import FaceDetector
    from ..runtimes.model import Model

_log = logging.getLogger(__name__)

Labels = tuple[Classification, ...]
"""One for each face where a classifier looks at them, else none."""

_Found = tuple[Detections, Labels]

_SAY_EVERY = 10.0
"""Seconds between two signs of life while a video runs."""


@dataclass(frozen=True)
class Summary:
    """What a run went through.

    Attributes:
        source: What was looked at.
        pictures: Photos or frames in which faces were looked for.
        faces: Found in all of them together.
        unreadable: Photos of a folder that could not be decoded.
        seconds: From the first picture to the last.
        output: The file or folder written, or None.
    """

    source: Source
    pictures: int
    faces: int
    unreadable: int
    seconds: float
    output: Path | None


def visualize(
    *,
    weights: Path,
    source: str,
    detector: Path | None = None,
    output: Path | None = None,
    show: bool = True,
    score_threshold: float | None = None,
    nms_iou: float | None = None,
    device: str = "cpu",
    threads: int | None = None,
    delay: int | None = None,
    on_photo: Callable[[Path, Detections, Labels], None] | None = None,
) -> Summary:
    """Find the faces in every picture of a source; draw, show and write them as asked.

    Everything that can be wrong with the arguments is found before the first picture.

    Args:
        weights: A model file, of a detector or a classifier; see `runtimes.load`.
        source: A camera number, a video, a photo, a folder of photos, or a stream's URL.
        detector: A model file of one with landmarks, which finds the faces for a classifier; the
            weights of face-detection-n if None.
        output: Photo: a file or an existing folder. Folder: the folder that mirrors it. Video,
            camera, stream: an .mp4 file.
        show: Open a window; q or Esc ends the run.
        score_threshold: Instead of the detector's own.
        nms_iou: Instead of the detector's own.
        device: As `runtimes.load` takes it.
        threads: Of the runtime.
        delay: Milliseconds each picture stays in the window; 0 waits for a key. By default photos
            wait and frames stay 1 ms.
        on_photo: Called with each photo, the faces in it and their labels; not with frames.

    Raises:
        UserError: The source, the output, the model or the display does not do.
        PocketfaceError: The stream or the output failed.
        KeyboardInterrupt: Ctrl-C; the video until then is complete and in its place.
    """
    found = find_source(source)
    target = None if output is None else output_path(found, output)
    if show:
        check_display()
    # After the checks: a runtime takes seconds to load.
    from ..runtimes import load, load_detector

    viewer = _Viewer(
        find=_finder(
            load(weights, device=device, threads=threads),
            detector,
            partial(load_detector, device=device, threads=threads),
            score_threshold=score_threshold,
            nms_iou=nms_iou,
        ),
        window=Window() if show else None,
        delay=delay if delay is not None else (0 if found.photos else 1),
        draws=show or target is not None,
    )
    started = time.monotonic()
    unreadable = 0
    try:
        if found.photos:
            unreadable, target = _photos(found, target, viewer, on_photo)
        else:
            _frames(found, target, viewer)
    finally:
        viewer.close()
    return Summary(
        source=found,
        pictures=viewer.pictures,
        faces=viewer.faces,
        unreadable=unreadable,
        seconds=time.monotonic() - started,
        output=target,
    )


def _finder(
    model: Model,
    detector: Path | None,
    load_detector: Callable[[Path], FaceDetector],
    *,
    score_threshold: float | None,
    nms_iou: float | None,
) -> Callable[[NDArray[np.uint8]], _Found]:
    """What finds the faces of a picture, and labels them if the model is a classifier."""
    from ..runtimes.classifier import FaceClassifier
    from .classify import FACE_SCORE, PhotoClassifier

    if isinstance(model, FaceClassifier):
        face_score = FACE_SCORE if score_threshold is None else score_threshold
        finder = load_detector(detector or weights_for("face-detection-n", None))
        labeller = PhotoClassifier(model, finder, face_score=face_score)
        return lambda image: labeller.answer([image], nms_iou=nms_iou)[0][1:]
    if detector is not None:
        raise UserError(f"--detector {detector}: {model.path} finds the faces itself")
    find = partial(model.predict, score_threshold=score_threshold, nms_iou=nms_iou)
    return lambda image: (find(image), ())


class _Viewer:
    """Finds, counts, draws and shows; one picture at a time."""

    def __init__(
        self,
        *,
        find: Callable[[NDArray[np.uint8]], _Found],
        window: Window | None,
        delay: int,
        draws: bool,
    ) -> None:
        self.pictures = 0
        self.faces = 0
        self.more = True
        self._find = find
        self._window = window
        self._delay = delay
        self._draws = draws

    def look(self, image: NDArray[np.uint8]) -> tuple[_Found, NDArray[np.uint8]]:
        """Faces and the drawn picture; `more` turns False when the user wants no more."""
        detections, labels = self._find(image)
        self.pictures += 1
        self.faces += len(detections)
        drawn = draw_detections(image, detections, labels) if self._draws else image
        if self._window is not None:
            self.more = self._window.show(drawn, delay=self._delay)
        return (detections, labels), drawn

    def close(self) -> None:
        if self._window is not None:
            self._window.close()


def _photos(
    source: Source,
    target: Path | None,
    viewer: _Viewer,
    on_photo: Callable[[Path, Detections, Labels], None] | None,
) -> tuple[int, Path | None]:
    """Go through photos; returns how many could not be read, and where the drawn ones are."""
    place = target
    unreadable = 0
    for photo in source.photos:
        try:
            image = read_image(photo)
        except ImageError as error:
            if source.kind == "photo":
                raise
            _log.warning("%s", error)
            unreadable += 1
            continue
        found, drawn = viewer.look(image)
        if target is not None:
            written = write_photo(mirrored(photo, source, target), drawn)
            place = written if source.kind == "photo" else target
        if on_photo is not None:
            on_photo(photo, *found)
        if not viewer.more:
            break
    if unreadable == len(source.photos):
        raise DataError(f"{source.name}: none of the {unreadable} photos could be read")
    return unreadable, place


def _frames(source: Source, target: Path | None, viewer: _Viewer) -> None:
    with ExitStack() as stack:
        frames = stack.enter_context(open_frames(source))
        video = None
        if target is not None:
            video = stack.enter_context(video_file(target, fps=frames.fps, live=frames.live))
        said = time.monotonic()
        for frame in frames.images:
            _, drawn = viewer.look(frame)
            if video is not None:
                video.write(drawn)
            if not viewer.more:
                break
            if time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                _log.info("%s: %d frames so far", source.name, viewer.pictures)
