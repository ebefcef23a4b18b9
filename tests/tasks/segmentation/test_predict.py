"""From a photo and landmarks to masks in the photo's pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from pocketface.errors import InputError
from pocketface.mask import Mask
from pocketface.tasks.segmentation.classes import classes_of

from .colour_network import (
    DISC,
    SIDE,
    colour_segmenter,
    disc_of,
    head_at,
    iou,
    landmarks_of,
    painted,
)

SEGMENTER = colour_segmenter("face")


def predict(photo: np.ndarray, *heads: np.ndarray) -> list[Mask]:
    points = np.array([landmarks_of(head) for head in heads], np.float32)
    return SEGMENTER.predict(photo, points.reshape(-1, 5, 2))


@pytest.mark.parametrize("degrees", [0, 17, 90, -135])
@pytest.mark.parametrize(
    ("shape", "x", "y", "scale"),
    [
        ((300, 400), 180.3, 140.7, 1.0),
        ((300, 400), 180.3, 140.7, 0.31),
        ((900, 1000), 480.2, 433.9, 4.0),
        ((300, 400), 3.0, 150.5, 0.9),
        ((300, 400), 399.0, 299.0, 1.2),
        ((300, 400), 203.25, 146.6, 0.3),
    ],
    ids=["as it is", "small", "large", "beyond the left edge", "at the corner", "another place"],
)
def test_the_mask_lies_where_the_face_is(
    shape: tuple[int, int], x: float, y: float, scale: float, degrees: float
) -> None:
    head = head_at(x, y, scale=scale, degrees=degrees)
    truth = disc_of(head, shape)
    (found,) = predict(painted(shape, truth), head)
    assert found.mask.shape == shape
    assert iou(found.mask, truth) > 0.99
    assert found.area == found.mask.sum()


@pytest.mark.parametrize("degrees", [0, 33])
def test_tiny_faces(degrees: float) -> None:
    """Faces 12 pixels wide: of all of them together hardly a pixel is wrong."""
    shape, wrong, right = (60, 60), 0, 0
    for shift in np.linspace(0, 1, 7):
        head = head_at(30 + shift, 29 - shift / 2, scale=6 / DISC[2], degrees=degrees)
        truth = disc_of(head, shape)
        (found,) = predict(painted(shape, truth), head)
        wrong, right = wrong + (found.mask ^ truth).sum(), right + truth.sum()
    assert wrong < 0.01 * right


def test_no_pixel_is_skipped_where_a_picture_shrinks() -> None:
    """Stripes one pixel wide become grey: in the head of a large photo, and in a tiny face."""
    photo = np.zeros((1500, 1400, 3), np.uint8)
    photo[:, ::2] = 255
    large, small = head_at(700, 800, scale=5), head_at(30, 30, scale=0.1, degrees=0)
    (head,) = SEGMENTER.cut(photo, SEGMENTER.transforms(photo.shape, landmarks_of(large)[None]))
    np.testing.assert_allclose(head[20:-20, 20:-20], 128, atol=30)
    stripes = np.zeros((1, SIDE, SIDE), np.float32)
    stripes[:, :, ::2] = 1
    transforms = SEGMENTER.transforms((60, 60), landmarks_of(small)[None])
    (found,) = SEGMENTER.place([stripes], transforms, (60, 60))
    np.testing.assert_allclose(found.probabilities[:, 3:-3, 3:-3], 0.5, atol=0.1)


def test_a_head_inside_a_large_photo_has_no_dark_edge() -> None:
    head = head_at(700, 800, scale=5)
    white = np.full((1500, 1400, 3), 255, np.uint8)
    (cut,) = SEGMENTER.cut(white, SEGMENTER.transforms(white.shape, landmarks_of(head)[None]))
    assert cut.min() == 255


def test_a_face_of_4000_pixels() -> None:
    shape = (4200, 4100)
    head = head_at(2050, 2100, scale=2000 / DISC[2], degrees=10)
    truth = disc_of(head, shape)
    (found,) = predict(painted(shape, truth), head)
    assert iou(found.mask, truth) > 0.995


def test_there_are_no_holes_and_no_seams() -> None:
    """All of the head is face, up to its edges and those of the photo."""
    head = head_at(200, 150, scale=1.3, degrees=30)
    (found,) = predict(np.full((300, 400, 3), 255, np.uint8), head)
    edges = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]]) @ head[:, :2].T + head[:, 2]
    square = np.zeros((300, 400), np.uint8)
    cv2.fillConvexPoly(square, np.rint((edges - 0.5) * 256).astype(int), 1, shift=8)
    assert iou(found.mask, square > 0) > 0.99
    inner = cv2.erode(square, np.ones((5, 5), np.uint8), borderValue=1) > 0
    assert found.mask[inner].all()
    assert not found.mask[cv2.dilate(square, np.ones((5, 5), np.uint8)) == 0].any()


@pytest.mark.parametrize("shape", [(256, 256), (100, 70), (60, 900), (1200, 700), (1, 1), (3, 500)])
def test_a_picture_without_landmarks_is_a_head(shape: tuple[int, int]) -> None:
    white = np.full((*shape, 3), 255, np.uint8)
    (found,) = SEGMENTER.predict(white)
    assert found.mask.all()
    assert found.mask.shape == shape
    half = white.copy()
    half[:, : shape[1] // 2] = 0
    (found,) = SEGMENTER.predict(half)
    expected = half[..., 1] > 0
    assert (found.mask != expected).sum() <= shape[0] * max(1, shape[1] / SIDE / 2)


def test_a_head_beside_the_photo_has_an_empty_mask() -> None:
    photo = np.full((50, 60, 3), 255, np.uint8)
    heads = [head_at(x, y, scale=0.1) for x, y in ((-300, 20), (30, 400), (5000, 5000))]
    heads.append(head_at(-9000, 20, scale=3))
    for found in predict(photo, *heads):
        assert found.area == 0
        assert found.mask.shape == (50, 60)
        assert found.box is None
        assert found.polygon() == []
        assert Mask.from_dict(found.to_dict()).area == 0
        assert found.cutout(photo).size == 0
        np.testing.assert_array_equal(found.draw(photo), photo)


def test_a_pixel_is_of_the_nearer_face() -> None:
    """As far away as each face is large, so that a small one beside a large one keeps its own."""
    shape = (400, 700)
    large = head_at(250, 200, scale=1.6)
    small = head_at(420, 200, scale=0.6)  # from 362 on, and the large one ends at 378
    truths = [disc_of(head, shape) for head in (large, small)]
    photo = painted(shape, *truths)
    for order in ((0, 1), (1, 0)):
        heads = [(large, small)[index] for index in order]
        found = predict(photo, *heads)
        masks = {index: mask.mask for index, mask in zip(order, found, strict=True)}
        assert not (masks[0] & masks[1]).any()
        # The network of colours sees in each head what is in the other too; all is given away.
        assert ((masks[0] | masks[1]) == (truths[0] | truths[1])).mean() > 0.999
        assert iou(masks[0], truths[0] & ~truths[1]) > 0.97
        assert iou(masks[1], truths[1]) > 0.8


def test_what_only_one_head_claims_stays_its_own() -> None:
    """A face that lies nearer to its neighbour's middle, where the neighbour sees nothing."""
    photo = np.full((300, 300, 3), 255, np.uint8)
    head, beside = head_at(120, 150, scale=1.0), head_at(200, 150, scale=0.2)
    segmenter = colour_segmenter("face")
    shares = [np.ones((1, SIDE, SIDE), np.float32), np.zeros((1, SIDE, SIDE), np.float32)]
    points = np.array([landmarks_of(head), landmarks_of(beside)])
    transforms = segmenter.transforms(photo.shape, points)
    one, other = segmenter.place(shares, transforms, photo.shape)
    assert other.area == 0
    assert one.mask[150, 200]


