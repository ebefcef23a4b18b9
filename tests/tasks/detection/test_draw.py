from __future__ import annotations

import numpy as np
import pytest

from pocketface.results import Detections
from pocketface.tasks.detection.draw import draw


def _faces(*boxes: tuple[float, ...], points: bool = False) -> Detections:
    corners = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(corners), dtype=np.float32)
    landmarks = None
    if points:
        middle = (corners[:, None, :2] + corners[:, None, 2:]) / 2
        landmarks = np.repeat(middle, 5, axis=1).astype(np.float32)
    return Detections(corners, scores, landmarks)


def test_the_image_given_stays_as_it_is() -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    drawn = draw(image, _faces((20, 40, 120, 160), points=True))
    assert (image == 128).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert (drawn != 128).any()


def test_without_faces_nothing_is_drawn() -> None:
    image = np.full((50, 60, 3), 7, np.uint8)
    drawn = draw(image, _faces())
    assert drawn is not image
    assert (drawn == image).all()


def test_the_line_lies_on_the_edge_of_the_box() -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    drawn = draw(image, _faces((100, 60, 200, 160)))
    changed = (drawn != image).any(axis=2)
    for y, x in ((110, 100), (110, 200), (160, 150), (60, 190)):
        assert changed[y, x]
    assert not changed[80:140, 110:190].any(), "the face itself stays visible"
    assert not changed[170:].any()
    # The label stands above the box, at its left.
    assert changed[47:58, 100:126].all()


def test_lines_grow_with_the_picture() -> None:
    def thickness(side: int) -> int:
        image = np.full((side, side, 3), 128, np.uint8)
        quarter = side / 4
        drawn = draw(image, _faces((quarter, quarter, 3 * quarter, 3 * quarter)))
        row = (drawn[side // 2] != 128).any(axis=1)
        return int(row[: side // 2].sum())

    assert thickness(200) < thickness(1500) < thickness(4000)


def test_a_label_at_the_upper_edge_goes_inside_and_stays_in_the_picture() -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    drawn = draw(image, _faces((271, 0, 298, 100)))
    assert (drawn[2:11, 273:296] != 128).any(axis=2).all()


@pytest.mark.parametrize("side", [10, 20])
def test_tiny_faces_get_a_frame_only(side: int) -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    drawn = draw(image, _faces((100, 100, 100 + side, 100 + side), points=True))
    changed = (drawn != image).any(axis=2)
    assert changed[100, 100 + side // 2]
    assert not changed[103 : 97 + side, 103 : 97 + side].any()
    assert not changed[:97].any()


def test_points_are_drawn_at_their_place() -> None:
    image = np.full((400, 400, 3), 128, np.uint8)
    drawn = draw(image, _faces((100, 100, 300, 300), points=True))
    changed = (drawn != image).any(axis=2)
    assert changed[200, 200]
    assert not changed[200, 220:280].any()


def test_boxes_outside_the_picture_do_no_harm() -> None:
    image = np.full((50, 60, 3), 7, np.uint8)
    draw(image, _faces((-30, -20, 500, 400), (1e6, 1e6, 2e6, 2e6), points=True))


def test_the_surer_face_lies_on_top() -> None:
    image = np.full((300, 300, 3), 128, np.uint8)
    both = draw(image, _faces((100, 100, 200, 200), (102, 102, 202, 202)))
    sure = draw(image, _faces((100, 100, 200, 200)))
    assert (both[100, 150] == sure[100, 150]).all()
    assert (both[150, 200] == sure[150, 200]).all()
