"""Which face of a labelled photo is the one that the label means."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.apps.prepare_faces import main_face
from pocketface.results import Detections


def found(*squares: tuple[float, float, float]) -> Detections:
    """Faces by the centre and the side of their boxes; their landmarks tell their place."""
    boxes = [[x - side / 2, y - side / 2, x + side / 2, y + side / 2] for x, y, side in squares]
    landmarks = np.arange(len(squares))[:, None, None] * np.ones((5, 2))
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, len(squares), dtype=np.float32),
        landmarks.astype(np.float32).reshape(-1, 5, 2),
    )


@pytest.mark.parametrize("turned", [False, True])
def test_it_is_large_and_central(turned: bool) -> None:
    side, middle, near = (60, 50, 44), (200, 50, 40), (100, 50, 90)
    shape = (100, 400, 3)
    if turned:
        side, middle, near = ((y, x, size) for x, y, size in (side, middle, near))
        shape = (400, 100, 3)
    for faces, expected in (((side, middle), 1), ((side, middle, near), 2), ((side,), 0)):
        landmarks = main_face(found(*faces), shape)
        assert landmarks is not None
        assert landmarks[0, 0] == expected
    assert main_face(found(), shape) is None
