"""Draw faces and what is said of them into a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...drawing import draw_faces
from ...embedding import Embedding
from ...results import Detections
from ..parts import Told


def draw(
    image: NDArray[np.uint8], faces: Detections, embeddings: Sequence[Embedding]
) -> NDArray[np.uint8]:
    """A copy of a picture, uint8 (H, W, 3) BGR, with boxes and the faces' numbers.

    Args:
        image: uint8 (H, W, 3), BGR; not changed.
        faces: The faces, in pixels of `image`.
        embeddings: The recogniser's answer for each face.
    """
    captions = [[f"face {index + 1}"] for index in range(len(embeddings))]
    return draw_faces(image, faces, captions=captions, colours=[0] * len(embeddings))


def told(answer: Embedding) -> Told:
    """See `tasks.parts.Draw`."""
    first = ", ".join(f"{value:.3f}" for value in answer.vector[:4])
    return Told(None, f"embedding {first}, ...")
