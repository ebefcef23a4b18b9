"""Samples cut from a photo: boxes and points are where the pixels are, and windows as meant."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.tasks.detection.augmentation import AugmentationSpec
from pocketface.tasks.detection.crops import Scene, augment, flip

ZOOM = AugmentationSpec(crop="zoom", scales=[0.3, 1.0, 2.0], size=64, min_face=4.0)
STRETCHED = AugmentationSpec(crop="zoom", shape="photo", scales=[0.3, 1.0, 2.0], min_face=4.0)
IOU = AugmentationSpec(crop="iou", min_face=4.0)
TURNED = AugmentationSpec(crop="zoom", rotate=0.5, anywhere=0.5)


def _sample(height: int = 300, width: int = 400) -> Scene:
    """A black photo whose one face is white: boxes can be checked against pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    image[100:160, 200:250] = 255
    points = [[210, 115], [240, 115], [225, 130], [212, 145], [238, 145]]
    return Scene(
        image=image,
        boxes=np.array([[200, 100, 250, 160]], np.float32),
        landmarks=np.array([points], np.float32),
        ignore=np.array([False]),
    )


LETTERBOX = AugmentationSpec(crop="letterbox", scales=[0.5, 1.0], min_face=4.0)


@pytest.mark.parametrize(
    "spec", [ZOOM, STRETCHED, IOU, LETTERBOX], ids=["zoom", "stretched", "iou", "letterbox"]
)
@pytest.mark.parametrize("seed", range(20))
def test_boxes_and_landmarks_move_with_the_pixels(spec: AugmentationSpec, seed: int) -> None:
    result = augment(_sample(), spec=spec, height=192, width=256, rng=np.random.default_rng(seed))
    assert result.image.shape == (192, 256, 3)
    white = np.argwhere(result.image[..., 0] > 127)
    if len(result.boxes) == 0:
        assert len(white) == 0
        return
    y1, x1 = white.min(0)
    y2, x2 = white.max(0) + 1
    np.testing.assert_allclose(result.boxes[0], [x1, y1, x2, y2], atol=0.75)
    # What moved the points (alike when mirrored: they are symmetric) moves the box, then cut.
    points = result.landmarks[0]
    scale = np.array([points[1, 0] - points[0, 0], points[3, 1] - points[0, 1]]) / 30
    place = points[0] - [210, 115] * scale
    np.testing.assert_allclose(points, _sample().landmarks[0] * scale + place, atol=0.05)
    corners = _sample().boxes.reshape(2, 2) * scale + place
    expected = corners.clip(0, [256, 192]).reshape(4)
    np.testing.assert_allclose(result.boxes[0], expected, atol=0.05)


def test_zoom_reaches_in_and_out_and_keeps_a_face() -> None:
    sides = []
    for seed in range(60):
        result = augment(_sample(), spec=ZOOM, height=64, width=64, rng=np.random.default_rng(seed))
        sides.append(result.boxes[0, 3] - result.boxes[0, 1])
    # 60 of 300 pixels high: 64 / (0.3 * 300) * 60 = 43 at the nearest, 6.4 at the farthest.
    assert max(sides) == pytest.approx(42.7, abs=1.5)
    assert min(sides) == pytest.approx(6.4, abs=1.5)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_windows_of_the_photo_s_shape_stretch_faces_as_the_whole_photo_is(scale: float) -> None:
    """A face of 50 x 60 in 400 x 300, on a square: 128 / 400 and 128 / 300 of it where whole."""
    spec = AugmentationSpec(crop="zoom", shape="photo", scales=[scale], size=128, min_face=0.0)
    for seed in range(20):
        cut = augment(_sample(), spec=spec, height=128, width=128, rng=np.random.default_rng(seed))
        size = cut.landmarks[0, [3, 4]].mean(0) - cut.landmarks[0, [0, 1]].mean(0)
        eyes = np.ptp(cut.landmarks[0, :2, 0])
        np.testing.assert_allclose(eyes, 30 * 128 / 400 / scale, rtol=0.02)
        np.testing.assert_allclose(size[1], 30 * 128 / 300 / scale, rtol=0.02)


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (32, 40)])
@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_letterboxed_samples_are_the_input_s_photos(height: int, width: int, scale: float) -> None:
    spec = AugmentationSpec(crop="letterbox", scales=[scale], flip=0.0, min_face=0.0)
    photo = np.full((height, width, 3), 200, np.uint8)
    box = np.array([[10, 8, 20, 16]], np.float32)
    scene = Scene(photo, box, np.full((1, 5, 2), np.nan, np.float32), np.array([False]))
    found = augment(scene, spec=spec, height=96, width=160, rng=np.random.default_rng(0))
    factor = scale * min(96 / height, 160 / width)
    assert found.boxes[0] == pytest.approx(box[0] * factor, rel=0.03)
    rows, columns = (
        (found.image[..., 0] > 100).any(1).sum(),
        (found.image[..., 0] > 100).any(0).sum(),
    )
    assert (rows, columns) == pytest.approx((height * factor, width * factor), abs=1)
    assert found.image[0, 0, 0] == 200


