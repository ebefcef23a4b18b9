"""Find faces in any source, and draw them on the screen, into files, or only count them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.images import read_image
from ..errors import DataError, ImageError, UserError
from ..model_templates.catalogue import DETECTOR
from ..results import Detections
from ..tasks import task_of
from ..tasks.detection.model import FaceDetector
from ..tasks.load import load_as
from ..tasks.model import Model
from ..tasks.parts import Draw, Told
from .faces import FACE_SCORE, FaceReader, looks_at_faces
from .outputs import mirrored, output_path, write_photo
from .recognize_people import People, PeopleRequest
from .sources import Source, find_source, open_frames
from .video_file import video_file
from .window import Window, check_display

_log = logging.getLogger(__name__)

_Found = tuple[Any, ...]
"""A picture's `Detections`, followed by the answers of a model of aligned faces, if any."""

_SAY_EVERY = 10.0
"""Seconds between two log lines of progress while a video runs."""


@dataclass(frozen=True)
class Seen:
    """What was found in one picture.

    Attributes:
        source: Name of what the user named, without what may be secret in a stream's address.
        photo: The photo; None for a frame.
        frame: Number of the frame, from 0, among those that were looked at; None for a photo.
        time: Seconds since the start of the video, or since the first frame of a camera or stream;
            None for a photo.
        faces: The faces.
        answers: What the model says of each face; empty for a detector.
        told: The same as text.
    """

    source: str
    photo: Path | None
    frame: int | None
    time: float | None
    faces: Detections
    answers: Sequence[Any]
    told: Sequence[Told]


@dataclass(frozen=True)
class Summary:
    """Counts of a run.

    Attributes:
        source: The source that was read.
        pictures: Number of photos or frames that were searched.
        faces: Number of faces found in all pictures.
        unreadable: Number of photos in a folder that could not be decoded.
        seconds: Time from the first picture to the last.
        output: The file or folder written, or None.
    """

    source: Source
    pictures: int
    faces: int
    unreadable: int
    seconds: float
    output: Path | None


@dataclass(frozen=True, kw_only=True)
class VisualizeRequest:
    """One run over a source.

    Attributes:
        source: A camera number, a video, a photo, a folder of photos, or a stream's URL.
        open_model: Opens the model that is run on every picture.
        detector: Model file of a detector with landmarks, for a model of aligned faces; None for
            `DETECTOR`.
        people: Known people to be named, by a recogniser; None for what the model says itself.
        output: For a photo a file or an existing folder; for a folder the folder that mirrors it;
            for a video, camera or stream an .mp4 file.
        force: Whether older files there are replaced.
        show: Whether to open a window; q or Esc ends the run.
        score_threshold: Score threshold, 0 to 1; None for the detector's own.
        nms_iou: IoU threshold of NMS; None for the detector's own.
        device: The detector's device, as `tasks.load` takes it.
        threads: Threads of the detector's runtime.
        delay: Milliseconds each picture stays in the window; 0 waits for a key. None waits after
            photos and shows frames for 1 ms.
        on_seen: Called after each photo and frame.
        on_frame: Called after each frame of a video whose length is known, with the number of
            frames done and of all. None logs a line every ten seconds.
    """

    source: str
    open_model: Callable[[], Model[Any]]
    detector: Path | None = None
    people: PeopleRequest | None = None
    output: Path | None = None
    force: bool = False
    show: bool = True
    score_threshold: float | None = None
    nms_iou: float | None = None
    device: str = "cpu"
    threads: int | None = None
    delay: int | None = None
    on_seen: Callable[[Seen], None] | None = None
    on_frame: Callable[[int, int], None] | None = None


