"""What a run over photos and videos is asked for, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ... import __version__
from ...results import Detections
from .cover import Cover
from .find import MAX_SIDE, SCORE
from .manifest import digest_of
from .photo_metadata import Group
from .video import BlurredVideo
from .who import WhoRequest


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
        skipped: Photos and videos that an earlier run wrote.
        leaks: Faces that were found again in what was written, see `leaks`; None without a report.
        failed: Photos and videos that could not be blurred: nothing is written of them.
        seconds: Time of the whole run without loading the models.
    """

    photos: int = 0
    videos: int = 0
    faces: int = 0
    hidden: int = 0
    without: int = 0
    skipped: int = 0
    leaks: int | None = None
    failed: list[Path] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class BlurRequest:
    """One run over photos and videos.

    Attributes:
        sources: Photos, videos, and folders of them.
        detector: Model file of a detector.
        second_opinion: Model file of a detector that is asked about doubtful faces; None for none.
        segmenter: A segmenter's model file, for the shape `mask`; else None.
        output: Folder of the files; None for beside each source, with `blurred_` before its name.
        cover: How faces are hidden.
        score: Lowest detector score of a face, 0 to 1.
        max_side: Longest side of the detector's input, see `FaceFinder`.
        who: Whose faces stay visible; None for nobody's.
        keep: The groups of metadata that are kept.
        lossless_jpeg: See `PhotoBlurrer`.
        force: Whether older files are replaced.
        resume: Whether what an earlier run with `resume` wrote into `output` is left as it is.
        codec: Of videos that are written, one of `video_codecs.CODECS`.
        keep_audio: Whether videos keep their sound.
        tracks: A file of tracks of the only source, a video, instead of looking for faces.
        report: JSON file of the faces that another detector finds again; None for no such search.
        report_detector: Model file of that detector; needed for `report`.
        device: Device for all models, as `tasks.load` takes it.
        threads: Threads in all; None for one per core. Several photos, or frames of a video, share
            them.
        on_blurred: Called after each photo.
        on_video: Called after each video.
        on_progress: Called with the number of photos and videos done and the total.
        on_frame: Called after each frame of a video, see `VideoRequest`.
        on_search: Called after each frame that `report` searches, see `LeakReport`.
    """

    sources: Sequence[Path]
    detector: Path
    second_opinion: Path | None = None
    segmenter: Path | None = None
    output: Path | None = None
    cover: Cover = field(default_factory=Cover)
    score: float = SCORE
    max_side: int = MAX_SIDE
    who: WhoRequest | None = None
    keep: frozenset[Group] = frozenset()
    lossless_jpeg: bool = False
    force: bool = False
    resume: bool = False
    codec: str = "h264"
    keep_audio: bool = True
    tracks: Path | None = None
    report: Path | None = None
    report_detector: Path | None = None
    device: str = "cpu"
    threads: int | None = None
    on_blurred: Callable[[Blurred], None] | None = None
    on_video: Callable[[Path, Path, BlurredVideo], None] | None = None
    on_progress: Callable[[int, int], None] | None = None
    on_frame: Callable[[int, int], None] | None = None
    on_search: Callable[[int, int], None] | None = None


def settings_digest(request: BlurRequest) -> str:
    """One digest of the models and of all else that decides what is written of a source."""
    cover, who = request.cover, request.who
    picture = None if cover.picture is None else hashlib.sha256(cover.picture.tobytes()).hexdigest()
    settings = {
        "version": __version__,
        "cover": [cover.style, cover.shape, cover.grow, cover.colour, picture],
        "score": request.score,
        "max_side": request.max_side,
        "who": None if who is None else [who.rule, who.rate],
        "keep": sorted(request.keep),
        "lossless_jpeg": request.lossless_jpeg,
        "video": [request.codec, request.keep_audio],
    }
    models: dict[str, Path | bytes] = {**model_files(request)}
    if who is not None and isinstance(who.gallery, bytes):
        models["gallery"] = who.gallery
    if request.tracks is not None:
        models["tracks"] = request.tracks
    return digest_of(settings, models)


def model_files(request: BlurRequest) -> dict[str, Path]:
    """The files of the models, and of a gallery that is no bytes, by what they are."""
    who = request.who
    files = {
        "detector": request.detector,
        "second_opinion": request.second_opinion,
        "segmenter": request.segmenter,
        "gallery": None if who is None else who.gallery,
        "recognizer": None if who is None else who.recognizer,
    }
    return {key: path for key, path in files.items() if isinstance(path, Path)}
