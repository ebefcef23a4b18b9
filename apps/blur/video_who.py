"""Whose faces stay visible in a video: decided by track, of which single frames are unsure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...results import Detections
from .tracks import Track, Turns

if TYPE_CHECKING:
    from .who import Who

_EVERY = 0.2
"""Seconds after which a face is asked again."""


class TrackWho:
    """Asks who the faces of tracks are, every now and then.

    Args:
        who: Knows the people.
        score: Lowest score of a face that is asked.
    """

    def __init__(self, who: Who, score: float) -> None:
        self._who = who
        self._score = score
        self._turns = Turns(_EVERY)

    def look(
        self,
        number: int,
        time: float,
        image: NDArray[np.uint8],
        faces: Detections,
        tracks: Sequence[Track | None],
    ) -> None:
        """Look at a frame.

        Args:
            number: Of the frame.
            time: Of it, in seconds.
            image: It, uint8 (H, W, 3), BGR.
            faces: Its faces, with landmarks.
            tracks: The track of each.
        """
        rows = [
            index
            for index, track in enumerate(tracks)
            if track is not None
            and faces.scores[index] >= self._score
            and self._turns.take(track, time)
        ]
        if not rows:
            return
        answers = self._who.answers(image, faces[rows])
        for index, answer in zip(rows, answers, strict=True):
            track = tracks[index]
            if track is not None and answer != "unsure":
                track.shown[number] = self._who.shows(answer)


def hidden_in(track: Track, first: int, count: int, *, live: bool = False) -> NDArray[np.bool_]:
    """In which of some frames a track is hidden.

    It stays visible if most of the sure answers say so; and then still not where the answer before
    or after says otherwise, as two people who pass each other may have been linked.

    Args:
        track: The track, with the answers.
        first: Number of the first frame.
        count: Of frames.
        live: Whether only the answers of the last seconds are known: nobody is visible before the
            first one and after the last, who may be another person there.
    """
    if 2 * sum(track.shown.values()) <= len(track.shown):
        return np.ones(count, np.bool_)
    asked = np.array(sorted(track.shown), np.int64)
    shown = np.array([track.shown[int(frame)] for frame in asked], np.bool_)
    every = np.arange(first, first + count)
    before = np.searchsorted(asked, every, side="right") - 1
    after = np.searchsorted(asked, every)
    agreed = shown[before.clip(0)] & shown[after.clip(max=len(asked) - 1)]
    if live:
        agreed &= (asked[0] <= every) & (every <= asked[-1])
    return np.asarray(~agreed, np.bool_)
