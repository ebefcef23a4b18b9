"""Blur photos, videos and folders."""

from __future__ import annotations

import errno
import hashlib
import logging
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from ...cores import cores
from ...data.images import read_content
from ...data.read_ahead import work_ahead
from ...errors import DataError, MissingPackageError, PocketfaceError, UserError
from ...files import atomic_write, reading, sha256_file
from ...interrupts import signals_kept
from ...places import check_place
from ...tasks.load import load_as
from ...tasks.segmentation.model import FaceSegmenter
from ..faces import check_landmarks
from .find import FaceFinder
from .leaks import LeakReport, open_searcher
from .manifest import MANIFEST, Done, Manifest, is_begun, only_run, open_manifest
from .photo import BlurredPhoto, PhotoBlurrer
from .places import blurred_places, check_more, find_media, is_video, report_files
from .request import Blurred, BlurRequest, BlurSummary, model_files, settings_digest
from .video import VideoRequest, blur_video, check_codec, sidecar_of
from .who import Who

_log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Most photos, or frames of a video, that are looked at at once: each takes memory."""

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""After these errors of the system no other file can be written either."""


def blur(request: BlurRequest) -> BlurSummary:
    """Hide the faces of every photo and video; a file under its final name is whole.

    A faulty request is refused before the first picture. What cannot be blurred is not written,
    named in a warning, and counted.

    Raises:
        UserError: A source, the output or a model cannot be used, or another run writes there.
        DataError: Nothing could be blurred; or see `Who` and `open_manifest`.
        OSError: A file cannot be written: the disk is full, for example.
        KeyboardInterrupt: Ctrl-C; what is written is whole.
    """
    media = find_media(request.sources)
    force = request.force or _goes_on(request)
    places = blurred_places(media, request.output, given=request.sources, force=force)
    videos = [path for path in media if is_video(path)]
    others = (*model_files(request).values(), request.tracks, request.report_detector)
    inputs = [path for path in others if path is not None]
    if request.tracks is None:
        sidecars = [sidecar_of(places[path]) for path in videos]
        # It is there without its video where an earlier run broke off.
        hint = "; --tracks renders its video without looking for faces"
        check_more("--output", sidecars, places, inputs=inputs, force=force, hint=hint)
    if request.report is not None:
        report = report_files(request.report)
        check_more("--report", report, places, inputs=inputs, force=request.force)
    if videos:
        check_codec(request.codec)
        if request.keep:
            _log.warning("--keep-metadata: of photos alone; of videos nothing is kept")
    if request.tracks is not None and (len(media) > 1 or not videos):
        raise UserError(f"--tracks {request.tracks}: goes with one video, and nothing else")
    # Several at once, each on one core, take less time than one after the other on all cores.
    at_once = min(_cores(request), _AT_ONCE) if len(media) > 1 or videos else 1
    blurrer = open_blurrer(request, at_once=at_once)
    run = _Run(request, blurrer, places)
    if request.report is not None and request.report_detector is not None:
        check_place(request.report, "--report")
        searcher = open_searcher(
            request.report_detector, device=request.device, threads=request.threads
        )
        run.report = LeakReport(searcher, request.cover.grow, request.on_search)
    started = time.monotonic()
    with ExitStack() as stack:
        check = stack.enter_context(signals_kept())
        if request.output is not None:
            stack.enter_context(only_run(request.output))
            if request.resume:
                run.manifest = stack.enter_context(open_manifest(request.output))
                run.settings = settings_digest(request)
        ahead = stack.enter_context(
            closing(work_ahead(run.look, media, threads=at_once, ahead=at_once))
        )
        for done, (path, looked) in enumerate(zip(media, ahead, strict=True), 1):
            check()
            try:
                run.one(path, looked)
            except Exception as error:
                if len(media) == 1 or _fails_all(error):
                    raise
                is_told = isinstance(error, PocketfaceError)
                said = error if is_told else f"{path}: {type(error).__name__}: {error}"
                _log.warning("not blurred: %s", said)
                run.summary.failed.append(path)
            if request.on_progress is not None:
                request.on_progress(done, len(media))
    if len(run.summary.failed) == len(media):
        raise DataError(f"none of the {len(media)} photos and videos could be blurred")
    if run.report is not None and request.report is not None:
        if skipped := run.summary.skipped:
            files = "1 file that was" if skipped == 1 else f"{skipped:,} files that were"
            _log.warning("--report: %s done before: not searched", files)
        run.report.write(request.report)
        run.summary.leaks = len(run.report.leaks)
    run.summary.seconds = time.monotonic() - started
    return run.summary


def _fails_all(error: Exception) -> bool:
    """Whether what failed for one file would fail for the next ones too."""
    if isinstance(error, OSError):
        return error.errno in _DISK
    return isinstance(error, MissingPackageError | MemoryError)


def _goes_on(request: BlurRequest) -> bool:
    """Whether an earlier run is resumed: what it wrote but did not note may be replaced.

    Raises:
        UserError: There is no folder to resume in.
    """
    if not request.resume:
        return False
    if request.output is None:
        raise UserError("--resume: needs --output DIR, whose manifest says what is done")
    return is_begun(request.output / MANIFEST)


