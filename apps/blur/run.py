"""Blur photos, videos and folders."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...data.images import read_content
from ...errors import DataError, UserError
from ...files import atomic_write
from ...results import Detections
from ...tasks.load import load_as
from ...tasks.segmentation.model import FaceSegmenter
from ..faces import check_landmarks
from .cover import Cover
from .find import MAX_SIDE, SCORE, FaceFinder
from .photo import PhotoBlurrer
from .photo_metadata import Group
from .places import blurred_places, find_media, is_video
from .video import BlurredVideo, VideoRequest, blur_video, check_video_flags

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Blurred:
    """What became of one photo.

    Attributes:
        path: The photo.
        output: What was written.
        found: The faces of each of its frames.
        hidden: How many of them are hidden.
    """

    path: Path
    output: Path
    found: tuple[Detections, ...]
    hidden: int


@dataclass
class BlurSummary:
    """Counts of a run.

    Attributes:
        photos: Photos that were written.
        videos: Videos that were written.
        faces: Faces found in them.
        hidden: Faces that are hidden in them.
        without: Photos without a face.
        failed: Photos and videos that could not be blurred: nothing is written of them.
        seconds: Time of the whole run without loading the models.
    """

    photos: int = 0
    videos: int = 0
    faces: int = 0
    hidden: int = 0
    without: int = 0
    failed: list[Path] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BlurRequest:
    """One run over photos and videos.

    Attributes:
        sources: Photos, videos, and folders of them.
        detector: Model file of a detector.
        segmenter: A segmenter's model file, for the shape `mask`; else None.
        output: Folder of the files; None for beside each source, with `blurred_` before its name.
        cover: How faces are hidden.
        score: Lowest detector score of a face, 0 to 1.
        max_side: Longest side of the detector's input, see `FaceFinder`.
        keep: The groups of metadata that are kept.
        force: Whether older files are replaced.
        codec: Of videos that are written, one of `video_codecs.CODECS`.
        keep_audio: Whether videos keep their sound.
        tracks: A file of tracks of the only source, a video, instead of looking for faces.
        device: Device for all models, as `tasks.load` takes it.
        threads: Threads for one inference of each, as `tasks.load` takes them.
        on_blurred: Called after each photo.
        on_video: Called after each video.
        on_progress: Called with the number of photos and videos done and the total.
        on_frame: Called after each frame of a video, see `VideoRequest`.
    """

    sources: Sequence[Path]
    detector: Path
    segmenter: Path | None = None
    output: Path | None = None
    cover: Cover = field(default_factory=Cover)
    score: float = SCORE
    max_side: int = MAX_SIDE
    keep: frozenset[Group] = frozenset()
    force: bool = False
    codec: str = "h264"
    keep_audio: bool = True
    tracks: Path | None = None
    device: str = "cpu"
    threads: int | None = None
    on_blurred: Callable[[Blurred], None] | None = None
    on_video: Callable[[Path, Path, BlurredVideo], None] | None = None
    on_progress: Callable[[int, int], None] | None = None
    on_frame: Callable[[int, int], None] | None = None


def blur(request: BlurRequest) -> BlurSummary:
    """Hide the faces of every photo and video; a file under its final name is whole.

    A faulty request is refused before the first picture. What cannot be blurred is not written,
    named in a warning, and counted.

    Raises:
        UserError: A source, the output or a model cannot be used.
        DataError: Nothing could be blurred.
        OSError: A file cannot be written: the disk is full, for example.
        KeyboardInterrupt: Ctrl-C; what is written is whole.
    """
    media = find_media(request.sources)
    places = blurred_places(media, request.output, given=request.sources, force=request.force)
    videos = [path for path in media if is_video(path)]
    if videos:
        check_video_flags(request.codec, request.cover)
    if request.tracks is not None and (len(media) > 1 or not videos):
        raise UserError(f"--tracks {request.tracks}: goes with one video, and nothing else")
    blurrer = _opened(request)
    summary = BlurSummary()
    started = time.monotonic()
    for done, path in enumerate(media, 1):
        try:
            if is_video(path):
                _video(request, blurrer.finder, path, places[path], summary)
            else:
                _photo(request, blurrer, path, places, summary)
        except DataError as error:
            if len(media) == 1:
                raise
            _log.warning("not blurred: %s", error)
            summary.failed.append(path)
        if request.on_progress is not None:
            request.on_progress(done, len(media))
    if len(summary.failed) == len(media):
        raise DataError(f"none of the {len(media)} photos and videos could be blurred")
    summary.seconds = time.monotonic() - started
    return summary


def _opened(request: BlurRequest) -> PhotoBlurrer:
    """The models; a runtime takes seconds to load them."""
    finder = FaceFinder(
        request.detector,
        score=request.score,
        max_side=request.max_side,
        device=request.device,
        threads=request.threads,
    )
    segmenter = None
    if request.segmenter is not None:
        check_landmarks(finder.own)
        segmenter = load_as(
            FaceSegmenter, request.segmenter, device=request.device, threads=request.threads
        )
    return PhotoBlurrer(finder, request.cover, segmenter=segmenter, keep=request.keep)


def _photo(
    request: BlurRequest,
    blurrer: PhotoBlurrer,
    path: Path,
    places: Mapping[Path, Path],
    summary: BlurSummary,
) -> None:
    made = blurrer.blur(read_content(path), source=str(path))
    with atomic_write(places[path]) as file:
        file.write(made.content)
    faces = sum(map(len, made.found))
    summary.photos += 1
    summary.faces += faces
    summary.hidden += made.hidden
    summary.without += not faces
    if request.on_blurred is not None:
        request.on_blurred(Blurred(path, places[path], made.found, made.hidden))


def _video(
    request: BlurRequest, finder: FaceFinder, path: Path, place: Path, summary: BlurSummary
) -> None:
    done = blur_video(
        VideoRequest(
            source=path,
            output=place,
            finder=finder,
            cover=request.cover,
            score=request.score,
            codec=request.codec,
            keep_audio=request.keep_audio,
            tracks=request.tracks,
            on_frame=request.on_frame,
        )
    )
    summary.videos += 1
    if request.on_video is not None:
        request.on_video(path, place, done)
