"""Which face of a frame is which of the frame before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..results import pairwise_iou

_SAME = 0.3
"""Least IoU of a face's boxes in two frames that follow each other."""


def linked(before: NDArray[np.float32], now: NDArray[np.float32]) -> list[int | None]:
    """For each face the one before that it goes on with, or None; best overlap first, each once.

    Args:
        before: float32 (M, 4), boxes as x1, y1, x2, y2 in pixels.
        now: float32 (N, 4), the boxes of the next frame.
    """
    found: list[int | None] = [None] * len(now)
    overlaps = pairwise_iou(now, before)
    while overlaps.size and overlaps.max() >= _SAME:
        face, earlier = divmod(int(overlaps.argmax()), len(before))
        found[face] = earlier
        overlaps[face], overlaps[:, earlier] = 0, 0
    return found
