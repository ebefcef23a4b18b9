"""Samples of photos on disk, which can be made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pocketface.data.coco import Photo, read_coco
from pocketface.errors import DataError
from pocketface.tasks.detection.augmentation import AugmentationSpec
from pocketface.tasks.detection.crops import Scene
from pocketface.tasks.detection.photo_crops import PhotoCrops, collate
from pocketface.tasks.measuring import Labels

ZOOM = AugmentationSpec(crop="zoom", scales=[0.3, 1.0, 2.0], size=64, min_face=4.0)


def _one_face() -> Scene:
    return Scene(
        image=np.zeros((4, 4, 3), np.uint8),
        boxes=np.array([[0, 1, 2, 3]], np.float32),
        landmarks=np.zeros((1, 5, 2), np.float32),
        ignore=np.array([False]),
    )


def test_large_photos_are_kept_smaller(tmp_path: Path) -> None:
    """The longer side has 1280 pixels at most, and boxes go with it."""
    assert cv2.imwrite(str(tmp_path / "large.png"), np.zeros((400, 2560, 3), np.uint8))
    box, points = np.array([[200, 100, 400, 300]], np.float32), np.full((1, 5, 2), 300, np.float32)
    photo = Photo(tmp_path / "large.png", 1, 2560, 400, box, np.zeros(1, bool), points)
    whole = AugmentationSpec(crop="zoom", shape="photo", scales=[1.0], flip=0.0)
    crops = PhotoCrops([photo], spec=whole, height=200, width=1280, seed=0)
    assert crops.preload() == (1, 1280 * 200 * 3)
    _, sample, _ = crops.sample((0, 0))
    np.testing.assert_allclose(sample.boxes, [[100, 50, 200, 150]])
    np.testing.assert_allclose(sample.landmarks[0], np.full((5, 2), 150))


def test_an_item_depends_on_seed_pass_and_index_alone(drawn_photos: Labels) -> None:
    photos = read_coco(drawn_photos.files, drawn_photos.roots).photos

    def crops(seed: int) -> PhotoCrops:
        return PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=seed)

    ahead = crops(1)
    ahead.preload()
    first, again = ahead.sample((3, 4)), crops(1).sample((3, 4))
    assert torch.equal(first[0], again[0])
    np.testing.assert_array_equal(first[1].boxes, again[1].boxes)
    assert not torch.equal(first[0], ahead.sample((4, 4))[0])
    assert not torch.equal(first[0], crops(2).sample((3, 4))[0])


def test_photos_beyond_the_budget_are_decoded_when_wanted(drawn_photos: Labels) -> None:
    photos = read_coco(drawn_photos.files, drawn_photos.roots).photos
    crops = PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=1)
    size = 160 * 120 * 3
    assert crops.preload(budget=3.5 * size) == (3, 3 * size)
    whole = PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=1)
    assert whole.preload() == (10, 10 * size)
    for index in range(10):
        assert torch.equal(crops.sample((0, index))[0], whole.sample((0, index))[0])


def test_a_photo_lost_during_the_training(
    drawn_photos: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(drawn_photos.roots[0] / "train", tmp_path / "train")
    photos = read_coco(drawn_photos.files, [tmp_path], classes=("face",)).photos
    crops = PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=0)
    crops.preload(budget=0)
    photos[-1].path.unlink()
    assert crops.sample((0, len(photos) - 1))[2] == photos[0].image_id
    assert f"left out: {photos[-1].path}" in caplog.text
    for photo in photos[:-1]:
        photo.path.unlink()
    with pytest.raises(DataError, match=rf"none of the {len(photos)} photos is left"):
        crops.sample((0, 0))


def test_most_photos_lost_while_they_are_read(
    drawn_photos: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(drawn_photos.roots[0] / "train", tmp_path / "train")
    photos = read_coco(drawn_photos.files, [tmp_path]).photos
    for photo in photos[:5]:
        photo.path.write_text("no photo")
    assert PhotoCrops(photos, spec=ZOOM, height=64, width=64, seed=0).preload()[0] == 5
    assert "left out 5 photos that cannot be used" in caplog.text
    with pytest.raises(DataError, match=r"^5 of 9 photos cannot be used: .*not an image"):
        PhotoCrops(photos[:9], spec=ZOOM, height=64, width=64, seed=0).preload()


def test_collate_separates_ignored_boxes() -> None:
    sample = _one_face()
    both = Scene(
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


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000)])
def test_a_photo_that_is_a_line_is_taken(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    path = tmp_path / "line.png"
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, bool), np.zeros((0, 5, 2), np.float32)
    crops = PhotoCrops(
        [Photo(path, 1, width, height, *nothing)], spec=ZOOM, height=64, width=64, seed=1
    )
    crops.preload()
    assert len(crops) == 1
