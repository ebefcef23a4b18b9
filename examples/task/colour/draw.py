"""Colours of faces drawn into a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...drawing import draw_faces
from ...results import Detections
from ..parts import Told


def draw(
    image: NDArray[np.uint8], faces: Detections, shares: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A copy of a picture, uint8 (H, W, 3) BGR, with a box and the shares of each face.

    Args:
        image: uint8 (H, W, 3), BGR; stays as it is.
        faces: In pixels of `image`.
        shares: float32 (N, 3): blue, green, red.
    """
    captions = [["/".join(f"{share:.2f}" for share in row)] for row in shares]
    return draw_faces(image, faces, captions=captions, colours=[0] * len(faces))


def told(answer: NDArray[np.float32]) -> Told:
    """See `tasks.parts.Draw`."""
    return Told(text=" ".join(f"{share:.3f}" for share in answer))
