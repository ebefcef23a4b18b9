"""What is hidden in each frame: tracks without gaps, longer at both ends, and without shaking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ...results import Detections
from .tracks import Boxes, Track
from .video_who import hidden_in

PAD = 0.3
"""Seconds for which a face stays hidden before it was first found, and after it was last."""

_STEADY = 0.12
"""Seconds before and after a frame whose boxes are hidden with its own."""

_ENDING = 5
"""Found boxes at an end of a track that tell how it moves there."""


@dataclass(frozen=True, eq=False)
class FacePath:
    """One face in all frames from one to another.

    Attributes:
        number: That of its track.
        first: Number of the first frame.
        boxes: float32 (N, 4), in pixels as shown.
        scores: float32 (N,); NaN where it was not found, but must be.
        hidden: bool (N,): whether it is hidden.
    """

    number: int
    first: int
    boxes: Boxes
    scores: NDArray[np.float32]
    hidden: NDArray[np.bool_]


def path_of(
    track: Track,
    times: NDArray[np.float64],
    cuts: Sequence[int],
    *,
    pad: float = PAD,
    pad_end: float | None = None,
    live: bool = False,
) -> FacePath:
    """Fill the gaps of a track, and make it longer at both ends.

    In a gap, the face is between where it was and where it will be; for `pad` seconds it may also
    still be where it was, or already where it will be, so that all of that is hidden.

    Args:
        track: The track.
        times: When each frame appears, in seconds.
        cuts: Numbers of the frames that begin a scene, ascending; no track is made longer there.
        pad: Seconds at the beginning.
        pad_end: Seconds at the end; None for `pad`.
        live: See `hidden_in`.
    """
    frames, boxes, scores = track.table()
    starts = [0, *cuts]
    ends = [*cuts, len(times)]
    scene = int(np.searchsorted(cuts, frames[0], side="right"))
    first, last = int(frames[0]), int(frames[-1])
    late = pad if pad_end is None else pad_end
    begin = max(starts[scene], int(np.searchsorted(times, times[first] - pad)))
    end = min(ends[scene], int(np.searchsorted(times, times[last] + late, side="right")))
    end = max(end, last + 1)
    every = np.arange(begin, end)
    when = times[begin:end]
    known = times[frames]
    filled = np.stack([np.interp(when, known, side) for side in boxes.T.astype(np.float64)], 1)
    # Beyond the ends `interp` repeats the last box: there the face stays, or goes on as it moved.
    for outside, edge, near in (
        (every < first, first, slice(0, _ENDING)),
        (every > last, last, slice(-_ENDING, None)),
    ):
        if outside.any() and len(frames) > 1:
            away = (when[outside] - times[edge]).clip(-PAD, PAD)
            move = _velocity(boxes[near], known[near]) * away[:, None]
            filled[outside] = _hull(filled[outside], filled[outside] + np.tile(move, 2))
    found = np.zeros(len(every), np.bool_)
    found[frames - begin] = True
    inside = np.flatnonzero(~found & (every > first) & (every < last))
    if len(inside):
        after = np.searchsorted(frames, every[inside])
        for neighbour in (after - 1, after):
            close = np.abs(known[neighbour] - when[inside]) <= pad
            rows = inside[close]
            filled[rows] = _hull(filled[rows], boxes[neighbour[close]])
    told = np.full(len(every), np.nan, np.float32)
    told[frames - begin] = scores
    hidden = hidden_in(track, begin, len(every), live=live)
    return FacePath(track.number, begin, filled.astype(np.float32), told, hidden)


def steady(boxes: Boxes, rate: float) -> Boxes:
    """Boxes (N, 4) that follow each other, grown so that they move smoothly and hide each.

    Each side is the mean, over some frames, of the outermost over as many: it never lies inside of
    the frame's own box, nor lags behind a face that moves.

    Args:
        boxes: Of all frames from one to another.
        rate: Frames per second.
    """
    around = max(1, round(_STEADY * rate))

    def windows(values: NDArray[np.float64]) -> NDArray[np.float64]:
        padded = np.pad(values, ((around, around), (0, 0)), mode="edge")
        return sliding_window_view(padded, 2 * around + 1, axis=0)

    near = windows(boxes.astype(np.float64))
    outermost = np.hstack([near[:, :2].min(-1), near[:, 2:].max(-1)])
    return np.asarray(windows(outermost).mean(-1), np.float32)


class Covers:
    """What is hidden in each frame of a video.

    Args:
        paths: The faces.
        rate: Frames per second.
    """

    def __init__(self, paths: Sequence[FacePath], rate: float) -> None:
        self._paths = paths
        self._boxes = [steady(path.boxes, rate) for path in paths]
        self._first = np.array([path.first for path in paths], np.int64)
        self._end = np.array([path.first + len(path.boxes) for path in paths], np.int64)

    def at(self, frame: int) -> Detections:
        """The boxes to hide in a frame, by its number; all scores are 1."""
        boxes = [self._boxes[index][row] for index, row in self._hidden(frame)]
        table = np.array(boxes, np.float32).reshape(-1, 4)
        return Detections(table, np.ones(len(table), np.float32))

    def unsteadied(self, frame: int) -> tuple[Boxes, NDArray[np.bool_]]:
        """Of the faces of `at`, in its order, the boxes (N, 4), and whether each was found there.

        Args:
            frame: Its number.
        """
        rows = list(self._hidden(frame))
        boxes = [self._paths[index].boxes[row] for index, row in rows]
        scores = [self._paths[index].scores[row] for index, row in rows]
        return np.array(boxes, np.float32).reshape(-1, 4), ~np.isnan(np.array(scores, np.float32))

    def _hidden(self, frame: int) -> Iterator[tuple[int, int]]:
        """The indices of paths that are hidden in a frame, and of their rows there."""
        for index in map(int, np.flatnonzero((self._first <= frame) & (frame < self._end))):
            row = frame - self._paths[index].first
            if self._paths[index].hidden[row]:
                yield index, row


def _velocity(boxes: Boxes, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """How the centres of boxes (N, 4) move, in pixels per second, float64 (2,)."""
    centres = (boxes[:, :2] + boxes[:, 2:]).astype(np.float64) / 2
    return np.asarray((centres[-1] - centres[0]) / max(times[-1] - times[0], 1e-9))


def _hull(one: NDArray[np.float64], other: NDArray[np.float64] | Boxes) -> NDArray[np.float64]:
    low = np.minimum(one[:, :2], other[:, :2])
    high = np.maximum(one[:, 2:], other[:, 2:])
    return np.hstack([low, high]).astype(np.float64)
