"""Masks of a video's faces that do not flicker, and do not lag behind their faces."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..mask import Mask
from ..results import Detections
from ..tasks.detection.model import FaceDetector
from ..tasks.segmentation.model import FaceSegmenter
from .face_links import linked

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

_FAINT = 0.6
"""Share of the score threshold at which a face that was there in the last frame goes on."""

_PAST = 0.8
"""Weight of what was before, where nothing has changed."""

_STILL = 6.0
"""Step of the landmarks between two frames, in input pixels of 256, from which on nothing is
smoothed. Below it they shake more than they move."""

_CHANGE = 10.0
"""Difference of grey levels at which a pixel has changed."""

_NEIGHBOURS = 9
"""Side of the square, in input pixels of 256, that levels are averaged over, against noise."""


@dataclass
class _Track:
    """A face that is followed.

    Attributes:
        box: float32 (4,), in the last frame.
        landmarks: float64 (5, 2), smoothed.
        shares: Its probabilities at input size, smoothed.
        grey: Its head in grey, float32 (height, width), smoothed in the same way.
    """

    box: Floats
    landmarks: NDArray[np.float64]
    shares: Floats
    grey: Floats


class MaskTracks:
    """Finds and segments the faces of frames, one after the other.

    A face is linked to that of the last frame whose box it overlaps most. While its landmarks
    hardly move they are smoothed, which keeps the cut head still; as a mask is laid back by the
    same landmarks, that does not displace it. Each pixel's probabilities are averaged with those
    before, in the aligned head, as far as the picture there is the same: where it changes, because
    the head turns or something comes before it, and where the face moves fast, the new frame alone
    counts.

    Args:
        segmenter: Gives the masks.
        detector: Finds the faces; it must give landmarks.
        score: Lowest detector score of a face, 0 to 1. One that goes on may be fainter.
    """

    def __init__(self, segmenter: FaceSegmenter, detector: FaceDetector, *, score: float) -> None:
        self.segmenter = segmenter
        self.detector = detector
        self.score = score
        self._faint = min(score, max(detector.rules.least_score, _FAINT * score))
        self._tracks: list[_Track] = []

    def read(self, image: Pixels) -> tuple[Detections, list[Mask]]:
        """The faces of the next frame, uint8 (H, W, 3) BGR, and the mask of each."""
        found = self.detector.predict(image, score_threshold=self._faint)
        tracks = _linked(self._tracks, found)
        goes_on = np.array([track is not None for track in tracks], np.bool_)
        faces = found.where((found.scores >= self.score) | goes_on)
        return faces, self.follow(image, faces)

    def follow(self, image: Pixels, faces: Detections) -> list[Mask]:
        """The masks of the next frame's faces, which are known."""
        if len(faces) == 0:
            self._tracks = []
            return []
        assert faces.landmarks is not None
        spec = self.segmenter.contract.input
        unit = spec.width / 256
        before = _linked(self._tracks, faces)
        points = faces.landmarks.astype(np.float64)
        past = np.zeros(len(faces))
        for index, track in enumerate(before):
            if track is not None:
                past[index] = self._past(track.landmarks, points[index], unit=unit)
                points[index] = past[index] * track.landmarks + (1 - past[index]) * points[index]
        transforms = self.segmenter.transforms(image.shape, points.astype(np.float32))
        heads = self.segmenter.cut(image, transforms)
        self._tracks = []
        for index, shares in enumerate(self.segmenter.segment(heads)):
            grey = _levels(heads[index], unit=unit)
            track = before[index]
            if track is not None:
                weight = past[index] * _likeness(grey, track.grey)
                shares = weight * track.shares + (1 - weight) * shares
                grey = weight * track.grey + (1 - weight) * grey
            self._tracks.append(_Track(faces.boxes[index], points[index], shares, grey))
        smooth = [track.shares for track in self._tracks]
        return self.segmenter.place(smooth, transforms, image.shape)

    def _past(self, before: NDArray[np.float64], now: NDArray[np.float64], *, unit: float) -> float:
        """The weight of what was before: the less, the further the landmarks (5, 2) have moved."""
        (transform,) = self.segmenter.transforms((1, 1), now[None].astype(np.float32))
        scale = float(np.sqrt(np.linalg.det(transform[:, :2])))
        step = scale * float(np.linalg.norm(now - before, axis=1).mean()) / unit
        return min(_PAST, max(0.0, 1 - step / _STILL))


def _linked(tracks: list[_Track], found: Detections) -> list[_Track | None]:
    """For each face the track that it goes on with, or None."""
    before = np.array([track.box for track in tracks], np.float32).reshape(-1, 4)
    return [None if index is None else tracks[index] for index in linked(before, found.boxes)]


def _levels(head: Pixels, *, unit: float) -> Floats:
    """A head in grey, without noise, float32 (height, width)."""
    grey = cv2.cvtColor(head, cv2.COLOR_BGR2GRAY).astype(np.float32)
    side = max(1, round(_NEIGHBOURS * unit))
    return np.asarray(cv2.blur(grey, (side, side)), np.float32)


def _likeness(now: Floats, before: Floats) -> Floats:
    """How much each pixel is as it was, 0 to 1, float32 (height, width)."""
    change = now - before
    # Light that changes all over is no movement.
    change -= np.median(change)
    return np.asarray(np.exp(-np.square(change / _CHANGE)), np.float32)
