"""Blur cameras, streams and videos in one pass, some frames behind."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.videos import Frame, pyav_is_there
from ...errors import UserError
from ...places import check_place
from ...results import Detections
from ..sources import find_source, open_frames
from ..video_file import video_file
from ..window import Window, check_display
from .cover import Cover, hide
from .find import FaceFinder
from .scene_cuts import SceneCuts
from .tracks import FAINT, GAP, Linker, Track
from .tracks_cover import PAD, Covers, path_of
from .video import warn_of_others
from .video_who import TrackWho
from .who import Who

DELAY = 0.5
"""Seconds by which what is shown is behind, so that faces are hidden before they are found."""

_SLOWER = 1.2
"""Share of a measured rate that is not less than a source's, as times vary."""


@dataclass(frozen=True, kw_only=True)
class LiveRequest:
    """One source to be blurred as it comes.

    Attributes:
        source: A camera number, a video, or a stream's URL.
        finder: Finds the faces.
        output: The MP4 file to write; None for none.
        show: Whether to open a window; q or Esc ends the run.
        cover: How faces are hidden; its shape is no mask.
        who: Whose faces stay visible; None for nobody's.
        force: Whether an older file is replaced.
        keep_audio: Whether the sound of a video is kept.
        delay: Seconds by which what is written is behind.
        on_frame: Called after each frame that is written or shown, with their number.
    """

    source: str
    finder: FaceFinder
    output: Path | None = None
    show: bool = False
    cover: Cover = field(default_factory=Cover)
    who: Who | None = None
    force: bool = False
    keep_audio: bool = True
    delay: float = DELAY
    on_frame: Callable[[int], None] | None = None


def blur_live(request: LiveRequest) -> int:
    """Hide the faces of a source as it comes; returns the number of frames.

    Of a camera or stream the newest frame is looked at, and those that come meanwhile are left out;
    of a video none is. A face that was lost stays hidden for as long as it might come back. Who
    stays visible by `request.who` does so between two sure answers, of which the later one is at
    most `request.delay` seconds ahead, and is hidden otherwise.

    Raises:
        UserError: The source or the output cannot be used, or there is no window.
        PocketfaceError: The output failed; or the camera or stream did, or sent nothing more: the
            video so far is complete and in its place.
        KeyboardInterrupt: Ctrl-C; the video so far is complete and in its place.
    """
    source = find_source(request.source)
    if source.photos:
        raise UserError(f"--live {source.name}: expected a camera, a stream or a video")
    if request.cover.shape == "mask":
        raise UserError("--shape mask: does not go with --live: expected ellipse or box")
    if request.output is None and not request.show:
        raise UserError("--live: expected --output FILE.mp4, --show, or both")
    if request.output is not None:
        if request.output.suffix.lower() != ".mp4":
            raise UserError(f"--output {request.output}: expected a name that ends in .mp4")
        if source.path is not None and request.output.resolve() == source.path.resolve():
            raise UserError(f"--output {request.output}: is the source itself")
        if not request.force and os.path.lexists(request.output):
            raise UserError(
                f"--output {request.output}: is there already", hint="--force replaces it"
            )
        check_place(request.output, "--output")
    if request.show:
        check_display()
    if source.kind == "video" and source.path is not None and pyav_is_there():
        warn_of_others(source.path)
    count = 0
    with ExitStack() as stack:
        video = stack.enter_context(open_frames(source))
        written = None
        if request.output is not None:
            written = stack.enter_context(
                video_file(
                    request.output,
                    rate=video.rate,
                    time_base=video.time_base,
                    sound=source.path if request.keep_audio else None,
                )
            )
        window = Window() if request.show else None
        if window is not None:
            stack.callback(window.close)
        for frame in hidden_frames(video.frames, request, rate=video.rate):
            if written is not None:
                written.write(frame.pixels, frame.time, frame.lasts)
            count += 1
            if request.on_frame is not None:
                request.on_frame(count)
            if window is not None and not window.show(frame.pixels, delay=1):
                return count
        if written is not None:
            written.finish()
    return count


def hidden_frames(frames: Iterator[Frame], request: LiveRequest, *, rate: float) -> Iterator[Frame]:
    """Frames with their faces hidden, `request.delay` seconds behind.

    Args:
        frames: Those of the source.
        request: What is asked for.
        rate: Frames per second, about.
    """
    following = _Following(request, rate)
    waiting: deque[tuple[int, Frame]] = deque()
    for number, frame in enumerate(frames):
        following.look(number, frame)
        waiting.append((number, frame))
        while frame.time - waiting[0][1].time >= request.delay:
            yield following.hidden(*waiting.popleft())
    while waiting:
        yield following.hidden(*waiting.popleft())


class _Following:
    """The tracks of the last seconds."""

    def __init__(self, request: LiveRequest, rate: float) -> None:
        self._request = request
        self._rate = rate
        self._linker = Linker()
        score = request.finder.score
        self._asking = None if request.who is None else TrackWho(request.who, score)
        self._scenes = SceneCuts()
        self._faint = min(score, max(FAINT, request.finder.least_score))
        self._first = 0  # number of the frame that `_times` begins with
        self._times: deque[float] = deque()
        self._cuts: list[int] = []

    def look(self, number: int, frame: Frame) -> None:
        """Find and link the faces of the next frame."""
        if self._scenes.begins(frame.pixels):
            self._cuts.append(number)
            self._linker.cut()
        self._times.append(frame.time)
        finder = self._request.finder
        faces = finder.find_all(frame.pixels, score=self._faint)
        sure = finder.are_sure(faces, frame.pixels)
        linked = self._linker.add(number, frame.time, faces, sure)
        if self._asking is not None:
            self._asking.look(number, frame.time, frame.pixels, faces, linked)

    def hidden(self, number: int, frame: Frame) -> Frame:
        """A frame that was looked at, the oldest that is still to be written, without its faces."""
        self._forget(frame.time - 2 * GAP)
        times = np.array(self._times, np.float64)
        cuts = [cut - self._first for cut in self._cuts]
        paths = [
            path_of(_since(track, self._first), times, cuts, pad=PAD, pad_end=GAP, live=True)
            for track in itertools.chain(self._linker.ended, self._linker.open_tracks())
            if track.frames[-1] >= self._first
        ]
        found: Detections = Covers(paths, self._rate_of(times)).at(number - self._first)
        pixels = frame.pixels.copy()
        hide(pixels, found, self._request.cover)
        return Frame(pixels, frame.time, frame.lasts)

    def _rate_of(self, times: NDArray[np.float64]) -> float:
        """Frames per second: fewer than the source gives where some are left out.

        Boxes would be grown by what a face moves in many times as long.
        """
        if len(times) < 2:
            return self._rate
        measured = (len(times) - 1) / (times[-1] - times[0])
        return min(self._rate, _SLOWER * float(measured))

    def _forget(self, time: float) -> None:
        while self._times[0] < time:
            self._times.popleft()
            self._first += 1
        self._cuts = [cut for cut in self._cuts if cut > self._first]
        linker = self._linker
        linker.ended = [track for track in linker.ended if track.frames[-1] >= self._first]
        for track in itertools.chain(linker.ended, linker.open_tracks()):
            track.forget(self._first)


def _since(track: Track, first: int) -> Track:
    """A track whose frames are counted from another one."""
    shown = {frame - first: answer for frame, answer in track.shown.items()}
    moved = Track(track.number, boxes=track.boxes, scores=track.scores, shown=shown)
    moved.frames.extend(frame - first for frame in track.frames)
    return moved
