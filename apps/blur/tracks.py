"""Link the faces of a video's frames into tracks."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingPackageError
from ...results import Detections, pairwise_iou

Boxes = NDArray[np.float32]

FAINT = 0.1
"""Lowest score of a face that continues a track; it does not start one."""

GAP = 1.0
"""Seconds for which a face may be lost, and still be the same one."""

_BACK = 20.0
"""Most seconds for which a track is followed backward."""

_OVERLAP = 0.2
"""Least IoU of a face and where it is expected."""

_NEAR, _NEAR_GAIN, _NEAR_MOST = 0.5, 1.0, 1.2
"""Or the largest distance from there, in sizes of the face; how much more after a second without
it, and at most."""

_GROWTH = 2.0
"""Largest ratio of its sizes in two frames that follow each other."""

_STEADY = 0.5
"""Weight of the velocity before."""

_FORESEEN = 0.5
"""Seconds for which a face is expected to go on as it moved."""


@dataclass(eq=False)
class Track:
    """One face in the frames in which it was found.

    Attributes:
        number: From 1 on, in the order of appearance.
        frames: Numbers of the frames, ascending.
        boxes: x1, y1, x2, y2 of each, one after the other, in pixels as shown.
        scores: Of each.
        shown: Whether it is somebody who stays visible, by the number of a frame in which that was
            sure; see `video_who`.
    """

    number: int
    frames: array[int] = field(default_factory=lambda: array("q"))
    boxes: array[float] = field(default_factory=lambda: array("f"))
    scores: array[float] = field(default_factory=lambda: array("f"))
    shown: dict[int, bool] = field(default_factory=dict)

    def table(self) -> tuple[NDArray[np.int64], Boxes, NDArray[np.float32]]:
        """`frames` (N,), `boxes` (N, 4) and `scores` (N,)."""
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)
        return np.array(self.frames, np.int64), boxes, np.array(self.scores, np.float32)

    def put(self, frame: int, box: Boxes, score: float) -> None:
        """Add the face of a later frame, or of one before all others."""
        if not self.frames or frame > self.frames[-1]:
            self.frames.append(frame)
            self.boxes.extend(map(float, box))
            self.scores.append(score)
        else:
            self.frames.insert(0, frame)
            self.boxes[:0] = array("f", map(float, box))
            self.scores.insert(0, score)

    def forget(self, frame: int) -> None:
        """Drop what was before a frame, for a source without an end."""
        old = sum(one < frame for one in self.frames[:-1])
        del self.frames[:old], self.boxes[: 4 * old], self.scores[:old]
        self.shown = {one: shown for one, shown in self.shown.items() if one >= frame}


class Turns:
    """Which tracks something slow is done for: for each again after some time.

    Args:
        seconds: How long after.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: WeakKeyDictionary[Track, float] = WeakKeyDictionary()

    def take(self, track: Track, time: float) -> bool:
        """Whether it is a track's turn at a time, in seconds; then the next is not before long."""
        if time - self._last.get(track, -np.inf) < self._seconds:
            return False
        self._last[track] = time
        return True


@dataclass
class _End:
    """One end of a track, where it goes on forward or backward in time.

    Attributes:
        box: The last one, float64 (4,).
        time: Of the last one, in seconds.
        velocity: Of the box's corners, pixels a second, float64 (4,).
    """

    track: Track
    box: NDArray[np.float64]
    time: float
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(4))

    def go_on(self, frame: int, time: float, box: Boxes, score: float) -> None:
        step = (box - self.box) / (time - self.time)
        single = len(self.track.frames) == 1
        self.velocity = step if single else _STEADY * self.velocity + (1 - _STEADY) * step
        self.box, self.time = box.astype(np.float64), time
        self.track.put(frame, box, score)

    def expected(self, time: float) -> NDArray[np.float64]:
        ahead = np.clip(time - self.time, -_FORESEEN, _FORESEEN)
        # The mean motion of its sides: a size that changes is not foreseen.
        move = self.velocity.reshape(2, 2).mean(0) * ahead
        return np.asarray(self.box + np.tile(move, 2))


