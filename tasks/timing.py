"""Common parts of all tasks for benchmarks: photos to time on, and third-party models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.pictures import public_domain_photos


@dataclass(frozen=True)
class Item:
    """A photo to run a model on.

    Attributes:
        path: The photo's file.
        landmarks: Landmarks of a face in it, (5, 2), x and y in its pixels; None if unknown.
    """

    path: Path
    landmarks: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Peer:
    """A third-party model, to measure beside ours; none is shipped.

    Attributes:
        file: Path relative to the folder of peers.
        licence: Licence of the model.
        precision: Precision of its weights.
    """

    file: str
    licence: str
    precision: str = "fp32"


def public_items() -> list[Item]:
    """The public-domain photos that are installed."""
    return [Item(path, landmarks) for path, landmarks in public_domain_photos()]
