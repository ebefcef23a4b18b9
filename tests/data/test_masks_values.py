"""What the values and colours of masks stand for, and which masks are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.masks_values import MaskValues
from pocketface.errors import DataError, UserError

from ..tiffs import grey_of_4_bits
from .mask_folders import VALUES, Make, coloured, convert, palette, truth, write_png


@pytest.mark.parametrize(
    ("mask", "classes"),
    [
        (coloured(VALUES), ("face=#ff0000,#00FF00", "hair=#0000ff")),
        (coloured(VALUES).convert("RGBA"), ("face=#ff0000", "face=#00ff00", "hair=#0000ff")),
        (palette(VALUES), ("face=1,2", "hair=7")),
        (palette(VALUES, bits=4), ("face=1,2", "hair=7")),
        (palette(VALUES), ("face=#ff0000,#00ff00", "hair=#0000ff")),
        (Image.fromarray(VALUES).convert("RGB"), ("face=1,2", "hair=7")),
        (Image.fromarray(VALUES).convert("LA"), ("face=1,2", "hair=7")),
    ],
)
def test_kinds_of_masks(mask: Image.Image, classes: Sequence[str], make_pairs: Make) -> None:
    root, [made] = convert(make_pairs("a.jpg", mask=mask), *classes)
    expected = np.array([0, 1, 1, 0, 0, 0, 0, 2])[VALUES]
    found = truth(root, made.path, ["background", "face", "hair"])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_numbers(bits: int, make_pairs: Make) -> None:
    """As PNG has them (PNG specification, 11.2.2), not stretched to 255."""
    photos, labels = make_pairs("a.jpg")
    pixels = (VALUES == 1).astype(np.uint8) * (2**bits - 1)
    write_png(labels / "a.png", pixels, bits)
    root, [made] = convert((photos, labels), f"face={2**bits - 1}")
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), VALUES == 1)


def test_few_bits_of_a_tiff_are_numbers_too(make_pairs: Make) -> None:
    photos, labels = make_pairs("a.jpg")
    pixels = (VALUES == 1).astype(np.uint8) * 9
    (labels / "a.png").unlink()
    (labels / "a.tiff").write_bytes(grey_of_4_bits(pixels))
    root, [made] = convert((photos, labels), "face=9")
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), VALUES == 1)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_refused(suffix: str, channels: int, make_pairs: Make) -> None:
    """Pillow keeps their upper halves, without a word."""
    photos, labels = make_pairs("a.jpg")
    (labels / "a.png").unlink()
    pixels = np.repeat(VALUES.astype(np.uint16)[..., None] * 256, channels, 2)
    pixels[..., 3:] = 65535
    assert cv2.imwrite(str(labels / f"a{suffix}"), pixels)
    with pytest.raises(DataError, match=rf"mask whose pixels have more .* \(a{suffix}: RGBA?;16"):
        convert((photos, labels), "face=1,2", "hair=7")


def sixteen(values: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16))


def transparent(values: NDArray[np.uint8]) -> Image.Image:
    image = coloured(values).convert("RGBA")
    image.putpixel((3, 3), (255, 0, 0, 10))
    return image


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (coloured(VALUES), r"mask in colour, where --classes has values \(first: z.jpg \(z.png: #"),
        (sixteen(VALUES), r"more than 8 bits, or are no RGB \(first: z.jpg \(z.png: I;16B\)"),
        (transparent(VALUES), r"mask with transparent pixels \(first: z.jpg \(z.png\)"),
        (Image.fromarray(VALUES[:, :20]), r"of another size .*\(first: z.jpg \(20x30, photo 40x30"),
        (
            Image.fromarray(VALUES * 0),
            r"without any class \(first: z.jpg \(all of it is background",
        ),
        (Image.fromarray(VALUES * 0 + 1), r"all one class \(first: z.jpg \(all of it is face\)"),
    ],
)
def test_bad_masks(
    mask: Image.Image, message: str, make_pairs: Make, caplog: pytest.LogCaptureFixture
) -> None:
    make_pairs()
    folders = make_pairs("z.jpg", mask=mask)
    _, [made] = convert(folders)
    assert made.pairs == 4
    assert re.search("skipped 1 bad records: 1 x .*" + message, caplog.text)
    for name in ("a", "b", "d", "sub/c"):
        mask.save(folders[1] / f"{name}.png")
    with pytest.raises(DataError, match="photos: 5 of 5 pairs cannot be used: 5 x mask "):
        convert(folders, output=folders[0].parent / "again")


def test_jpeg_masks_and_arrays(make_pairs: Make) -> None:
    photos, labels = make_pairs("a.jpg")
    (labels / "a.png").unlink()
    np.save(labels / "a.npy", VALUES.astype(np.float32))
    with pytest.raises(DataError, match=r"labels: has no pictures; it has a\.npy"):
        convert((photos, labels))
    Image.fromarray(VALUES).save(labels / "a.jpg")
    with pytest.raises(DataError, match=r"1 x mask in a format that changes values \(JPEG\)"):
        convert((photos, labels))


@pytest.mark.parametrize("in_place", [False, True])
def test_values_without_a_name(in_place: bool, make_pairs: Make, tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"labels/a\.png: --classes does not name 7 \(480 pixels\), 2 \(128 pixels\)",
    ) as caught:
        convert(make_pairs(), "face=1", in_place=in_place)
    assert (
        caught.value.hint == "name them, or say --classes … background=rest where they are no class"
    )
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="class hat is in none of the 4 masks"):
        convert(make_pairs(), "face=1", "hat=9", "background=rest", in_place=in_place)
    assert not list(tmp_path.rglob("*.json"))


def test_soft_borders_are_cut_in_half(make_pairs: Make) -> None:
    shades: NDArray[np.uint8] = np.full((30, 40), 6 * np.arange(40), np.uint8)
    folders = make_pairs("a.jpg", mask=Image.fromarray(shades))
    with pytest.raises(DataError, match="and 31 more") as caught:
        convert(folders, "face=255")
    assert caught.value.hint == "if borders are soft, say --classes face=128-255 background=rest"
    root, [made] = convert(folders, "face=128-255", "background=rest")
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), shades >= 128)


def test_colours_without_a_name(make_pairs: Make) -> None:
    with pytest.raises(DataError, match=r"--classes does not name #0000ff \(120 pixels\), #00ff00"):
        convert(make_pairs("a.jpg", mask=coloured(VALUES)), "face=#ff0000")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["face"], "--classes face: expected NAME=VALUE, as in face=1,2 or"),
        (["face="], "--classes face=: expected NAME=VALUE"),
        (["=1"], "--classes =1: expected NAME=VALUE"),
        (["face=256"], "--classes face=256: expected 0 to 255"),
        (["face=9-3"], "--classes face=9-3: expected 0 to 255"),
        (["face=1-5", "hair=4"], "--classes: 4 is to be 'face' and 'hair'"),
        (["face=x"], "--classes face=x: expected 0 to 255, some as 128-255, or a colour as"),
        (["face=#ff00"], "--classes face=#ff00: expected a colour as #ff0000"),
        (["face=#ff0000", "hair=1"], "--classes hair=1: expected a colour as #ff0000"),
        (["face=1", "hair=1"], "--classes: 1 is to be 'face' and 'hair'"),
        (["face=rest", "hair=rest"], "--classes: rest is to be 'face' and 'hair'"),
        (["background=1,2"], "--classes: expected a class beside background, as in face=1"),
    ],
)
def test_names_of_values(classes: Sequence[str], message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        MaskValues.parse(classes)