class Linker:
    """Links the faces of frames that come one after the other.

    A face goes on with the track that expects it there; Hungarian assignment finds the best pairs,
    of sure faces first and of faint ones with the tracks that are left (ByteTrack, Zhang et al.
    2022, arXiv:2110.06864). A sure face that is left starts a track, which is followed backward
    through the faint faces that were left in the frames before, by the same rule.
    """

    def __init__(self) -> None:
        self.ended: list[Track] = []
        self._ends: list[_End] = []
        self._left: deque[tuple[int, float, Detections]] = deque()
        self._count = 0

    def add(
        self, frame: int, time: float, faces: Detections, sure: NDArray[np.bool_]
    ) -> list[Track | None]:
        """Link the faces of the next frame.

        Args:
            frame: Its number.
            time: Of it in seconds, after all before.
            faces: All of at least `FAINT`.
            sure: Which of them start a track where they have none, bool (N,).

        Returns:
            The track of each face; None for a faint one without.
        """
        self._end(before=time - GAP)
        while self._left and self._left[0][1] < time - _BACK:
            self._left.popleft()
        tracks: list[Track | None] = [None] * len(faces)
        waiting = list(self._ends)
        for group in (np.flatnonzero(sure), np.flatnonzero(~sure)):
            for end, at in _pairs(waiting, time, faces.boxes[group]):
                face = int(group[at])
                end.go_on(frame, time, faces.boxes[face], float(faces.scores[face]))
                tracks[face] = end.track
            waiting = [end for end in waiting if end.time < time]
        begun: list[_End] = []
        for face in map(int, np.flatnonzero(sure)):
            if tracks[face] is None:
                begun.append(self._begin(frame, time, faces, face))
                tracks[face] = begun[-1].track
        self._follow_back(begun)
        left = np.array([track is None for track in tracks], np.bool_)
        self._left.append((frame, time, faces.where(left)))
        return tracks

    def cut(self) -> None:
        """Say that another scene begins with the next frame."""
        self._end(before=np.inf)
        self._left.clear()

    def open_tracks(self) -> list[Track]:
        """Those that may go on."""
        return [end.track for end in self._ends]

    def finish(self) -> list[Track]:
        """All tracks, in the order of their numbers."""
        self.cut()
        return sorted(self.ended, key=lambda track: track.number)

    def _begin(self, frame: int, time: float, faces: Detections, face: int) -> _End:
        self._count += 1
        track = Track(self._count)
        track.put(frame, faces.boxes[face], float(faces.scores[face]))
        self._ends.append(_End(track, faces.boxes[face].astype(np.float64), time))
        return self._ends[-1]

    def _follow_back(self, begun: Sequence[_End]) -> None:
        ends = [_End(end.track, end.box, end.time) for end in begun]
        for at in range(len(self._left) - 1, -1, -1):
            frame, time, faces = self._left[at]
            ends = [end for end in ends if end.time - time <= GAP]
            if not ends:
                return
            left = np.ones(len(faces), np.bool_)
            for end, face in _pairs(ends, time, faces.boxes):
                end.go_on(frame, time, faces.boxes[face], float(faces.scores[face]))
                left[face] = False
            self._left[at] = frame, time, faces.where(left)

    def _end(self, *, before: float) -> None:
        self.ended += [end.track for end in self._ends if end.time < before]
        self._ends = [end for end in self._ends if end.time >= before]


def _pairs(ends: Sequence[_End], time: float, boxes: Boxes) -> list[tuple[_End, int]]:
    """Ends of tracks and the boxes (N, 4), by number, that they go on with at a time."""
    if not ends or not len(boxes):
        return []
    try:
        from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("scipy") from error
    away = np.array([abs(time - end.time) for end in ends])
    # A face may go on as it moved, or stop.
    costs = np.minimum(
        _costs(np.stack([end.expected(time) for end in ends]), boxes, away),
        _costs(np.stack([end.box for end in ends]), boxes, away),
    )
    rows, columns = linear_sum_assignment(np.minimum(costs, _NEVER))
    return [
        (ends[row], int(column))
        for row, column in zip(rows, columns, strict=True)
        if costs[row, column] < _NEVER
    ]


_NEVER = 1e6


def _costs(
    expected: NDArray[np.float64], boxes: Boxes, away: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How badly boxes (N, 4) fit those expected (M, 4) after some seconds (M,): (M, N)."""
    wide = boxes.astype(np.float64)
    overlap = pairwise_iou(expected.astype(np.float32), boxes)
    sizes = [np.sqrt((one[:, 2:] - one[:, :2]).clip(1).prod(1)) for one in (expected, wide)]
    mean = (sizes[0][:, None] + sizes[1][None]) / 2
    growth = np.maximum(sizes[0][:, None] / sizes[1], sizes[1] / sizes[0][:, None])
    centres = [(one[:, :2] + one[:, 2:]) / 2 for one in (expected, wide)]
    distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) / mean
    near = np.minimum(_NEAR + _NEAR_GAIN * away, _NEAR_MOST)[:, None]
    fits = ((overlap >= _OVERLAP) | (distance <= near)) & (growth <= _GROWTH)
    return np.where(fits, 1 - overlap + distance, np.inf)