def visualize(request: VisualizeRequest) -> Summary:
    """Find the faces in every picture of a source; draw, show and write them as asked.

    A faulty request is refused before the first picture.

    Raises:
        UserError: The source, the output, the model or the display cannot be used.
        PocketfaceError: The output failed; or the camera or stream did, or sent nothing more: the
            video so far is complete and in its place.
        KeyboardInterrupt: Ctrl-C; the video so far is complete and in its place.
    """
    found = find_source(request.source)
    target = (
        None if request.output is None else output_path(found, request.output, force=request.force)
    )
    if request.show:
        check_display()
    delay = request.delay
    gallery = None if request.people is None else request.people.open()
    # After the checks: a runtime takes seconds to load.
    model = request.open_model()
    people = None
    if request.people is not None and gallery is not None:
        people = People(request.people, gallery, model, frames=not found.photos)
    viewer = _Viewer(
        find=_finder(model, request, people, still=bool(found.photos)),
        task=people or task_of(model.contract.task).draw,
        window=Window() if request.show else None,
        delay=delay if delay is not None else (0 if found.photos else 1),
        draws=request.show or target is not None,
        on_seen=request.on_seen,
        name=found.name,
    )
    started = time.monotonic()
    unreadable = 0
    try:
        if found.photos:
            unreadable, target = _photos(found, target, viewer)
        else:
            _frames(found, target, viewer, _Progress(found.name, request.on_frame))
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
    model: Model[Any], request: VisualizeRequest, people: People | None, *, still: bool
) -> Callable[[NDArray[np.uint8]], _Found]:
    """A function that finds the faces of a picture, and answers for each if the model does."""
    score, iou = request.score_threshold, request.nms_iou
    if looks_at_faces(model):
        face_score = FACE_SCORE if score is None else score
        file = request.detector or DETECTOR
        detector = load_as(FaceDetector, file, device=request.device, threads=request.threads)
        reader = FaceReader(model, detector, face_score=face_score, turned=still)

        def find(image: NDArray[np.uint8]) -> _Found:
            faces, answers = reader.read([image], nms_iou=iou)[0]
            return faces, answers if people is None else people.name(image, faces, answers)

        return find
    if request.detector is not None:
        raise UserError(f"--detector {request.detector}: {model.path} finds the faces itself")
    return lambda image: (model.predict(image, score_threshold=score, nms_iou=iou),)


class _Viewer:
    """Finds, counts, draws and shows the faces of one picture at a time."""

    def __init__(
        self,
        *,
        find: Callable[[NDArray[np.uint8]], _Found],
        task: Draw,
        window: Window | None,
        delay: int,
        draws: bool,
        on_seen: Callable[[Seen], None] | None,
        name: str,
    ) -> None:
        self.pictures = 0
        self.faces = 0
        self.more = True
        self._find = find
        self._task = task
        self._window = window
        self._delay = delay
        self._draws = draws
        self._on_seen = on_seen
        self._name = name

    def look(
        self, image: NDArray[np.uint8], *, photo: Path | None = None, time: float | None = None
    ) -> NDArray[np.uint8]:
        """Find and tell the faces of a photo, or of a frame at a time; returns the drawn picture.

        Sets `more` to False when the user ends the run.
        """
        faces, *some = found = self._find(image)
        answers = [answer for of_all in some for answer in of_all]
        drawn = self._task.draw(image, *found) if self._draws else image
        if self._window is not None:
            self.more = self._window.show(drawn, delay=self._delay)
        if self._on_seen is not None:
            frame = self.pictures if photo is None else None
            told = [self._task.told(answer) for answer in answers]
            self._on_seen(Seen(self._name, photo, frame, time, faces, answers, told))
        self.pictures += 1
        self.faces += len(faces)
        return drawn

    def close(self) -> None:
        if self._window is not None:
            self._window.close()


def _photos(
    source: Source,
    target: Path | None,
    viewer: _Viewer,
) -> tuple[int, Path | None]:
    """Process photos; returns the number of unreadable ones, and where the drawn ones are."""
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
        drawn = viewer.look(image, photo=photo)
        if target is not None:
            written = write_photo(mirrored(photo, source, target), drawn)
            place = written if source.kind == "photo" else target
        if not viewer.more:
            break
    if unreadable == len(source.photos):
        raise DataError(f"{source.name}: none of the {unreadable} photos could be read")
    return unreadable, place


def _frames(source: Source, target: Path | None, viewer: _Viewer, progress: _Progress) -> None:
    with ExitStack() as stack:
        video = stack.enter_context(open_frames(source))
        written = None
        if target is not None:
            written = stack.enter_context(
                video_file(target, rate=video.rate, time_base=video.time_base, sound=source.path)
            )
        for frame in video.frames:
            drawn = viewer.look(frame.pixels, time=frame.time)
            if written is not None:
                written.write(drawn, frame.time, frame.lasts)
            if not viewer.more:
                return
            progress.tell(viewer.pictures, video.total(viewer.pictures, frame.time))
        if written is not None:
            written.finish()


class _Progress:
    """Tells how far a video is."""

    def __init__(self, name: str, on_frame: Callable[[int, int], None] | None) -> None:
        self._name = name
        self._on_frame = on_frame
        self._started = self._said = time.monotonic()

    def tell(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if self._on_frame is not None and total is not None:
            self._on_frame(done, total)
        elif now - self._said > _SAY_EVERY:
            self._said = now
            if total is None:
                _log.info("%s: %d frames so far", self._name, done)
            else:
                left = (now - self._started) / done * (total - done)
                _log.info(
                    "%s: %d of %d frames, about %.0f s left", self._name, done, total, max(0, left)
                )
