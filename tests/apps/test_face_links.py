"""Which face of a frame goes on with which of the frame before."""

from __future__ import annotations

import numpy as np

from pocketface.apps.face_links import linked


def boxes(*lefts: float) -> np.ndarray:
    """Squares of 100 px beside each other."""
    return np.array([[left, 0, left + 100, 100] for left in lefts], np.float32).reshape(-1, 4)


def test_the_best_overlap_first_and_each_once() -> None:
    assert linked(boxes(0, 300), boxes(310, 20)) == [1, 0]
    # Both overlap the one before enough; the nearer one goes on with it.
    assert linked(boxes(0), boxes(40, 10)) == [None, 0]
    # The second best of one is the best that is left for another.
    assert linked(boxes(0, 60), boxes(30, 55)) == [0, 1]


def test_what_is_too_far_begins_anew() -> None:
    assert linked(boxes(0), boxes(50)) == [0]
    assert linked(boxes(0), boxes(60)) == [None]


def test_nobody_before_or_now() -> None:
    assert linked(boxes(), boxes(0, 200)) == [None, None]
    assert linked(boxes(0, 200), boxes()) == []
    assert linked(boxes(), boxes()) == []
