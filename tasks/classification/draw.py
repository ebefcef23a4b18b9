"""Faces and their labels drawn into a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...results import Classification, Detections
from ..canvas import draw_faces


def draw(
    image: NDArray[np.uint8], faces: Detections, labels: Sequence[Classification]
) -> NDArray[np.uint8]:
    """A copy of a picture, uint8 (H, W, 3) BGR, with boxes and labels; colours tell these apart.

    Args:
        image: uint8 (H, W, 3), BGR; stays as it is.
        faces: In pixels of `image`.
        labels: Of each face.
    """
    captions = [[f"{one.label} {one.score:.2f}", one.label] for one in labels]
    return draw_faces(image, faces, captions=captions, colours=[one.index for one in labels])
