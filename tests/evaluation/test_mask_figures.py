"""Figures of masks, against definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.evaluation.masks import MaskFigures, boundary_f


def disc(x: float, *, radius: float = 60, side: int = 256) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    return ((columns - x) ** 2 + (rows - side / 2) ** 2 <= radius**2).astype(np.uint8)


def sure(found: np.ndarray) -> np.ndarray:
    return found[None].astype(np.float32)


def test_one_class_by_definition() -> None:
    figures = MaskFigures(1)
    pairs = [(disc(100), disc(110)), (disc(90, radius=20), disc(90, radius=40))]
    ious = [figures.add(sure(found), found, truth) for found, truth in pairs]
    found, truth = (np.stack([pair[side] for pair in pairs]) > 0 for side in (0, 1))
    common, union = (found & truth).sum(), (found | truth).sum()
    got = figures.figures()
    assert got["iou"] == pytest.approx(common / union)
    assert (
        got["dice"] == got["soft_dice"] == pytest.approx(2 * common / (found.sum() + truth.sum()))
    )
    assert ious == pytest.approx(
        [(f & t).sum() / (f | t).sum() for f, t in zip(found, truth, strict=True)]
    )
    assert got["mean_iou"] == pytest.approx(np.mean(ious))
    assert got["images"] == 2


def test_what_is_right_is_perfect() -> None:
    figures = MaskFigures(1)
    for truth in (disc(100), np.zeros((256, 256), np.uint8), np.ones((256, 256), np.uint8)):
        assert figures.add(sure(truth), truth, truth) == 1
    got = figures.figures()
    assert [got[key] for key in ("iou", "dice", "soft_dice", "boundary_f", "mean_iou")] == [1] * 5
    assert got["loss"] == pytest.approx(0, abs=1e-6)


def test_soft_dice_and_loss_are_of_the_probabilities() -> None:
    truth = disc(100)
    shares = np.where(truth, 0.8, 0.1)[None].astype(np.float32)
    figures = MaskFigures(1)
    figures.add(shares, truth, truth)
    got = figures.figures()
    true, other = truth.sum(), (truth == 0).sum()
    assert got["dice"] == 1
    assert got["soft_dice"] == pytest.approx(
        2 * 0.8 * true / (0.8 * true + 0.1 * other + true), rel=1e-5
    )
    expected = -(np.log(0.8) * true + np.log(0.9) * other) / truth.size
    assert got["loss"] == pytest.approx(expected, rel=1e-5)


def test_several_classes_are_averaged() -> None:
    truth = disc(100) + 2 * disc(220, radius=20)
    found = disc(100)  # the third class is not found
    shares = np.eye(4, dtype=np.float32)[found].transpose(2, 0, 1)
    figures = MaskFigures(4)
    figures.add(shares, found, truth)
    background = (truth == 0).sum() / (found == 0).sum()
    # The fourth is neither there nor found, and does not count.
    assert figures.by_class() == pytest.approx([background, 1.0, 0.0, None])
    assert figures.figures()["iou"] == pytest.approx((background + 1 + 0) / 3)


def test_a_lost_picture_counts_as_empty() -> None:
    figures = MaskFigures(1)
    figures.add_lost(disc(100))
    got = figures.figures()
    assert (got["iou"], got["unreadable"], got["images"]) == (0, 1, 1)
    assert MaskFigures(1).figures()["iou"] is None


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (2, 1.0), (30, 0.1)])
def test_borders_may_be_two_pixels_apart(shift: int, expected: float) -> None:
    one, other = disc(100) > 0, disc(100 + shift) > 0
    assert boundary_f(one, other) == pytest.approx(expected, abs=0.1)
    assert boundary_f(one, other) == boundary_f(other, one)


def test_the_edge_of_a_picture_is_no_border() -> None:
    """Both masks reach three edges, but their own borders are far apart."""
    truth, found = (np.zeros((256, 256), bool) for _ in range(2))
    truth[:, :100], found[:, :50] = True, True
    assert boundary_f(found, truth) == 0
    assert boundary_f(truth, truth) == 1


@pytest.mark.parametrize("found", [False, True])
@pytest.mark.parametrize("truth", [False, True])
def test_masks_without_a_border_are_the_same_or_not(found: bool, truth: bool) -> None:
    """A mask of the whole picture has none, and neither has an empty one."""
    assert boundary_f(np.full((9, 9), found), np.full((9, 9), truth)) == (found == truth)


def test_the_background_has_no_border_of_its_own() -> None:
    truth = np.zeros((256, 256), np.uint8)
    truth[:, 100:] = 1
    truth[100:, 100:] = 2
    found = np.where(truth == 2, 0, truth).astype(np.uint8)
    figures = MaskFigures(3)
    shares = np.eye(3, dtype=np.float32)[found].transpose(2, 0, 1)
    figures.add(shares, found, truth)
    assert figures.figures()["boundary_f"] == pytest.approx(0.5)  # of the first class 1, and 0


def test_nine_of_ten_pictures_exceed_the_worst_tenth() -> None:
    figures = MaskFigures(1)
    truth = np.ones((1, 100), np.uint8)
    for right in range(0, 101, 10):
        found = (np.arange(100) < right).astype(np.uint8)[None]
        figures.add(sure(found), found, truth)
    assert figures.figures()["worst_tenth"] == pytest.approx(0.1)


def test_the_reach_grows_with_the_picture() -> None:
    assert boundary_f(disc(100) > 0, disc(104) > 0) < 0.9
    large = [disc(x, radius=120, side=512) > 0 for x in (200, 204)]
    assert boundary_f(*large) == 1
