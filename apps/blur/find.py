"""Find all faces of a photo, small ones too."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ...results import Detections, pairwise_iou
from ...tasks.detection.model import FaceDetector
from ...tasks.detection.postprocess import suppress
from ...tasks.load import load_as
from .second_opinion import SecondOpinion

Pixels = NDArray[np.uint8]

SCORE = 0.3
"""Lowest score of a face that is hidden: a false one costs less than one that is missed."""

MAX_SIDE = 1920
"""Longest side of a network input that a photo is searched at."""

FAINT = 2 / 3
"""Share of the lowest score at which a small face counts in the closer search, as small faces have
lower scores; and any that a second opinion confirms."""

SURE = 2.0
"""Multiple of the lowest score from which on no second opinion is asked for."""

_ASKED = 32
"""Shortest of the longer sides, in pixels of the detector's own input, of a photo's faces that a
second opinion is asked for: smaller ones hide little for nothing, and are many."""

_SMALL = 48
"""Longest side, in pixels of the detector's own input, of a face that the closer search adds: what
is larger was seen before, and large false faces hide much for nothing (docs/reports/blur.md)."""

_OPEN = 12_000_000
"""Pixels of all input sizes together for which a network is kept open: about 600 MB."""

_SAME = 0.5
"""IoU from which on boxes of two searches are one face."""

_STEP = 64
"""Input sizes are multiples of it, so that photos of about one size share a network."""


class Finder(Protocol):
    """Finds the faces of a picture."""

    def find(self, image: Pixels) -> Detections:
        """The faces of a picture, uint8 (H, W, 3) BGR, in its pixels."""


class FaceFinder:
    """A detector whose input follows the photo, at its own resolution as far as allowed.

    Args:
        path: Model file, or template, of a detector.
        score: Lowest score of a face, 0 to 1.
        max_side: Longest side of the input in pixels, more for panoramas. Larger photos are made
            smaller. It has no effect on a detector of a fixed input size. None for `MAX_SIDE`, or
            the detector's own input where that is larger.
        second_opinion: Model file of a detector that is asked about doubtful faces; None: they
            count from the lowest score on, and no fainter ones.
        device: See `tasks.load`.
        threads: See `tasks.load`.
        at_once: Pictures that callers with many of them look at at once, in as many threads.

    Raises:
        ModelFileError: The file is no detector.
        UserError: See `tasks.load`; or `max_side` is less than the detector's own input.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        score: float = SCORE,
        max_side: int | None = MAX_SIDE,
        second_opinion: Path | None = None,
        device: str = "cpu",
        threads: int | None = None,
        at_once: int = 1,
    ) -> None:
        self.at_once = at_once
        self.own = load_as(FaceDetector, path, device=device, threads=threads)
        self.score = score
        self.second_opinion: SecondOpinion | None = None
        if second_opinion is not None:
            self.second_opinion = SecondOpinion(second_opinion, device=device, threads=threads)
        self._device = device
        self._threads = threads
        spec = self.own.contract.input
        self._step = spec.multiple_of and max(_STEP, spec.multiple_of)
        least = max(spec.height, spec.width)
        max_side = max(MAX_SIDE, least) if max_side is None else max_side
        if max_side < least:
            raise UserError(
                f"--max-side {max_side}: expected {least} or more, the input of {self.own.path}"
            )
        self.max_side = max_side
        self._lock = threading.Lock()
        self._sizes: OrderedDict[tuple[int, int], FaceDetector] = OrderedDict()

    @property
    def least_score(self) -> float:
        """The lowest score that the detector gives."""
        return self.own.rules.least_score

    @property
    def faint_score(self) -> float:
        """The lowest score of a face that is hidden if it is small, or confirmed."""
        return max(self.least_score, FAINT * self.score)

    def find(self, image: Pixels) -> Detections:
        """The faces of a photo that are to be hidden, best first.

        Those from the lowest score on; of large ones that are not sure, those that the second
        opinion confirms, which may be fainter.

        Args:
            image: uint8 (H, W, 3), BGR.
        """
        if self.second_opinion is None:
            return self.find_all(image, score=self.score, small=self.faint_score)
        faint = self.faint_score
        found = self.find_all(image, score=self.score, small=faint, large=faint)
        asked = self.are_doubtful(found, image)
        kept = ~asked
        kept[asked] = self.second_opinion.agrees(image, found.boxes[asked], score=faint)
        return found.where(kept)

    def find_all(
        self,
        image: Pixels,
        *,
        score: float,
        small: float | None = None,
        large: float | None = None,
        closer: bool = True,
    ) -> Detections:
        """All faces of a photo, best first.

        It is searched as the detector's own input has it and, where it is larger, once more at its
        own resolution for small ones.

        Args:
            image: uint8 (H, W, 3), BGR.
            score: The lowest of a face.
            small: The lowest of those that the closer search adds; None for `score`.
            large: The lowest of those that a second opinion may be asked for; None for `score`.
            closer: Whether it is searched at its own resolution too.
        """
        large = score if large is None else large
        first = self._first(image.shape[:2])
        found = first.predict(image, score_threshold=min(score, large), max_detections=None)
        sides = self._own_sides(found, image)
        found = found.where(found.scores >= np.where(sides >= _ASKED, large, score))
        size = self._input_for(image.shape[:2])
        if size is None or not closer:
            return found
        least = max(self.least_score, score if small is None else small)
        more = self._opened(size).predict(
            image, score_threshold=least, max_detections=None, second_look=False
        )
        return merged(found, more.where(self._own_sides(more, image) < _SMALL))

    def are_sure(self, faces: Detections, image: Pixels) -> NDArray[np.bool_]:
        """Which faces of a frame have a score that is enough to hide them: bool (N,).

        As in `find`: that of small ones need only be `faint_score`.

        Args:
            faces: Of `find_all`, at whatever score.
            image: uint8 (H, W, 3), BGR.
        """
        is_closer = self._input_for(image.shape[:2]) is not None
        small = is_closer & (self._own_sides(faces, image) < _SMALL)
        return np.asarray(faces.scores >= np.where(small, self.faint_score, self.score))

    def are_doubtful(self, faces: Detections, image: Pixels) -> NDArray[np.bool_]:
        """Which faces a second opinion is to be asked about: bool (N,); see `are_sure`."""
        large = self._own_sides(faces, image) >= _ASKED
        return np.asarray(large & (faces.scores < SURE * self.score))

    def _first(self, shape: tuple[int, int]) -> FaceDetector:
        """The detector without the rows or columns of its own input that a photo leaves empty."""
        own = self.own.contract.input
        if not self._step:
            return self.own
        height, width = self._holding(shape, min(own.height / shape[0], own.width / shape[1]))
        size = min(height, own.height), min(width, own.width)
        return self.own if size == (own.height, own.width) else self._opened(size)

    def _own_sides(self, faces: Detections, image: Pixels) -> NDArray[np.float32]:
        """The longer side (N,) of each face in pixels of the detector's own input."""
        own = self.own.contract.input
        scale = min(own.height / image.shape[0], own.width / image.shape[1])
        sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(axis=1, initial=0)
        return np.asarray(scale * sides, np.float32)

    def _input_for(self, shape: tuple[int, int]) -> tuple[int, int] | None:
        """Height and width of the input for a photo's second search; None for no such search."""
        if not self._step:
            return None
        longest = max(shape)
        own = self.own.contract.input
        if longest <= max(own.height, own.width):
            return None
        # Of a panorama as many pixels as of a photo twice as wide as high: it costs no more.
        scale = min(1.0, self.max_side / min(longest, (2 * shape[0] * shape[1]) ** 0.5))
        return self._holding(shape, scale)

    def _holding(self, shape: tuple[int, int], scale: float) -> tuple[int, int]:
        """Height and width of the smallest input that holds a photo times a factor."""
        step = self._step or 1
        height, width = (max(1, -(-round(side * scale) // step)) * step for side in shape)
        return height, width

    def _opened(self, size: tuple[int, int]) -> FaceDetector:
        with self._lock:
            if size in self._sizes:
                self._sizes.move_to_end(size)
                return self._sizes[size]
            model = load_as(
                FaceDetector,
                self.own.path,
                device=self._device,
                threads=self._threads,
                input_size=size,
            )
            self._sizes[size] = model
            while len(self._sizes) > 1 and sum(high * wide for high, wide in self._sizes) > _OPEN:
                self._sizes.popitem(last=False)
            return model


def merged(one: Detections, other: Detections) -> Detections:
    """The faces of two searches, best first; of two boxes of one face the better."""
    boxes = np.concatenate([one.boxes, other.boxes])
    scores = np.concatenate([one.scores, other.scores])
    landmarks = None
    if one.landmarks is not None and other.landmarks is not None:
        landmarks = np.concatenate([one.landmarks, other.landmarks])
    # Of thousands of faces a table of all overlaps would take gigabytes.
    return Detections(boxes, scores, landmarks)[suppress(boxes, scores, _SAME)]


def with_more(own: Detections, others: Detections) -> Detections:
    """All faces of a picture, and those of a neighbouring one that are none of them.

    Of a face that moves the box in this picture stays, however sure the other one is.
    """
    overlaps = pairwise_iou(others.boxes, own.boxes)
    more = others[np.flatnonzero((overlaps < _SAME).all(axis=1))]
    landmarks = None
    if own.landmarks is not None and more.landmarks is not None:
        landmarks = np.concatenate([own.landmarks, more.landmarks])
    boxes = np.concatenate([own.boxes, more.boxes])
    return Detections(boxes, np.concatenate([own.scores, more.scores]), landmarks)
