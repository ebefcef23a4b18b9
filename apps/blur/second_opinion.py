"""Ask another detector about faces that the first one doubts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...results import pairwise_iou
from ...tasks.detection.model import FaceDetector
from ...tasks.load import load_as

_SIDE = 128
"""Side, in pixels, of what it is shown: a face and its surroundings."""

_AROUND = 3.0
"""Side of that, in longer sides of the face: without surroundings many things are like a face."""

_SAME = 0.35
"""IoU from which on both see the same face."""


class SecondOpinion:
    """A detector that looks closely at single places of a photo.

    Two detectors seldom take the same thing for a face: docs/reports/blur.md has how much less is
    hidden for nothing.

    Args:
        path: Model file of a detector, better one with other weights than the first.
        device: See `tasks.load`.
        threads: See `tasks.load`.

    Raises:
        ModelFileError: The file is no detector.
        UserError: See `tasks.load`.
    """

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        self._model = load_as(FaceDetector, path, device=device, threads=threads)
        step = self._model.contract.input.multiple_of
        if step:
            side = -(-_SIDE // step) * step
            self._model = load_as(
                FaceDetector, path, device=device, threads=threads, input_size=(side, side)
            )

    def agrees(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32], *, score: float
    ) -> NDArray[np.bool_]:
        """Whether it sees each face too.

        Args:
            image: uint8 (H, W, 3), BGR.
            boxes: float32 (N, 4), x1, y1, x2, y2 in pixels.
            score: Its lowest score of a face, 0 to 1.

        Returns:
            bool (N,).
        """
        least = max(score, self._model.rules.least_score)
        corners = [_place_of(box, image.shape) for box in boxes]
        places = (image[top:bottom, left:right] for left, top, right, bottom in corners)
        answers = self._model.predict_batch(places, score_threshold=least)
        agreed = np.zeros(len(boxes), np.bool_)
        for number, (box, (left, top, *_), seen) in enumerate(
            zip(boxes, corners, answers, strict=True)
        ):
            own = box - np.array([left, top, left, top], np.float32)
            agreed[number] = bool((pairwise_iou(own[None], seen.boxes) >= _SAME).any())
        return agreed


def _place_of(box: NDArray[np.float32], shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a face and its surroundings, as far as the photo goes."""
    half = _AROUND / 2 * max(1.0, float((box[2:] - box[:2]).max()))
    centre = (box[:2] + box[2:]) / 2
    size = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(centre - half), 0, size - 1).astype(int)
    high = np.clip(np.ceil(centre + half), low + 1, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
