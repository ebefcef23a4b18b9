"""The faces of a video's frames, each known better the longer it is seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..embedding import Embedding
from .face_links import linked
from .recognize_faces import PhotoFaces

_LONGEST = 30
"""Frames that count: further back, each counts less and less."""

_GONE = 15
"""Frames that a face may be missed in, and still goes on."""


@dataclass(frozen=True, eq=False)
class _Followed:
    """A face that is followed.

    Attributes:
        box: float32 (4,), where it was seen last.
        mean: float32 (D,), mean of its vectors; not of unit length.
        frames: How many they are, `_LONGEST` at most.
        missed: Frames since it was seen.
    """

    box: NDArray[np.float32]
    mean: NDArray[np.float32]
    frames: int = 1
    missed: int = 0

    @property
    def direction(self) -> NDArray[np.float32]:
        """Of the mean, as a vector of unit length."""
        return np.asarray(self.mean / np.linalg.norm(self.mean), np.float32)

    def with_frame(self, box: NDArray[np.float32], vector: NDArray[np.float32]) -> _Followed:
        frames = min(self.frames + 1, _LONGEST)
        return _Followed(box, self.mean + (vector - self.mean) / np.float32(frames), frames)


class FollowedFaces:
    """Joins what is seen of a face in the frames of a video.

    A face is linked to that of the frames before whose box it overlaps most. The direction of the
    mean of their vectors stands for it: one frame's shadow or turned head counts less then, and
    strangers are no more alike than in one frame (docs/reports/recognition.md). A face that is not
    like those before in its place, as after a cut, is another one. One that is too small to say who
    it is is not followed, and stays as it is.

    Args:
        alike: Least cosine between a face and what it goes on with.
    """

    def __init__(self, alike: float) -> None:
        self._alike = alike
        self._followed: list[_Followed] = []

    def follow(self, seen: PhotoFaces) -> tuple[Embedding, ...]:
        """The embedding of each face of the next frame, joined with those before."""
        known = [index for index, small in enumerate(seen.small) if not small]
        boxes = seen.faces.boxes[known]
        before = np.array([one.box for one in self._followed], np.float32).reshape(-1, 4)
        places = linked(before, boxes)
        missed = [
            replace(one, missed=one.missed + 1)
            for place, one in enumerate(self._followed)
            if place not in places and one.missed < _GONE
        ]
        joined = list(seen.embeddings)
        there: list[_Followed] = []
        for index, box, place in zip(known, boxes, places, strict=True):
            vector = seen.embeddings[index].vector
            one = None if place is None else self._followed[place]
            if one is None or float(one.direction @ vector) < self._alike:
                there.append(_Followed(box, vector))
            else:
                there.append(one.with_frame(box, vector))
            joined[index] = Embedding(there[-1].direction)
        self._followed = there + missed
        return tuple(joined)