def test_thirty_faces_each_get_their_own() -> None:
    shape = (500, 600)
    heads = [
        head_at(50 + 100 * column, 50 + 100 * row, scale=0.5, degrees=13 * (row - column))
        for row in range(5)
        for column in range(6)
    ]
    truths = [disc_of(head, shape) for head in heads]
    found = predict(painted(shape, *truths), *heads)
    assert len(found) == 30
    for mask, truth in zip(found, truths, strict=True):
        assert iou(mask.mask, truth) > 0.98
    assert np.sum([mask.mask for mask in found], axis=0).max() == 1
    assert predict(np.zeros((*shape, 3), np.uint8)) == []


def test_memory_follows_the_heads_and_not_the_photo() -> None:
    heads = [head_at(500 + 90 * index, 900, scale=0.3) for index in range(30)]
    found = predict(np.zeros((3000, 4000, 3), np.uint8), *heads)
    assert sum(mask.probabilities.nbytes for mask in found) < 2e6


def test_several_classes_compete() -> None:
    """Beyond the head all is background, and what a neighbour gets becomes background."""
    segmenter = colour_segmenter("background", "face", "glasses")
    shape = (200, 300)
    heads = [head_at(x, 100, scale=0.5, degrees=20) for x in (100, 160)]
    photo = np.zeros((*shape, 3), np.uint8)
    photo[..., 0] = 255
    for head in heads:
        photo[disc_of(head, shape)] = (0, 255, 0)
    photo[90:100] = (0, 0, 255)
    points = np.array([landmarks_of(head) for head in heads])
    found = segmenter.predict(photo, points)
    for mask in found:
        np.testing.assert_allclose(mask.probabilities.sum(0), 1, atol=0.01)
        assert mask.name == "face"
        of_all = np.sum([mask.of(name) for name in mask.classes], axis=0)
        assert (of_all == 1).all()
        assert mask.of("glasses")[93:98, 90:110].all() or mask is not found[0]
        assert not mask.mask[90:100].any()
        assert mask.of("background")[0, 0]
    assert not (found[0].mask & found[1].mask).any()
    assert not (found[0].of("glasses") & found[1].of("glasses")).any()
    with pytest.raises(InputError, match="no class 'hair'; there are: background, face, glasses"):
        found[0].of("hair")


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.75])
def test_masks_and_figures_have_the_same_pixels(threshold: float) -> None:
    """Those with the threshold itself, too."""
    shares = np.linspace(0, 1, 21, dtype=np.float32).reshape(1, 3, 7)
    expected = (np.arange(21) >= round(20 * threshold)).reshape(3, 7)
    mask = Mask(shares, 0, 0, (3, 7), ("face",), threshold)
    np.testing.assert_array_equal(mask.mask, expected)
    np.testing.assert_array_equal(classes_of(shares, threshold), expected)


