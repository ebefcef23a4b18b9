"""The common interface of all heads' predictions."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Predictions(Protocol):
    """Raw predictions for a batch of B images with N candidate boxes each."""

    def boxes(self) -> Tensor:
        """Boxes (B, N, 4): x1, y1, x2, y2 in network-input pixels."""
        ...

    def scores(self) -> Tensor:
        """Scores (B, N), 0 to 1."""
        ...

    def landmark_points(self) -> Tensor | None:
        """Landmarks (B, N, 5, 2): x, y in network-input pixels; None if the head has none."""
        ...
