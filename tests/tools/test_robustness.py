"""Faces amid other photos: where they are, and nothing beside them."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.results import Detections
from pocketface.tools.robustness import SIDE, found_in, sheets, soft_face


@pytest.mark.parametrize("degrees", [0, 45, 90, 180])
def test_of_an_aligned_face_an_oval_is_shown_and_nothing_beside_it(degrees: int) -> None:
    tile = np.full((112, 112, 3), 200, np.uint8)
    _, share = soft_face(tile, 140, degrees=degrees)
    assert share[70, 70, 0] == pytest.approx(1)
    for edge in (share[:25], share[-25:], share[:, :25], share[:, -25:]):
        assert edge.max() < 1e-3


def test_faces_are_found_where_they_lie() -> None:
    tiles = [np.full((112, 112, 3), 255, np.uint8)] * 5
    places = [np.zeros((50, 70, 3), np.uint8)]

    def bright(image: np.ndarray) -> Detections:
        """The box around what is bright in the first of 16 fields."""
        rows, columns = np.nonzero(image[: SIDE // 4, : SIDE // 4].max(2) > 128)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections(np.array([box], np.float32), np.ones(1, np.float32), None)

    assert found_in(sheets(tiles, places, 60), bright, 60).tolist() == [True] + [False] * 4
