"""From probabilities to the class of each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def classes_of(shares: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """The class of each pixel, uint8 (H, W): 1 for the only class, or an index.

    Args:
        shares: Probabilities, float32 (classes, H, W), 0 to 1.
        threshold: Lowest probability at which a pixel is of the only class; of several classes the
            most probable one counts.
    """
    if len(shares) == 1:
        return np.asarray(shares[0] >= threshold, np.uint8)
    return np.asarray(shares.argmax(0), np.uint8)


def grey_of(shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """The grey picture of `tasks.parts.Grey`, float32 (H, W), of probabilities (classes, H, W)."""
    if len(shares) == 1:
        return np.asarray((shares[0] * 255).round(), np.float32)
    return np.asarray(shares.argmax(0), np.float32)
