from __future__ import annotations

import cv2
import numpy as np
import pytest

from pocketface.data.preprocess import prepare
from pocketface.model_templates.contract import InputSpec, Resize


def spec(resize: Resize, height: int = 96, width: int = 160, pad: float = 0.0) -> InputSpec:
    return InputSpec(shape=(-1, 3, height, width), resize=resize, pad_value=pad)


def test_letterbox_places_the_photo_top_left_and_pads() -> None:
    image = np.full((100, 50, 3), (10, 20, 30), np.uint8)
    batch, placement = prepare(image, spec("letterbox", pad=7.0))
    assert batch.shape == (1, 3, 96, 160)
    assert batch.dtype == np.float32
    assert (placement.scale_x, placement.scale_y) == (0.96, 0.96)
    for plane, value in enumerate((10, 20, 30)):  # stays BGR
        assert (batch[0, plane, :96, :48] == value).all()
    assert (batch[0, :, :, 48:] == 7.0).all()


def test_stretch_fills_the_input() -> None:
    image = np.zeros((100, 50, 3), np.uint8)
    image[:50] = 200
    batch, placement = prepare(image, spec("stretch"))
    assert (placement.scale_x, placement.scale_y) == (160 / 50, 96 / 100)
    assert (batch[0, :, :46] == 200).all()
    assert (batch[0, :, 50:] == 0).all()


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_a_photo_of_the_inputs_size_goes_in_as_it_is(resize: Resize) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    batch, placement = prepare(image, spec(resize))
    assert np.array_equal(batch[0].transpose(1, 2, 0), image)
    assert (placement.scale_x, placement.scale_y) == (1, 1)


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize(
    "size", [(31, 47), (1080, 1920), (1920, 1080), (3, 2000), (2000, 3), (1, 1)]
)
def test_every_shape_of_photo_fits(resize: Resize, size: tuple[int, int]) -> None:
    batch, placement = prepare(np.full((*size, 3), 9, np.uint8), spec(resize, pad=0.0))
    inside_y = round(size[0] * placement.scale_y)
    inside_x = round(size[1] * placement.scale_x)
    assert 1 <= inside_y <= 96
    assert 1 <= inside_x <= 160
    assert (batch[0, :, :inside_y, :inside_x] == 9).all()
    assert batch.sum() == 9 * 3 * inside_y * inside_x
    if resize == "letterbox":
        assert inside_y == 96 or inside_x == 160
    corner = placement.to_photo(np.array([[inside_x, inside_y]], np.float32))
    np.testing.assert_allclose(corner, [[size[1], size[0]]], rtol=1e-6)


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("size", [(300, 401), (37, 53), (91, 640)])
def test_positions_come_back(resize: Resize, size: tuple[int, int]) -> None:
    """The centre of a blob, found in the network's input, is its centre in the photo."""
    image = np.zeros((*size, 3), np.uint8)
    centre = (size[1] * 0.7, size[0] * 0.4)
    cv2.circle(image, (int(centre[0]), int(centre[1])), max(3, min(size) // 8), (255,) * 3, -1)
    batch, placement = prepare(image, spec(resize, 320, 320))

    def middle(plane: np.ndarray) -> np.ndarray:
        ys, xs = np.mgrid[: plane.shape[0], : plane.shape[1]] + 0.5
        return np.array([(xs * plane).sum(), (ys * plane).sum()]) / plane.sum()

    found = placement.to_photo(middle(batch[0, 0].astype(np.float64)).astype(np.float32))
    np.testing.assert_allclose(found, middle(image[..., 0].astype(np.float64)), atol=0.1)
