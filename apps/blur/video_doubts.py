"""Which tracks of a video are of a face: a second opinion about those that are never sure."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ...results import Detections
from .second_opinion import SecondOpinion
from .tracks import Track, Turns

_EVERY = 0.2
"""Seconds after which a track is asked about again."""


class TrackDoubts:
    """Asks about tracks, until one frame is confirmed.

    Args:
        opinion: Whom to ask.
        score: Its lowest score of a face, 0 to 1.
    """

    def __init__(self, opinion: SecondOpinion, score: float) -> None:
        self._opinion = opinion
        self._score = score
        self._sure: WeakSet[Track] = WeakSet()
        self._turns = Turns(_EVERY)

    def look(
        self,
        time: float,
        image: NDArray[np.uint8],
        faces: Detections,
        tracks: Sequence[Track | None],
        *,
        sure: NDArray[np.bool_],
        doubtful: NDArray[np.bool_],
    ) -> None:
        """Look at a frame.

        Args:
            time: Of it, in seconds.
            image: It, uint8 (H, W, 3), BGR.
            faces: Its faces.
            tracks: The track of each.
            sure: Which of them would start a track, bool (N,).
            doubtful: Which of those need to be confirmed, bool (N,).
        """
        asked: dict[Track, int] = {}
        for row, track in enumerate(tracks):
            if track is None or track in self._sure or not sure[row]:
                continue
            if not doubtful[row]:
                self._sure.add(track)
            elif self._turns.take(track, time):
                asked[track] = row
        boxes = faces.boxes[list(asked.values())]
        agreed = self._opinion.agrees(image, boxes, score=self._score)
        self._sure.update(track for track, yes in zip(asked, agreed, strict=True) if yes)

    def is_sure(self, track: Track) -> bool:
        """Whether a track is of a face, as far as it was seen."""
        return track in self._sure
