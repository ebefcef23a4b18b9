"""What is left of hidden faces, and what is left alone."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pytest

from pocketface.apps.blur.cover import CELLS, STYLES, Cover, Style, hidden_pixels, hide
from pocketface.apps.blur.outline import Shape, outline_of
from pocketface.cli.blur import add_arguments
from pocketface.errors import InputError
from pocketface.mask import Mask
from pocketface.results import Detections

PICTURE = np.full((9, 7, 3), (10, 200, 90), np.uint8)


def face(*box: float) -> Detections:
    return Detections(np.array([box], np.float32), np.ones(1, np.float32))


def noise(height: int, width: int, dtype: Any = np.uint8) -> Any:
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 256, (height, width, 3))
    return (levels * (257 if dtype == np.uint16 else 1)).astype(dtype)


def cover_of(style: Style, **options: Any) -> Cover:
    return Cover(style=style, picture=PICTURE if style == "replace" else None, **options)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_a_face_is_hidden_and_the_rest_is_left_alone(style: Style, shape: Shape) -> None:
    before = noise(200, 240)
    after = before.copy()
    hide(after, face(60, 50, 140, 150), cover_of(style, shape=shape, grow=1.2))
    y, x = np.mgrid[:200, :240] + 0.5
    inner = ((x - 100) / 48) ** 2 + ((y - 100) / 60) ** 2 <= 1
    assert (after[inner] != before[inner]).any(-1).mean() > 0.99
    # What is not within the grown box and its soft edge is the same to the last bit.
    wide = 60 if style == "emoji" else 48  # which is as wide as high
    outside = np.maximum(np.abs(x - 100) - wide, np.abs(y - 100) - 60) > 5
    assert np.array_equal(after[outside], before[outside])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_which_pixels_are_hidden(style: Style, shape: Shape) -> None:
    before = noise(200, 240)
    after = before.copy()
    found = face(80, 50, 110, 150)
    hide(after, found, cover_of(style, shape=shape))
    hidden = hidden_pixels((200, 240), found, cover_of(style, shape=shape))
    changed = (after != before).any(-1)
    assert not (changed & ~hidden).any()
    assert changed[hidden].mean() > 0.97


@pytest.mark.parametrize("style", ["mosaic", "gaussian"])
@pytest.mark.parametrize("side", [60, 600])
def test_only_means_of_large_cells_are_left_whatever_the_size(style: Style, side: int) -> None:
    pixels = noise(side * 2, side * 2)
    spread = pixels.std()
    low, high = side // 2, side // 2 + side
    hide(pixels, face(low, low, high, high), cover_of(style, shape="box"))
    inside = pixels[low:high, low:high]
    # The mean of n random numbers spreads by a root of n less.
    assert inside.std() < 1.5 * spread / (side / CELLS)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_depth(style: Style, dtype: Any) -> None:
    pixels = noise(100, 100, dtype)
    scale = 257 if dtype == np.uint16 else 1
    eight = noise(100, 100)
    box = face(20, 20, 80, 80)
    hide(eight, box, cover_of(style))
    hide(pixels, box, cover_of(style), from_bgr=lambda drawn: drawn.astype(dtype) * scale)
    assert np.abs(pixels / scale - eight).max() < 1.01


def test_grey() -> None:
    pixels = noise(100, 100)[..., 0].copy()
    hide(pixels, face(20, 20, 80, 80), Cover())
    assert pixels[40:60, 40:60].std() < 15


def test_solid_shows_one_colour() -> None:
    pixels = noise(100, 100)
    hide(pixels, face(20, 20, 80, 80), Cover(style="solid", shape="box", colour=(1, 2, 3)))
    assert (pixels[20:80, 20:80] == (1, 2, 3)).all()


def test_a_picture_is_stretched_over_the_face() -> None:
    pixels = np.zeros((120, 120, 3), np.uint8)
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:5], picture[5:] = (255, 0, 0), (0, 0, 255)
    hide(pixels, face(30, 30, 90, 90), Cover(style="replace", grow=1, picture=picture))
    assert pixels[45, 60].tolist() == [255, 0, 0]
    assert pixels[75, 60].tolist() == [0, 0, 255]


@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_faces_at_the_edge_and_beyond(shape: Shape) -> None:
    before = noise(100, 100)
    after = before.copy()
    hide(after, face(-400, 10, -300, 90), cover_of("solid", shape=shape))
    assert np.array_equal(after, before)
    hide(after, face(-30, -30, 40, 40), cover_of("solid", shape=shape))
    assert not after[:20, :20].any()
    hide(after, face(68, 28, 72, 32), cover_of("solid", shape=shape))
    assert not after[30, 70].any()


@pytest.mark.parametrize("shape", ["ellipse", "box"])
@pytest.mark.parametrize("end", [1e9, 1e19, 1e30])
def test_boxes_of_any_size_hide_all_that_they_hold(shape: Shape, end: float) -> None:
    outline = outline_of(
        np.array([-end, -end, end, end], np.float32), (30, 40), shape=shape, grow=1
    )
    assert outline is not None
    area, opacity = outline
    assert area == (slice(0, 30), slice(0, 40))
    assert (opacity == 1).all()


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_box_that_is_not_finite_hides_nothing_in_silence(number: float) -> None:
    box = np.array([1, 1, number, 9], np.float32)
    with pytest.raises(InputError, match="expected finite numbers"):
        outline_of(box, (30, 40), shape="box", grow=1)


def test_several_faces() -> None:
    pixels = noise(100, 200)
    faces = Detections(
        np.array([[10, 10, 50, 60], [100, 20, 160, 90]], np.float32), np.ones(2, np.float32)
    )
    hide(pixels, faces, Cover(style="solid"))
    assert not pixels[35, 30].any()
    assert not pixels[55, 130].any()


def face_mask(inside: np.ndarray[Any, Any], left: int, top: int) -> Mask:
    return Mask(inside[None].astype(np.float32), left, top, (120, 120), ("face",))


def test_a_mask_hides_what_glasses_leave_open_and_no_more_than_it_grows() -> None:
    inside = np.ones((60, 40), np.float32)
    inside[15:25, 5:35] = 0  # glasses
    found = outline_of(
        np.array([40, 40, 80, 90], np.float32),
        (120, 120),
        shape="mask",
        grow=1,
        mask=face_mask(inside, 40, 35),
    )
    assert found is not None
    area, opacity = found
    whole = np.zeros((120, 120), np.float32)
    whole[area] = opacity
    assert (whole[35:95, 40:80] == 1).all()
    assert whole[:32].max() == 0
    assert whole[:, 84:].max() == 0


def test_a_mask_that_misses_the_face_does_not_show_it() -> None:
    found = outline_of(
        np.array([40, 40, 80, 90], np.float32),
        (120, 120),
        shape="mask",
        grow=1.2,
        mask=face_mask(np.zeros((60, 40)), 40, 35),
    )
    assert found is not None
    area, opacity = found
    whole = np.zeros((120, 120), np.float32)
    whole[area] = opacity
    assert (whole[50:80, 50:70] == 1).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"grow": 0.9}, "grow is 0.9: expected 1 to 10"),
        ({"grow": float("nan")}, "grow is nan"),
        ({"style": "replace"}, "a picture goes with"),
        ({"picture": PICTURE}, "a picture goes with"),
    ],
)
def test_bad_covers(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Cover(**options)


def test_the_command_has_the_same_defaults() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    asked = parser.parse_args(["photo.jpg"])
    assert asked.grow == Cover().grow
    assert asked.keep_audio
    assert not parser.parse_args(["video.mp4", "--no-audio"]).keep_audio
