"""Samples of several photos: boxes and points are where the pixels are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pocketface.data.coco import Photo
from pocketface.tasks.detection.augmentation import AugmentationSpec
from pocketface.tasks.detection.crops import Scene
from pocketface.tasks.detection.mixing import mosaic, paste_faces
from pocketface.tasks.detection.photo_crops import PhotoCrops

ZOOM = {"crop": "zoom", "scales": [0.3, 1.0], "min_face": 4.0, "photometric": False}


def _photo(height: int = 300, width: int = 400, *, shade: int = 255, grey: int = 40) -> Scene:
    """A grey photo with a face of 50 x 60 in one shade."""
    image = np.full((height, width, 3), grey, np.uint8)
    image[100:160, 200:250] = shade
    points = [[210, 115], [240, 115], [225, 130], [212, 145], [238, 145]]
    return Scene(
        image,
        np.array([[200, 100, 250, 160]], np.float32),
        np.array([points], np.float32),
        np.array([False]),
    )


def _empty(side: int = 128, *, ignored: list[float] | None = None) -> Scene:
    boxes = np.array([ignored] if ignored else [], np.float32).reshape(-1, 4)
    return Scene(
        np.zeros((side, side, 3), np.uint8),
        boxes,
        np.full((len(boxes), 5, 2), np.nan, np.float32),
        np.ones(len(boxes), bool),
    )


def test_a_mosaic_moves_boxes_and_points_with_their_photo() -> None:
    shades = (100, 150, 200, 250)
    whole = mosaic([_photo(shade=shade) for shade in shades])
    assert whole.image.shape == (600, 800, 3)
    for index, shade in enumerate(shades):
        seen = np.argwhere(whole.image[..., 0] == shade)[:, ::-1]
        box = [*seen.min(0), *(seen.max(0) + 1)]
        assert whole.boxes[index].tolist() == box
        shift = np.array(box[:2]) - [200, 100]
        assert (whole.landmarks[index] == _photo().landmarks[0] + shift).all()
    assert whole.ignore.tolist() == [False] * 4


def _white(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """x1, y1, x2, y2 of what is white."""
    seen = np.argwhere(image[..., 0] > 250)[:, ::-1]
    return np.concatenate((seen.min(0), seen.max(0) + 1))


def test_a_pasted_face_is_where_its_box_is() -> None:
    sides = []
    for seed in range(40):
        into = _empty()
        made = paste_faces(into, _photo(), smallest=8, rng=np.random.default_rng(seed))
        assert not into.image.any()
        assert len(made.boxes) == 1
        assert not made.ignore.any()
        np.testing.assert_allclose(made.boxes[0], _white(made.image), atol=1)
        width, height = made.boxes[0, 2:] - made.boxes[0, :2]
        assert width / height == pytest.approx(50 / 60, rel=0.1)
        sides.append(height)
        # Points may be mirrored with the face; these are symmetric.
        expected = made.boxes[0, :2] + np.array([[0.2, 0.25], [0.8, 0.25], [0.5, 0.5]]) * (
            width,
            height,
        )
        np.testing.assert_allclose(made.landmarks[0, :3], expected, atol=1)
    assert min(sides) < 12
    assert 40 < max(sides) < 52  # 40 % of 128


def test_pasted_faces_cover_no_box_and_no_ignored_region() -> None:
    crowd = Scene(
        np.full((400, 400, 3), 255, np.uint8),
        np.array([[x, y, x + 40, y + 40] for x in (50, 250) for y in (50, 250)], np.float32),
        np.full((4, 5, 2), np.nan, np.float32),
        np.zeros(4, bool),
    )
    counts = []
    for seed in range(40):
        into = _empty(ignored=[0.0, 0.0, 128.0, 64.0])
        made = paste_faces(into, crowd, smallest=8, rng=np.random.default_rng(seed))
        counts.append(len(made.boxes) - 1)
        low = np.maximum(made.boxes[:, None, :2], made.boxes[None, :, :2])
        high = np.minimum(made.boxes[:, None, 2:], made.boxes[None, :, 2:])
        crossing = (high - low).clip(0).prod(2) * ~np.eye(len(made.boxes), dtype=bool)
        assert not crossing.any()
        assert not made.image[:64].any()
    assert set(counts) >= {1, 2, 3}
    full = _empty(ignored=[0.0, 0.0, 128.0, 128.0])
    assert paste_faces(full, crowd, smallest=8, rng=np.random.default_rng(0)) is full


def test_a_face_with_a_neighbour_is_not_pasted() -> None:
    donor = _photo()
    for ignore in (False, True):
        beside = Scene(
            donor.image,
            np.array([[200, 100, 250, 160], [255, 100, 290, 160]], np.float32),
            np.full((2, 5, 2), np.nan, np.float32),
            np.array([False, ignore]),
        )
        into = _empty()
        assert paste_faces(into, beside, smallest=8, rng=np.random.default_rng(0)) is into


@pytest.mark.parametrize("box", [[399.7, 100, 400, 250], [398.6, 0, 400, 299.9], [0, 0, 400, 1.2]])
def test_slivers_at_the_edge(box: list[float]) -> None:
    """Which labels and their scaling leave."""
    donor = _photo()
    sliver = Scene(donor.image, np.array([box], np.float32), donor.landmarks, donor.ignore)
    for seed in range(20):
        made = paste_faces(_empty(), sliver, smallest=4, rng=np.random.default_rng(seed))
        assert np.isfinite(made.boxes).all()


def test_what_is_too_small_or_ignored_is_not_pasted() -> None:
    donor = _photo()
    ignored = Scene(donor.image, donor.boxes, donor.landmarks, np.array([True]))
    into = _empty()
    assert paste_faces(into, donor, smallest=61, rng=np.random.default_rng(0)) is into
    assert paste_faces(into, ignored, smallest=4, rng=np.random.default_rng(0)) is into


def _crops(folder: Path, *, side: int = 95, **keys: float) -> PhotoCrops:
    photos = []
    for index, shade in enumerate((255, 254, 253)):
        path = folder / f"{index}.png"
        sample = _photo(shade=shade, grey=10 * index)
        cv2.imwrite(str(path), sample.image)
        photos.append(
            Photo(
                image_id=index,
                path=path,
                width=400,
                height=300,
                boxes=sample.boxes,
                landmarks=sample.landmarks,
                ignore=sample.ignore,
            )
        )
    spec = AugmentationSpec.model_validate(ZOOM | keys)
    return PhotoCrops(photos, spec=spec, height=side, width=side, seed=1)


@pytest.mark.parametrize(
    "keys", [{"mosaic": 1.0}, {"paste": 1.0}, {"degrade": 1.0}, {"mosaic": 0.5, "paste": 0.5}]
)
def test_samples_are_of_one_size_and_can_be_made_again(
    tmp_path: Path, keys: dict[str, float]
) -> None:
    crops = _crops(tmp_path, **keys)
    plain = _crops(tmp_path)
    different = 0
    for key in [(run, index) for run in range(4) for index in range(3)]:
        image, sample, image_id = crops.sample(key)
        assert image.shape == (3, 95, 95)
        assert image_id == key[1]
        again, same, _ = crops.sample(key)
        assert torch.equal(image, again)
        assert (sample.boxes == same.boxes).all()
        different += not torch.equal(image, plain.sample(key)[0])
    assert different > 5


def test_quarters_of_a_mosaic_are_of_several_photos_at_the_scale_of_whole_samples(
    tmp_path: Path,
) -> None:
    sides: dict[float, list[float]] = {0.0: [], 1.0: []}
    faces = dict.fromkeys(sides, 0)
    shades = set()
    for share, found in sides.items():
        crops = _crops(tmp_path, side=96, mosaic=share)
        for run in range(60):
            image, sample, _ = crops.sample((run, 0))
            whole = sample.boxes[~sample.ignore]
            faces[share] += len(whole)
            found += (whole[:, 3] - whole[:, 1]).tolist()
            if share:
                shades |= set(image.unique().tolist()) & {253, 254, 255}
    assert shades == {253, 254, 255}
    # A quarter of 48 px for half of the window: as large, and four for one.
    assert faces[1.0] > 3 * faces[0.0]
    assert np.median(sides[1.0]) == pytest.approx(np.median(sides[0.0]), rel=0.3)


def test_degraded_samples_keep_their_boxes(tmp_path: Path) -> None:
    # `degrade` draws after all else.
    worse, plain = _crops(tmp_path, degrade=1.0), _crops(tmp_path)
    changes = 0
    for run in range(20):
        (image, sample, _), (original, same, _) = worse.sample((run, 0)), plain.sample((run, 0))
        assert (sample.boxes == same.boxes).all()
        changes += not torch.equal(image, original)
    # One in 0.8 to the power of four is spared.
    assert 6 < changes < 19