@pytest.mark.parametrize("batch", [-1, 1, 4])
def test_a_fixed_batch_is_filled_up(batch: int) -> None:
    segmenter = colour_segmenter("face", batch=batch)
    heads = [head_at(60 + 70 * index, 60, scale=0.4) for index in range(5)]
    truths = [disc_of(head, (120, 400)) for head in heads]
    points = np.array([landmarks_of(head) for head in heads])
    found = segmenter.predict(painted((120, 400), *truths), points, batch_size=2)
    assert [iou(a.mask, b) > 0.98 for a, b in zip(found, truths, strict=True)] == [True] * 5


def test_colours_may_come_as_rgb() -> None:
    segmenter = colour_segmenter("blue", "green", "red")
    photo = np.zeros((30, 30, 3), np.uint8)
    photo[..., 2] = 255
    assert segmenter.predict(photo)[0].of("red").all()
    assert segmenter.predict(photo, colour="RGB")[0].of("blue").all()


@pytest.mark.parametrize(
    ("points", "what"),
    [
        (np.zeros((5, 2)), r"have shape \(5, 2\)"),
        (np.zeros((1, 4, 2)), r"have shape \(1, 4, 2\)"),
        (np.zeros(0), r"have shape \(0,\)"),
        (np.full((1, 5, 2), "1"), "are of str32"),
        (np.full((1, 5, 2), np.nan), "of face 1 are not finite"),
    ],
)
def test_landmarks_of_another_form_are_refused(points: np.ndarray, what: str) -> None:
    expected = rf"^landmarks {what}: expected \(faces, 5, 2\), all finite"
    with pytest.raises(InputError, match=expected):
        SEGMENTER.predict(np.zeros((20, 20, 3), np.uint8), points)


@pytest.mark.parametrize("points", [None, "face", [[1, 2], [3]]])
def test_a_head_is_none_by_mistake(points: Any) -> None:
    """None are the landmarks of faces that a detector without any found, or that are in JSON."""
    with pytest.raises(InputError, match=r"^landmarks .*: expected "):
        SEGMENTER.predict(np.zeros((20, 20, 3), np.uint8), points)


def test_the_steps_give_what_predict_gives() -> None:
    head = head_at(150, 140, scale=0.7, degrees=20)
    photo = painted((300, 280), disc_of(head, (300, 280)))
    steps = SEGMENTER.steps()
    batch, places = steps.prepare([photo, photo[:90]], [landmarks_of(head), None])
    assert batch.shape == (2, 3, SIDE, SIDE)
    assert steps.finish(steps.infer(batch), places) == [
        *predict(photo, head),
        *SEGMENTER.predict(photo[:90]),
    ]
