"""Samples that can be made again, and their order."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pocketface.data.coco import read_coco
from pocketface.errors import DataError
from pocketface.model_templates.recipe import AugmentationSpec
from pocketface.training import crops as crops_file
from pocketface.tasks.detection.crops import Sample, augment, flip
from pocketface.tasks.detection.photo_crops import EpochSampler, PhotoCrops, collate
from pocketface.tasks.detection.photometric import MAX_HUE, Photometric, rotate_hue

ZOOM = AugmentationSpec(crop="zoom", scales=[0.3, 1.0, 2.0], size=64, min_face=4.0)
STRETCHED = AugmentationSpec(crop="zoom", shape="photo", scales=[0.3, 1.0, 2.0], min_face=4.0)
IOU = AugmentationSpec(crop="iou", min_face=4.0)
TURNED = AugmentationSpec(crop="zoom", rotate=0.5, anywhere=0.5)


def _sample(height: int = 300, width: int = 400) -> Sample:
    """A black photo whose one face is white: boxes can be checked against pixels."""
    image = np.zeros((height, width, 3), np.uint8)
    image[100:160, 200:250] = 255
    points = [[210, 115], [240, 115], [225, 130], [212, 145], [238, 145]]
    return Sample(
        image=image,
        boxes=np.array([[200, 100, 250, 160]], np.float32),
        landmarks=np.array([points], np.float32),
        ignore=np.array([False]),
    )


@pytest.mark.parametrize("spec", [ZOOM, STRETCHED, IOU], ids=["zoom", "stretched", "iou"])
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
    sample = Sample(
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
    two = Sample(
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


def _crowd(*sides: float) -> Sample:
    """A photo of 800 x 600 with faces of these sides in a row."""
    x = np.linspace(100, 500, len(sides))
    boxes = np.array([[x, 200, x + side, 200 + side] for x, side in zip(x, sides, strict=True)])
    return Sample(
        image=np.zeros((600, 800, 3), np.uint8),
        boxes=boxes.reshape(-1, 4).astype(np.float32),
        landmarks=np.full((len(sides), 5, 2), np.nan, np.float32),
        ignore=np.zeros(len(sides), np.bool_),
    )


def _windows(sample: Sample, count: int = 300) -> NDArray[np.float64]:
    """Left, top, width, height; (count, 4)."""
    rng = np.random.default_rng(0)
    return np.array([crops_file._iou_window(sample, rng) for _ in range(count)])


def test_small_faces_have_the_whole_photo_or_a_free_window() -> None:
    windows = _windows(_crowd(10, 12, 9, 10))
    part = windows[(windows[:, 2:] < [800, 600]).any(1)]
    assert 0.4 < len(part) / len(windows) < 0.6
    share = part[:, 2:] / [800, 600]
    assert share.min() >= 0.3
    assert share.max() <= 1
    aspect = part[:, 2] / part[:, 3]
    assert aspect.min() >= 0.5
    assert aspect.max() <= 2
    faces = _crowd(10, 12, 9, 10).boxes
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    low, high = part[:, None, :2], part[:, None, :2] + part[:, None, 2:]
    assert ((centres > low) & (centres < high)).all(2).any(1).all()
    # Windows of a photo without faces are free.
    assert (_windows(_crowd())[:, 2] < 800).mean() > 0.7


def test_the_smallest_iou_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops_file, "_IOU_MODES", (crops_file._WHOLE, 0.3))
    windows = _windows(_crowd(300))
    part = windows[windows[:, 2] < 800]
    assert len(part) > 100
    x1, y1, x2, y2 = _crowd(300).boxes[0]
    width = np.minimum(part[:, 0] + part[:, 2], x2) - np.maximum(part[:, 0], x1)
    height = np.minimum(part[:, 1] + part[:, 3], y2) - np.maximum(part[:, 1], y1)
    inter = width * height
    assert (inter / (part[:, 2] * part[:, 3] + 300 * 300 - inter)).min() >= 0.3
    # With a small face beside it there is no such window.
    assert (_windows(_crowd(300, 10))[:, 2] == 800).all()


def test_flipping_twice_gives_the_sample_back() -> None:
    sample = _sample()
    once = flip(sample)
    np.testing.assert_allclose(once.boxes, [[150, 100, 200, 160]])
    np.testing.assert_allclose(once.landmarks[0, 0], [160, 115])  # the other eye, mirrored
    twice = flip(once)
    np.testing.assert_array_equal(twice.image, sample.image)
    np.testing.assert_allclose(twice.landmarks, sample.landmarks)


def test_an_item_depends_on_seed_pass_and_index_alone(shared: Path) -> None:
    photos = read_coco(
        [shared / "airport" / "annotation_faces_train.json"], [shared / "airport"]
    ).photos

    def crops(seed: int) -> PhotoCrops:
        return PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=seed)

    ahead = crops(1)
    ahead.preload()
    first, again = ahead.sample((3, 4)), crops(1).sample((3, 4))
    assert torch.equal(first[0], again[0])
    np.testing.assert_array_equal(first[1].boxes, again[1].boxes)
    assert not torch.equal(first[0], ahead.sample((4, 4))[0])
    assert not torch.equal(first[0], crops(2).sample((3, 4))[0])


def test_photos_beyond_the_budget_are_decoded_when_wanted(shared: Path) -> None:
    photos = read_coco(
        [shared / "airport" / "annotation_faces_train.json"], [shared / "airport"]
    ).photos
    crops = PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=1)
    size = 1280 * 720 * 3
    assert crops.preload(budget=3.5 * size) == (3, 3 * size)
    whole = PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=1)
    assert whole.preload() == (10, 10 * size)
    for index in range(10):
        assert torch.equal(crops.sample((0, index))[0], whole.sample((0, index))[0])


def test_an_epoch_visits_every_photo_as_often_as_asked_in_shares() -> None:
    def keys(epoch: int, rank: int = 0, world: int = 1) -> list[tuple[int, int]]:
        sampler = EpochSampler(12, batch_size=2, repeats=2, seed=5, rank=rank, world_size=world)
        sampler.set_epoch(epoch)
        assert len(list(sampler)) == len(sampler)
        return [key for batch in sampler for key in batch]

    whole = keys(0)
    assert sorted(whole) == sorted((run, i) for run in (0, 1) for i in range(12))
    assert sorted(keys(0, 0, 2) + keys(0, 1, 2)) == sorted(whole)
    assert not set(keys(1)) & set(whole)
    assert whole != sorted(whole)


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("processes", [1, 4])
def test_fewer_photos_than_a_batch_still_make_one(repeats: int, processes: int) -> None:
    batches = [
        batch
        for rank in range(processes)
        for batch in EpochSampler(
            3, batch_size=8, repeats=repeats, seed=0, rank=rank, world_size=processes
        )
    ]
    assert [len(batch) for batch in batches] == [8] * processes
    keys = [key for batch in batches for key in batch]
    assert len(set(keys)) == 8 * processes
    assert {index for _, index in keys} == {0, 1, 2}


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1)])
@pytest.mark.parametrize("spec", [TURNED, IOU], ids=["zoom", "iou"])
def test_the_smallest_photos(spec: AugmentationSpec, height: int, width: int) -> None:
    box = np.array([[0, 0, width, height]], np.float32)
    image = np.full((height, width, 3), 200, np.uint8)
    sample = Sample(image, box, np.zeros((1, 5, 2), np.float32), np.array([False]))
    for seed in range(100):
        cut = augment(sample, spec=spec, height=64, width=64, rng=np.random.default_rng(seed))
        assert cut.image.shape == (64, 64, 3)


def test_a_photo_lost_during_the_training(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(shared / "airport" / "train", tmp_path / "train")
    labels = shared / "airport" / "annotation_faces_train.json"
    photos = read_coco([labels], [tmp_path], classes=("face",)).photos
    crops = PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=0)
    crops.preload(budget=0)
    photos[-1].path.unlink()
    assert crops.sample((0, len(photos) - 1))[2] == photos[0].image_id
    assert f"left out: {photos[-1].path}" in caplog.text
    for photo in photos[:-1]:
        photo.path.unlink()
    with pytest.raises(DataError, match=rf"none of the {len(photos)} photos is left"):
        crops.sample((0, 0))


def test_collate_separates_ignored_boxes() -> None:
    sample = _sample()
    both = Sample(
        sample.image,
        np.array([[0, 0, 9, 9], [1, 1, 5, 5]], np.float32),
        np.zeros((2, 5, 2), np.float32),
        np.array([True, False]),
    )
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    images, targets = collate([(image, sample, 7), (image, both, 9)])
    assert images.shape == (2, 3, 4, 4)
    assert targets.image_index.tolist() == [0, 1]
    assert targets.boxes[1].tolist() == [1, 1, 5, 5]
    assert targets.ignore_index.tolist() == [1]
    assert targets.ignore_boxes.tolist() == [[0, 0, 9, 9]]
    assert targets.image_ids.tolist() == [7, 9]


def test_photometric_is_seeded_keeps_the_range_and_leaves_the_random_state() -> None:
    images = torch.rand(8, 3, 16, 16) * 255
    distort = Photometric(share=0.5)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = distort(images, seed=11)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, distort(images, seed=11))
    assert not torch.equal(first, distort(images, seed=12))
    assert first.min() >= 0
    assert first.max() <= 255
    changed = [not torch.equal(a, b) for a, b in zip(first, images, strict=True)]
    assert 0 < sum(changed) < 8


def test_hue_turns_colours_and_leaves_greys() -> None:
    red, grey = torch.tensor([1.0, 0.0, 0.0]), torch.full((3,), 0.4)
    images = torch.stack((red, red, grey))[..., None, None].expand(3, 3, 4, 4)
    angles = torch.deg2rad(torch.tensor([120.0, -120.0, 50.0]))
    # Under autocast, as the training step is: products of matrices would be rounded.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = rotate_hue(images, angles)
    assert got.dtype == torch.float32
    expected = torch.stack((red.roll(1), red.roll(-1), grey))[..., None, None].expand_as(got)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_photometric_turns_hues_by_little_and_half_of_the_time() -> None:
    distort = Photometric(share=1.0)
    distort.steps = nn.Sequential()
    images = torch.tensor([60.0, 90.0, 160.0])[None, :, None, None].expand(200, 3, 2, 2)
    got = distort(images, seed=4)[..., 0, 0]
    off = got - got.mean(1, keepdim=True)
    before = images[..., 0, 0] - images[..., 0, 0].mean(1, keepdim=True)
    cosine = torch.nn.functional.cosine_similarity(off, before)
    turned = cosine < 1 - 1e-5
    assert 0.3 < turned.float().mean() < 0.7
    angles = cosine[turned].clamp(max=1).acos()
    assert angles.max() <= MAX_HUE + 1e-3
    assert angles.max() > MAX_HUE * 0.8