def open_blurrer(request: BlurRequest, *, at_once: int = 1) -> PhotoBlurrer:
    """Load the models of a run, which takes seconds.

    Args:
        request: The run.
        at_once: Photos or frames that are looked at at once, which share the threads; no more than
            there are of these.
    """
    device = request.device
    threads = request.threads if at_once == 1 else _cores(request) // at_once
    finder = FaceFinder(
        request.detector,
        score=request.score,
        max_side=request.max_side,
        second_opinion=request.second_opinion,
        device=device,
        threads=threads,
        at_once=at_once,
    )
    if request.segmenter is not None or request.who is not None:
        check_landmarks(finder.own)
    segmenter = who = None
    if request.segmenter is not None:
        segmenter = load_as(FaceSegmenter, request.segmenter, device=device, threads=threads)
    if request.who is not None:
        who = Who(request.who, device=device, threads=threads)
    return PhotoBlurrer(
        finder,
        request.cover,
        segmenter=segmenter,
        who=who,
        keep=request.keep,
        lossless_jpeg=request.lossless_jpeg,
    )


def _cores(request: BlurRequest) -> int:
    return request.threads or cores()


@dataclass(frozen=True, eq=False)
class _Looked:
    """A photo that is to be written.

    Attributes:
        digest: SHA-256 of its file.
        made: What is written of it; None if it is there already.
    """

    digest: str
    made: BlurredPhoto | None


class _Run:
    """A run over photos and videos, that are written one at a time."""

    def __init__(
        self, request: BlurRequest, blurrer: PhotoBlurrer, places: dict[Path, Path]
    ) -> None:
        self.request = request
        self.blurrer = blurrer
        self.places = places
        self.summary = BlurSummary()
        self.report: LeakReport | None = None
        self.manifest: Manifest | None = None
        self.settings = ""

    def look(self, path: Path) -> _Looked | Exception | None:
        """Hide the faces of a photo, unless it is done: None for a video, or why it failed.

        It is called in several threads.
        """
        if is_video(path):
            return None
        try:
            content = read_content(path)
            digest = hashlib.sha256(content).hexdigest()
            done = self._is_done(path, digest)
            return _Looked(digest, None if done else self.blurrer.blur(content, source=str(path)))
        except Exception as error:
            return error

    def one(self, path: Path, looked: _Looked | Exception | None) -> None:
        """Write a photo of which this came of `look`, or blur a video, unless it is done."""
        if isinstance(looked, Exception):
            raise looked
        if looked is not None:
            if looked.made is None:
                self.summary.skipped += 1
            else:
                self._photo(path, looked.made, looked.digest)
            return
        digest = ""
        if self.manifest is not None:
            with reading(path, DataError):
                digest = sha256_file(path)
        if self._is_done(path, digest):
            self.summary.skipped += 1
        else:
            self._video(path, digest)

    def _is_done(self, path: Path, digest: str) -> bool:
        if self.manifest is None:
            return False
        found = self.manifest.find(self._below(path), source_sha256=digest, settings=self.settings)
        return found is not None

    def _below(self, path: Path) -> str:
        assert self.request.output is not None
        return self.places[path].relative_to(self.request.output).as_posix()

    def _note(self, path: Path, digest: str, *, faces: int, hidden: int, frames: int) -> None:
        if self.manifest is not None:
            self.manifest.add(
                Done(
                    source=str(path),
                    source_sha256=digest,
                    settings=self.settings,
                    output=self._below(path),
                    output_sha256=sha256_file(self.places[path]),
                    faces=faces,
                    hidden=hidden,
                    frames=frames,
                )
            )

    def _photo(self, path: Path, made: BlurredPhoto, digest: str) -> None:
        with atomic_write(self.places[path]) as file:
            file.write(made.content)
        if self.report is not None:
            self.report.photo(self.places[path], made.covered)
        faces = sum(map(len, made.found))
        self._note(path, digest, faces=faces, hidden=made.hidden, frames=len(made.found))
        self.summary.photos += 1
        self.summary.faces += faces
        self.summary.hidden += made.hidden
        self.summary.without += not faces
        if self.request.on_blurred is not None:
            self.request.on_blurred(Blurred(path, self.places[path], made.found, made.hidden))

    def _video(self, path: Path, digest: str) -> None:
        request, finder, who = self.request, self.blurrer.finder, self.blurrer.who
        assert isinstance(finder, FaceFinder)
        assert who is None or isinstance(who, Who)
        done = blur_video(
            VideoRequest(
                source=path,
                output=self.places[path],
                finder=finder,
                cover=request.cover,
                segmenter=self.blurrer.segmenter,
                who=who,
                codec=request.codec,
                keep_audio=request.keep_audio,
                tracks=request.tracks,
                on_frame=request.on_frame,
            )
        )
        if self.report is not None:
            self.report.video(self.places[path], done.tracks)
        hidden = sum(bool(one.hidden.any()) for one in done.tracks.paths)
        frames = len(done.tracks.times)
        self._note(path, digest, faces=len(done.tracks.paths), hidden=hidden, frames=frames)
        self.summary.videos += 1
        if request.on_video is not None:
            request.on_video(path, self.places[path], done)