def test_letterbox_does_not_enlarge() -> None:
    with pytest.raises(ValueError, match="at most 1"):
        AugmentationSpec(crop="letterbox", scales=[1.2])
    with pytest.raises(ValueError, match="size is not of crop"):
        AugmentationSpec(crop="letterbox", size=64)


def test_some_crops_hold_no_face() -> None:
    """A face of 50 x 60 in 400 x 300, squares of 90: anywhere, most miss it."""
    found = {}
    for share in (0.0, 0.5):
        spec = AugmentationSpec(crop="zoom", scales=[0.3], size=64, min_face=0.0, anywhere=share)
        crops = [
            augment(_sample(), spec=spec, height=64, width=64, rng=np.random.default_rng(seed))
            for seed in range(60)
        ]
        found[share] = sum(bool(len(crop.boxes)) for crop in crops)
    assert found[0.0] == 60
    assert 25 < found[0.5] < 50


def test_turned_crops_turn_boxes_and_landmarks() -> None:
    """The face is an ellipse in red, with a point in green where the nose is."""
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.ellipse(image, (225, 130), (25, 45), 0, 0, 360, (255, 0, 0), -1)
    cv2.circle(image, (225, 105), 4, (255, 255, 0), -1)
    points = [[205.5, 130.5], [245.5, 130.5], [225.5, 105.5], [np.nan] * 2, [np.nan] * 2]
    sample = Scene(
        image,
        np.array([[200, 85, 251, 176]] * 2, np.float32),
        np.array([points] * 2, np.float32),
        np.array([False, True]),
    )
    spec = AugmentationSpec(
        crop="zoom", scales=[0.8, 1.2], rotate=1.0, max_angle=90.0, flip=0.0, min_face=0.0
    )
    angles = []
    for seed in range(40):
        made = augment(sample, spec=spec, height=240, width=240, rng=np.random.default_rng(seed))
        if len(made.boxes) == 0 or made.boxes.min() < 1 or made.boxes.max() > 239:
            continue
        seen = np.argwhere(made.image[..., 0] > 127)[:, ::-1]
        box = np.concatenate((seen.min(0), seen.max(0) + 1))
        np.testing.assert_allclose(made.boxes[0], box, atol=2)
        weights = made.image[..., 1].astype(float)
        nose = (np.argwhere(weights) + 0.5)[:, ::-1]
        nose = np.average(nose, axis=0, weights=weights[weights > 0])
        np.testing.assert_allclose(made.landmarks[0, 2], nose, atol=0.7)
        eyes = made.landmarks[0, 1] - made.landmarks[0, 0]
        angles.append(np.degrees(np.arctan2(-eyes[1], eyes[0])))
        # Of what is to be ignored, the corners too.
        turn = np.abs([[eyes[0], eyes[1]], [eyes[1], eyes[0]]]) / np.hypot(*eyes)
        size = turn @ (51, 91) * np.hypot(*eyes) / 40
        np.testing.assert_allclose(made.boxes[1, 2:] - made.boxes[1, :2], size, rtol=0.02)
        assert made.ignore.tolist() == [False, True]
        assert np.isnan(made.landmarks[0, 3:]).all()
    assert len(angles) > 20
    assert np.percentile(angles, 10) < -45
    assert np.percentile(angles, 90) > 45


def test_a_face_cut_at_its_centre_or_too_small_is_ignored() -> None:
    small = AugmentationSpec(crop="zoom", scales=[2.0], size=64, min_face=20.0)
    result = augment(_sample(), spec=small, height=64, width=64, rng=np.random.default_rng(0))
    assert result.ignore.tolist() == [True]
    sample = _sample()
    two = Scene(
        sample.image,
        np.array([[200, 100, 250, 160], [255, 100, 305, 160]], np.float32),
        np.full((2, 5, 2), np.nan, np.float32),
        np.array([False, False]),
    )
    near = AugmentationSpec(crop="zoom", scales=[0.3], size=64, min_face=0.0)
    cut = 0
    for seed in range(20):
        result = augment(two, spec=near, height=64, width=64, rng=np.random.default_rng(seed))
        assert not result.ignore.all()  # the crop is made around one of them, which is whole
        widths = result.boxes[:, 2] - result.boxes[:, 0]
        whole = 50 * 64 / 90
        # Cut by more than half, the centre is out.
        np.testing.assert_array_equal(result.ignore, widths < whole / 2)
        cut += int(result.ignore.sum())
    assert cut > 3


