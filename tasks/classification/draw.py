"""Draw faces and their labels into a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...drawing import draw_faces
from ...results import Classification, Detections
from ..parts import Told


def draw(
    image: NDArray[np.uint8], faces: Detections, labels: Sequence[Classification]
) -> NDArray[np.uint8]:
    """A copy of a picture, uint8 (H, W, 3) BGR, with boxes and labels; each label has a colour.

    Args:
        image: uint8 (H, W, 3), BGR; not changed.
        faces: The faces, in pixels of `image`.
        labels: The classifier's answer for each face.
    """
    captions = [[f"{one.label} {one.score:.2f}", one.label] for one in labels]
    return draw_faces(image, faces, captions=captions, colours=[one.index for one in labels])


def told(answer: Classification) -> Told:
    """See `tasks.parts.Draw`."""
    return Told(answer.label, f"{answer.label} {answer.score:.3f}")
