"""Segment the faces of photos and videos, and write what was asked for."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.images import VIDEO_SUFFIXES
from ..data.read_ahead import decoded
from ..errors import DataError, ImageError, UserError
from ..mask import Mask
from ..model_templates.schema import BACKGROUND
from ..results import Detections
from ..tasks.detection.model import FaceDetector
from ..tasks.load import load_as
from ..tasks.segmentation.model import FaceSegmenter
from .faces import FACE_SCORE, FaceReader, check_landmarks
from .mask_files import FOLDERS, Kind, check_places, picture_of, places_of, write_masks
from .mask_tracks import MaskTracks
from .photo_files import find_photos
from .sources import Source, find_source, open_frames
from .video_file import video_file

_log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
_Kind = TypeVar("_Kind", FaceDetector, FaceSegmenter)
_Find = Callable[[Pixels], tuple[Detections | None, Sequence[Mask]]]


@dataclass(frozen=True, eq=False)
class Segmented:
    """What was found in one photo or frame.

    Attributes:
        path: The photo or video.
        frame: Number of the frame, from 0; None for a photo.
        time: Seconds since the start of the video; None for a photo.
        faces: The faces; None where the picture was taken for a head.
        masks: The mask of each.
        written: The photo's files; a video's is written at its end.
    """

    path: Path
    frame: int | None
    time: float | None
    faces: Detections | None
    masks: Sequence[Mask]
    written: Sequence[Path] = ()


@dataclass
class SegmentSummary:
    """Counts of a run.

    Attributes:
        photos: Photos that were read.
        frames: Frames of videos.
        faces: Faces found in all of them.
        without: Photos without a face.
        unreadable: Photos and videos that could not be read.
        seconds: Time of the whole run without loading the models.
        output: The folder with the files; None if there are none.
    """

    photos: int = 0
    frames: int = 0
    faces: int = 0
    without: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    output: Path | None = None


@dataclass(frozen=True, kw_only=True)
class SegmentRequest:
    """One run over photos and videos.

    Attributes:
        sources: Photos, folders of photos, and videos.
        segmenter: A segmenter's model file.
        detector: Model file of a detector with landmarks; None if each picture is one head already
            cut.
        kind: What is made of each picture.
        output: Folder of the files; None for that of `FOLDERS`.
        score: Lowest detector score of a face, 0 to 1; None for `FACE_SCORE`.
        each: Whether each face has a mask's file of its own.
        force: Whether older files are replaced.
        device: Device for both models, as `tasks.load` takes it.
        threads: Threads for one inference of each, as `tasks.load` takes them.
        on_seen: Called after each photo and frame.
        on_progress: Called with the number of photos, or of a video's frames, done and the total.
    """

    sources: Sequence[Path]
    segmenter: Path
    detector: Path | None
    kind: Kind = "mask"
    output: Path | None = None
    score: float | None = None
    each: bool = False
    force: bool = False
    device: str = "cpu"
    threads: int | None = None
    on_seen: Callable[[Segmented], None] | None = None
    on_progress: Callable[[int, int], None] | None = None


def segment(request: SegmentRequest) -> SegmentSummary:
    """Segment the faces of every picture; write or tell them as asked.

    A faulty request is refused before the first picture. Photos and videos that cannot be read are
    left out, with a warning.

    Raises:
        UserError: A source, the output or a model cannot be used.
        DataError: Nothing can be read.
        KeyboardInterrupt: Ctrl-C; what is written is complete.
    """
    for one in map(str, request.sources):
        if not Path(one).exists() and (one.isdecimal() or re.match(r"[a-z]+:/", one)):
            raise UserError(
                f"{one}: a camera or a stream; expected photos, folders of photos and videos",
                hint="`visualize --video` shows what a camera or a stream sees",
            )
    paths = [path for path in dict.fromkeys(request.sources) if _is_video(path)]
    videos = [find_source(str(path)) for path in paths]
    others = [path for path in request.sources if path not in paths]
    photos = dict(find_photos(others)) if others else {}
    places = _checked_places(request, photos, paths)
    # After the checks: a runtime takes seconds to load.
    segmenter = _opened(FaceSegmenter, request.segmenter, request)
    _check_classes(request, segmenter, paths)
    detector = None
    if request.detector is not None:
        detector = _opened(FaceDetector, request.detector, request)
        check_landmarks(detector)
    score = FACE_SCORE if request.score is None else request.score
    summary = SegmentSummary()
    started = time.monotonic()
    _photos(request, list(photos), places, _of_photos(segmenter, detector, score), summary)
    for video in videos:
        _video(request, video, places, _of_frames(segmenter, detector, score), summary)
    if summary.photos + summary.frames == 0:
        raise DataError(f"none of the {summary.unreadable} photos and videos could be read")
    summary.seconds = time.monotonic() - started
    return summary


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()


def _opened(kind: type[_Kind], path: Path, request: SegmentRequest) -> _Kind:
    return load_as(kind, path, device=request.device, threads=request.threads)


def _check_classes(
    request: SegmentRequest, segmenter: FaceSegmenter, videos: Sequence[Path]
) -> None:
    """Refuse to write numbers of classes into a video, whose coding would change them."""
    named = [name for name in segmenter.rules.classes if name != BACKGROUND]
    if request.kind == "mask" and videos and len(named) > 1:
        raise UserError(
            f"--as mask: not for a video, as {videos[0]}, by a model of {len(named)} classes: "
            "coding changes their numbers",
            hint="--as json has them for each frame, --as overlay draws them",
        )


def _checked_places(
    request: SegmentRequest, photos: Mapping[Path, Path], videos: Sequence[Path]
) -> dict[Path, Path]:
    """The path of what is written of each photo and video; see `places_of` and `check_places`."""
    kind, each = request.kind, request.each
    if each and kind != "mask":
        raise UserError(f"--each: only with --as mask, not {kind}")
    if videos and (each or kind == "cutout"):
        flag = "--each" if each else "--as cutout"
        raise UserError(f"{flag}: not for a video, as {videos[0]}")
    if kind == "json":
        if request.output is not None:
            raise UserError(f"--output {request.output}: --as json is printed, not written")
        return {}
    folder = _folder(request)
    of_photos = places_of(photos, kind, folder, video=False)
    of_videos = places_of({path: Path(path.name) for path in videos}, kind, folder, video=True)
    for places, faces in ((of_photos, each or kind == "cutout"), (of_videos, False)):
        check_places(places, folder, given=request.sources, each=faces, force=request.force)
    return of_photos | of_videos


def _folder(request: SegmentRequest) -> Path:
    return request.output or FOLDERS[request.kind]


def _of_photos(segmenter: FaceSegmenter, detector: FaceDetector | None, score: float) -> _Find:
    """A function that finds the faces of a photo and their masks."""
    if detector is None:
        return lambda image: (None, segmenter.predict(image))
    reader = FaceReader(segmenter, detector, face_score=score)
    return lambda image: reader.read([image])[0]


def _of_frames(segmenter: FaceSegmenter, detector: FaceDetector | None, score: float) -> _Find:
    """The same for the frames of one video, in their order."""
    if detector is None:
        return _of_photos(segmenter, None, score)
    return MaskTracks(segmenter, detector, score=score).read


def _photos(
    request: SegmentRequest,
    photos: Sequence[Path],
    places: Mapping[Path, Path],
    find: _Find,
    summary: SegmentSummary,
) -> None:
    for done, (path, image) in enumerate(zip(photos, decoded(photos), strict=True), 1):
        if isinstance(image, ImageError):
            _log.warning("left out: %s", image)
            summary.unreadable += 1
        else:
            faces, masks = find(image)
            written: list[Path] = []
            if path in places:
                written = write_masks(
                    places[path], image, masks, kind=request.kind, each=request.each
                )
            summary.photos += 1
            summary.faces += len(masks)
            if written:
                summary.output = _folder(request)
            summary.without += not masks
            if request.on_seen is not None:
                request.on_seen(Segmented(path, None, None, faces, masks, written))
        if request.on_progress is not None:
            request.on_progress(done, len(photos))


def _video(
    request: SegmentRequest,
    source: Source,
    places: Mapping[Path, Path],
    find: _Find,
    summary: SegmentSummary,
) -> None:
    assert source.path is not None
    with ExitStack() as stack:
        try:
            video = stack.enter_context(open_frames(source))
        except DataError as error:
            _log.warning("left out: %s", error)
            summary.unreadable += 1
            return
        file = None
        if source.path in places:
            file = stack.enter_context(
                video_file(
                    places[source.path],
                    rate=video.rate,
                    time_base=video.time_base,
                    sound=source.path,
                )
            )
        for number, frame in enumerate(video.frames):
            faces, masks = find(frame.pixels)
            if file is not None:
                drawn = picture_of(frame.pixels, masks, kind=request.kind)
                if drawn.ndim == 2:  # frames are in colour
                    drawn = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_GRAY2BGR), np.uint8)
                file.write(drawn, frame.time, frame.lasts)
            summary.frames += 1
            summary.faces += len(masks)
            if request.on_seen is not None:
                request.on_seen(Segmented(source.path, number, frame.time, faces, masks))
            total = video.total(number + 1, frame.time)
            if request.on_progress is not None and total is not None:
                request.on_progress(number + 1, total)
        if file is not None:
            file.finish()
            summary.output = _folder(request)
