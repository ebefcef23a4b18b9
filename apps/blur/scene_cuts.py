"""Where one scene of a video ends and another begins."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = (32, 18)
"""Width and height of the pictures that are compared."""

_UNLIKE = 0.5
"""Correlation of the pictures of two frames, in grey, below which they are two scenes."""

_CHANGE = 20.0
"""And the least mean difference of grey levels: noise in the dark does not correlate either."""


class SceneCuts:
    """Compares each frame with the one before.

    A flash or a fade changes the light of a scene and not what is where, and is no cut. A cut
    that is not seen costs a face hidden a little longer; one that is none might show a face.
    """

    def __init__(self) -> None:
        self._before: NDArray[np.float64] | None = None

    def begins(self, image: NDArray[np.uint8]) -> bool:
        """Whether a scene begins with the next frame, uint8 (H, W, 3) BGR."""
        small = cv2.resize(image, _SIZE, interpolation=cv2.INTER_AREA)
        now = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float64).ravel()
        before, self._before = self._before, now
        if before is None or np.abs(now - before).mean() < _CHANGE:
            return False
        spread = now.std() * before.std()
        likeness = ((now - now.mean()) * (before - before.mean())).mean() / max(spread, 1e-9)
        return bool(spread > 0 and likeness < _UNLIKE)