def _crowd(*sides: float, ignored: bool = False) -> Scene:
    """A photo of 800 x 600 with faces of these sides in a row; all have the points of `_ENDS`."""
    x = np.linspace(100, 500, len(sides))
    boxes = np.array([[x, 200, x + side, 200 + side] for x, side in zip(x, sides, strict=True)])
    return Scene(
        image=np.zeros((600, 800, 3), np.uint8),
        boxes=boxes.reshape(-1, 4).astype(np.float32),
        landmarks=np.tile(_ENDS[[0, 0, 0, 1, 1]], (len(sides), 1, 1)),
        ignore=np.full(len(sides), ignored),
    )


_ENDS = np.array([[0, 0], [800, 600]], np.float32)
"""Of the photo: where they come to tells which window was cut."""


def _windows(sample: Scene, count: int = 300) -> NDArray[np.float64]:
    """Left, top, width, height of windows that SSD's crop takes; (count, 4)."""
    spec = AugmentationSpec(crop="iou", flip=0.0, min_face=0.0)
    windows = []
    for seed in range(count):
        cut = augment(sample, spec=spec, height=60, width=80, rng=np.random.default_rng(seed))
        first, last = cut.landmarks[0, 0].astype(float), cut.landmarks[0, -1].astype(float)
        scale = (last - first) / [800, 600]
        windows.append([*(-first / scale), *([80, 60] / scale)])
    return np.array(windows)


def _is_whole(windows: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (windows[:, 2:] > [799, 599]).all(1)


def test_small_faces_have_the_whole_photo_or_a_free_window() -> None:
    windows = _windows(_crowd(10, 12, 9, 10))
    part = windows[~_is_whole(windows)]
    assert 0.4 < len(part) / len(windows) < 0.6
    share = part[:, 2:] / [800, 600]
    pixel = 1 / 600  # windows end at whole ones
    assert share.min() >= 0.3 - pixel
    assert share.max() <= 1
    aspect = part[:, 2] / part[:, 3]
    assert aspect.min() >= 0.5 - 3 * pixel
    assert aspect.max() <= 2 + 12 * pixel
    faces = _crowd(10, 12, 9, 10).boxes
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    low, high = part[:, None, :2] - 1, part[:, None, :2] + part[:, None, 2:] + 1
    assert ((centres > low) & (centres < high)).all(2).any(1).all()


def test_photos_without_faces_have_free_windows() -> None:
    """What is ignored is no face, and here it is everywhere."""
    nothing = _crowd(1, ignored=True)
    nothing.boxes[0] = (0, 0, 800, 600)
    assert (~_is_whole(_windows(nothing))).mean() > 0.7


def _iou(windows: NDArray[np.float64], box: NDArray[np.float32]) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box
    width = np.minimum(windows[:, 0] + windows[:, 2], x2) - np.maximum(windows[:, 0], x1)
    height = np.minimum(windows[:, 1] + windows[:, 3], y2) - np.maximum(windows[:, 1], y1)
    inter = width.clip(0) * height.clip(0)
    overlap: NDArray[np.float64] = inter / (
        windows[:, 2] * windows[:, 3] + (x2 - x1) * (y2 - y1) - inter
    )
    return overlap


def test_windows_have_the_iou_that_was_drawn() -> None:
    """Draws want at least .1, .3, .5, .7 or .9; free windows alone reach .3 in 44 %, .5 in 8 %."""
    one = _crowd(300)
    windows = _windows(one)
    assert 0.08 < _is_whole(windows).mean() < 0.25
    reached = _iou(windows, one.boxes[0])
    assert (reached > 0.29).mean() > 0.55
    assert (reached > 0.49).mean() > 0.25
    assert (reached < 0.29).mean() > 0.25


def test_the_smallest_iou_counts() -> None:
    """With a small face beside the large one, no window has such an IoU with both."""
    assert 0.4 < _is_whole(_windows(_crowd(300, 10))).mean() < 0.6


def test_flipping_twice_gives_the_sample_back() -> None:
    sample = _sample()
    once = flip(sample)
    np.testing.assert_allclose(once.boxes, [[150, 100, 200, 160]])
    np.testing.assert_allclose(once.landmarks[0, 0], [160, 115])  # the other eye, mirrored
    twice = flip(once)
    np.testing.assert_array_equal(twice.image, sample.image)
    np.testing.assert_allclose(twice.landmarks, sample.landmarks)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1)])
@pytest.mark.parametrize("spec", [TURNED, IOU], ids=["zoom", "iou"])
def test_the_smallest_photos(spec: AugmentationSpec, height: int, width: int) -> None:
    box = np.array([[0, 0, width, height]], np.float32)
    image = np.full((height, width, 3), 200, np.uint8)
    sample = Scene(image, box, np.zeros((1, 5, 2), np.float32), np.array([False]))
    for seed in range(100):
        cut = augment(sample, spec=spec, height=64, width=64, rng=np.random.default_rng(seed))
        assert cut.image.shape == (64, 64, 3)
