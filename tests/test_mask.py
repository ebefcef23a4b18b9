"""What a person does with a mask: look at it, cut it out, trace it, write it down."""

from __future__ import annotations

import json
import pickle
from typing import Any

import cv2
import numpy as np
import pytest

from pocketface import Mask
from pocketface.errors import InputError
from pocketface.run_lengths import from_run_lengths, run_lengths

SHAPE = (40, 60)
PHOTO = np.random.default_rng(0).integers(1, 256, (*SHAPE, 3), dtype=np.uint8)


def disc(**changes: Any) -> Mask:
    """A disc of radius 8 in the middle of a region of 21 x 21, with edges two pixels wide."""
    rows, columns = np.ogrid[:21, :21]
    away = np.hypot(rows - 10, columns - 10)
    share = ((9 - away) / 2).clip(0, 1).astype(np.float32)
    content: dict[str, Any] = {
        "probabilities": share[None],
        "left": 30,
        "top": 12,
        "shape": SHAPE,
        "classes": ("face",),
        "threshold": 0.5,
    }
    return Mask(**(content | changes))


def of_several() -> Mask:
    """The disc with glasses across its middle."""
    share = disc().probabilities[0]
    glasses = np.zeros_like(share)
    glasses[9:12, 4:17] = 0.75
    face = share * (1 - glasses)
    planes = np.stack([1 - face - glasses, face, glasses])
    return disc(probabilities=planes, classes=("background", "face", "glasses"))


def test_of_equally_probable_classes_the_first_has_the_pixel() -> None:
    shares = np.random.default_rng(0).integers(0, 3, (3, 21, 21)).astype(np.float32) / 4
    found = disc(probabilities=shares, classes=("background", "face", "glasses"))
    for index, name in enumerate(found.classes):
        np.testing.assert_array_equal(found.inside(name), shares.argmax(0) == index)


def test_a_mask_is_of_the_whole_photo() -> None:
    found = disc()
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    expected = np.hypot(rows - 22, columns - 40) <= 8
    np.testing.assert_array_equal(found.mask, expected)
    np.testing.assert_array_equal(found.of("face"), expected)
    assert found.area == expected.sum()
    np.testing.assert_array_equal(found.box, [32, 14, 49, 31])
    assert found.probability.shape == SHAPE
    assert found.probability[22, 40] == 1
    assert found.probability.sum() == pytest.approx(found.probabilities.sum())
    assert disc(threshold=0.9).area < found.area < disc(threshold=0.1).area
    assert repr(found) == "Mask(face, 197 pixels of 60x40)"


def test_of_several_classes_the_most_probable_has_the_pixel() -> None:
    found = of_several()
    assert found.name == "face"
    assert found.named == ("face", "glasses")
    assert found.of("glasses").sum() == 3 * 13
    assert found.of("glasses")[22, 40]
    assert not found.mask[22, 40]
    whole = sum(found.of(name).astype(int) for name in found.classes)
    np.testing.assert_array_equal(whole, 1)
    with pytest.raises(InputError, match="no class 'hair'; there are: background, face, glasses"):
        found.of("hair")


def test_outlines_run_along_the_edges_of_pixels() -> None:
    share = np.zeros((1, 20, 20), np.float32)
    share[0, 2:5, 3:9] = 1
    share[0, 10:18, 2:18] = 1
    share[0, 12:15, 6:9] = 0  # a hole, which is not left out
    large, small = disc(probabilities=share).polygon()
    assert large.dtype == np.float32
    assert cv2.contourArea(large) == 8 * 16
    assert cv2.contourArea(small) == 3 * 6
    np.testing.assert_array_equal(
        sorted(map(tuple, small)), [(33, 14), (33, 17), (39, 14), (39, 17)]
    )


@pytest.mark.parametrize("seed", range(3))
def test_outlines_have_the_area_of_their_pixels(seed: int) -> None:
    noise = np.random.default_rng(seed).random((40, 50), np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 3)
    share = (blobs > np.median(blobs)).astype(np.uint8)
    filled = np.zeros_like(share)
    cv2.drawContours(
        filled, cv2.findContours(share, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], -1, 1, -1
    )
    found = disc(probabilities=filled[None].astype(np.float32), shape=(80, 90)).polygon()
    areas = [cv2.contourArea(ring) for ring in found]
    assert areas == sorted(areas, reverse=True)
    assert sum(areas) == pytest.approx(filled.sum(), rel=0.02)


def test_a_cutout_has_soft_edges_and_nothing_of_what_is_around() -> None:
    found = disc()
    cut = found.cutout(PHOTO)
    assert cut.shape == (21, 21, 4)
    assert cut.dtype == np.uint8
    alpha = cut[..., 3]
    assert alpha[10, 10] == 255
    assert (cut[alpha == 0] == 0).all()
    assert (alpha == 0)[0, 0]
    np.testing.assert_array_equal(cut[alpha > 0][:, :3], PHOTO[found.place][alpha > 0])
    soft = (alpha > 0) & (alpha < 255)
    assert 0 < soft.sum() < 0.5 * found.area
    np.testing.assert_array_equal((alpha >= 128)[~soft], found.mask[found.place][~soft])


