"""What a benchmark needs of all tasks: photos to time on, and other people's models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.pictures import public_domain_photos


@dataclass(frozen=True)
class Item:
    """A photo to run on.

    Attributes:
        path: The photo.
        landmarks: (5, 2), x and y in its pixels, of a face in it; None where nobody knows.
    """

    path: Path
    landmarks: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Peer:
    """Somebody else's model, to be measured beside ours; none is shipped.

    Attributes:
        file: In the folder of peers.
        licence: Its own.
        precision: Of its weights.
    """

    file: str
    licence: str
    precision: str = "fp32"


def public_items() -> list[Item]:
    """The photos in the public domain that are here."""
    return [Item(path, landmarks) for path, landmarks in public_domain_photos()]
