"""Draw faces' masks into a picture, and put them into words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...drawing import draw_faces, draw_masks
from ...mask import Mask
from ...results import Detections
from ..parts import Told

_BOX = 3
"""Colour of boxes, unlike that of any class of the templates."""


def draw(
    image: NDArray[np.uint8], faces: Detections, masks: Sequence[Mask] = ()
) -> NDArray[np.uint8]:
    """A copy of a picture, uint8 (H, W, 3) BGR, with masks in colours, and boxes.

    Args:
        image: uint8 (H, W, 3), BGR; not changed.
        faces: The faces, in pixels of `image`.
        masks: The segmenter's answer for each face.
    """
    captions = [[f"{score:.2f}"] for score in faces.scores]
    return draw_faces(
        draw_masks(image, masks), faces, captions=captions, colours=[_BOX] * len(faces)
    )


def told(answer: Mask) -> Told:
    """See `tasks.parts.Draw`."""
    areas = ((name, int(np.count_nonzero(answer.inside(name)))) for name in answer.named)
    return Told(text=", ".join(f"{name} {area:,} px" for name, area in areas))
