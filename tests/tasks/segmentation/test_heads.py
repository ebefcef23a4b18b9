"""Heads and their truths are cut from the same place of a photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.data.mask_pairs import MaskPair
from pocketface.tasks.segmentation.heads import read_head, read_truth

from ...segmenter_contract import segmenter_contract
from .colour_network import DISC, SIDE, disc_of, head_at, iou, landmarks_of, painted

SPEC = segmenter_contract("face", side=SIDE).input
VALUES = np.arange(256).astype(np.uint8)


def write(folder: Path, mask: np.ndarray, *, landmarks: np.ndarray | None = None) -> MaskPair:
    """A photo that is green where its mask is 1."""
    paths = folder / "photo.png", folder / "mask.png"
    assert cv2.imwrite(str(paths[0]), painted(mask.shape, mask))
    assert cv2.imwrite(str(paths[1]), mask.astype(np.uint8))
    return MaskPair(*paths, 0, VALUES, landmarks)


@pytest.mark.parametrize("degrees", [0, 100])
@pytest.mark.parametrize("scale", [0.25, 1.0, 2.5])
def test_by_landmarks(scale: float, degrees: float, tmp_path: Path) -> None:
    """In a head four times as large as in its photo half a pixel of that would be seen."""
    head = head_at(330.4, 300.7, scale=scale, degrees=degrees)
    pair = write(tmp_path, disc_of(head, (600, 640)), landmarks=landmarks_of(head))
    picture, truth = read_head(pair, SPEC)
    expected = disc_of(head_at(*DISC[:2], scale=1), (SIDE, SIDE))
    assert iou(truth == 1, expected) > 0.97
    assert iou(truth == 1, picture[..., 1] > 127) > 0.99
    np.testing.assert_array_equal(read_truth(pair, SPEC), truth)


@pytest.mark.parametrize("shape", [(16, 64), (256, 256), (700, 300)])
def test_without_landmarks_edges_meet(shape: tuple[int, int], tmp_path: Path) -> None:
    mask = np.zeros(shape, np.bool_)
    mask[: shape[0] // 4, : shape[1] // 2] = True
    picture, truth = read_head(write(tmp_path, mask), SPEC)
    expected = np.zeros((SIDE, SIDE), np.bool_)
    expected[: SIDE // 4, : SIDE // 2] = True
    assert iou(truth == 1, expected) > 0.99
    assert iou(picture[..., 1] > 127, expected) > 0.99


@pytest.mark.parametrize("side", [SIDE, 2 * SIDE, 3 * SIDE, 4 * SIDE])
def test_a_truth_lies_where_its_picture_does(side: int, tmp_path: Path) -> None:
    y, x = np.mgrid[:side, :side] + 0.5
    mask = np.hypot(x - 0.47 * side, y - 0.53 * side) < 0.3 * side
    picture, truth = read_head(write(tmp_path, mask), SPEC)
    green = picture[..., 1].astype(float) - picture[..., 1].min()
    places = np.mgrid[:SIDE, :SIDE]
    seen, said = ((places * one).sum((1, 2)) / one.sum() for one in (green, truth.astype(float)))
    np.testing.assert_allclose(said, seen, atol=0.05)
    assert truth.sum() == pytest.approx(green.sum() / green.max(), rel=0.01)