def test_a_cutout_is_opaque_where_the_network_is_only_fairly_sure() -> None:
    unsure = disc(probabilities=disc().probabilities * 0.8 + 0.1)
    alpha = unsure.cutout(PHOTO)[..., 3]
    assert alpha[10, 10] == 255
    assert alpha[0, 0] == 0
    strict = disc(threshold=0.9).cutout(PHOTO)[..., 3]
    assert 0 < (strict >= 128).sum() <= disc(threshold=0.8).area
    of_many = of_several().cutout(PHOTO)[..., 3]
    assert of_many[10, 10] == 0  # of glasses
    assert of_many[6, 10] == 255


@pytest.mark.parametrize("image", ["photo.jpg", PHOTO[..., 0], PHOTO[:-1], None])
def test_cutouts_are_of_the_mask_s_own_photo(image: Any) -> None:
    with pytest.raises(InputError, match="image is"):
        disc().cutout(image)


@pytest.mark.parametrize("image", ["photo.jpg", PHOTO[..., 0], PHOTO[:-1], None])
def test_masks_are_drawn_on_their_own_photo(image: Any) -> None:
    with pytest.raises(InputError, match="image is"):
        disc().draw(image)


def test_drawing_gives_a_copy() -> None:
    photo = np.full((*SHAPE, 3), 100, np.uint8)
    drawn = disc().draw(photo)
    assert (photo == 100).all()
    changed = (drawn != photo).any(axis=2)
    assert changed[22, 40]
    assert (disc().mask & ~changed).sum() == 0
    assert not changed[:10].any()
    of_two = of_several().draw(photo)
    assert (of_two[22, 40] != of_two[26, 40]).any()


@pytest.mark.parametrize("found", [disc(), of_several(), disc(threshold=1.0)])
def test_a_mask_as_json(found: Mask) -> None:
    text = found.to_json()
    assert "\n" not in text
    again = Mask.from_dict(json.loads(text))
    assert again.to_json() == text
    for name in found.classes:
        np.testing.assert_array_equal(again.of(name), found.of(name))
    assert again.shape == SHAPE
    assert again.place == found.place
    assert pickle.loads(pickle.dumps(found)) == found
    assert found != again
    assert found != "something else"


def test_json_is_compact() -> None:
    large = np.zeros((1, 1000, 1000), np.float32)
    cv2.circle(large[0], (500, 500), 400, 1, -1)
    assert len(disc(probabilities=large, shape=(3000, 4000)).to_json()) < 12_000


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[0, 1], [1, 1]], [1, 3]),
        ([[1, 0, 0], [0, 0, 1]], [0, 1, 4, 1]),
        (np.zeros((0, 3)), [0]),
    ],
)
def test_runs_go_down_the_columns_as_coco_has_them(mask: Any, counts: list[int]) -> None:
    array = np.array(mask, np.bool_)
    assert run_lengths(array, left=0, top=0, shape=array.shape) == counts
    np.testing.assert_array_equal(from_run_lengths(counts, array.shape), array)


@pytest.mark.parametrize(("left", "top"), [(0, 0), (3, 4), (1, 2)])
@pytest.mark.parametrize("shape", [(5, 6), (1, 6), (5, 1), (0, 0)])
def test_runs_of_a_part_are_those_of_the_whole(left: int, top: int, shape: tuple[int, int]) -> None:
    whole = np.zeros((top + shape[0] + top // 2, left + shape[1] + left // 2), np.bool_)
    part = np.random.default_rng(7).random(shape) < 0.5
    whole[top : top + shape[0], left : left + shape[1]] = part
    counts = run_lengths(part, left=left, top=top, shape=whole.shape)
    assert counts == run_lengths(whole, left=0, top=0, shape=whole.shape)
    np.testing.assert_array_equal(from_run_lengths(counts, whole.shape), whole)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": None},
        {"classes": []},
        {"region": [30, 12, 51]},
        {"region": [50, 12, 71, 33]},
        {"region": [-5, 12, 16, 33]},
        {"masks": {}},
        {"masks": {"face": {"size": [40, 60], "counts": [2399]}}},
        {"masks": {"face": {"size": [40, 60], "counts": [-1, 2401]}}},
        {"masks": {"face": {"size": [40.5, 60], "counts": [2400]}}},
        {"masks": {"face": {"size": [40, 60], "counts": "abc"}}},
        {"masks": {"face": {"size": [10**6, 10**6], "counts": [10**12]}}},
        {"masks": {"face": {"size": [40, 60], "counts": [10**30]}}},
        {"classes": ["face", "face"]},
        {
            "classes": ["background", "face", "hair"],
            "masks": {
                "face": {"size": [40, 60], "counts": [2400]},
                "hair": {"size": [60, 90], "counts": [5400]},
            },
        },
        {"threshold": "half"},
        {"threshold": float("nan")},
        {"threshold": 7},
    ],
)
def test_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"not the form of Mask\.to_dict"):
        Mask.from_dict(disc().to_dict() | change)
