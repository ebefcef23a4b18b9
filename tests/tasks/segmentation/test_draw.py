"""A picture with masks, and masks in words."""

from __future__ import annotations

import numpy as np

from pocketface.mask import Mask
from pocketface.results import Detections
from pocketface.tasks import task_of

from .colour_network import colour_segmenter

TASK = task_of("face-segmentation")


def masks_of_three_stripes() -> tuple[np.ndarray, list[Mask]]:
    """A picture whose thirds are blue (background), green (face) and red (glasses)."""
    photo = np.zeros((30, 60, 3), np.uint8)
    for third in range(3):
        photo[:, 20 * third : 20 * third + 20, third] = 255
    return photo, colour_segmenter("background", "face", "glasses").predict(photo)


def test_each_class_has_a_colour() -> None:
    photo, masks = masks_of_three_stripes()
    before = photo.copy()
    nobody = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    drawn = TASK.draw.draw(photo, nobody, masks)
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(drawn[:, :18], photo[:, :18])
    face, glasses = (drawn[15, x].astype(int) - photo[15, x] for x in (30, 50))
    assert np.abs(face - glasses).max() > 40


def test_masks_and_their_holes_have_outlines() -> None:
    shown = np.zeros((40, 40), np.float32)
    shown[5:35, 5:35] = 1
    shown[15:25, 15:25] = 0
    photo = np.zeros((40, 40, 3), np.uint8)
    drawn = Mask(shown[None], 0, 0, (40, 40), ("face",)).draw(photo).astype(int).sum(axis=2)
    inside, edge, hole = drawn[10, 10], drawn[5, 20], drawn[14, 20]
    assert edge == hole > 2 * inside > 0
    assert drawn[20, 20] == drawn[2, 2] == 0


def test_boxes_are_on_top() -> None:
    photo, masks = masks_of_three_stripes()
    box = np.array([[5, 5, 55, 25]], np.float32)
    drawn = TASK.draw.draw(photo, Detections(box, np.array([0.75], np.float32)), masks)
    np.testing.assert_array_equal(drawn[5, 25], drawn[5, 45])
    assert (drawn[15, 25] != drawn[15, 45]).any()


def test_what_is_told_of_a_face() -> None:
    _, (mask,) = masks_of_three_stripes()
    assert TASK.draw.told(mask).text == "face 600 px, glasses 600 px"
    (whole,) = colour_segmenter("face").predict(np.full((40, 50, 3), 255, np.uint8))
    assert TASK.draw.told(whole).text == "face 2,000 px"
    assert TASK.draw.told(whole).kind is None
