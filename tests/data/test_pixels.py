"""A photo in every form that a program may have it in."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.images import read_image
from pocketface.data.pixels import read_pixels
from pocketface.errors import ImageError, InputError

from ..tiffs import grey_of_12_bits
from .encoded import encode

pytestmark = pytest.mark.filterwarnings("error")


def _bgr(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))[:, :, ::-1]


class _Slow(io.RawIOBase):
    """Not seekable, and three bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, _: int = -1) -> bytes:
        return self._content.read(3)


FORMS: dict[str, Callable[[Path, bytes], Any]] = {
    "path": lambda path, _: path,
    "text": lambda path, _: str(path),
    "bytes": lambda _, content: content,
    "bytearray": lambda _, content: bytearray(content),
    "memoryview": lambda _, content: memoryview(content),
    "file": lambda path, _: path.open("rb"),
    "stream": lambda _, content: io.BytesIO(content),
    "slow stream": lambda _, content: _Slow(content),
    "Pillow": lambda path, _: Image.open(path),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
def test_every_form_of_a_file_is_read_alike(
    picture: Image.Image, tmp_path: Path, form: str, kind: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(picture, kind, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    path = tmp_path / "photo"
    path.write_bytes(content)
    image = FORMS[form](path, content)
    # An array's order is not a file's.
    found = read_pixels(image, colour="RGB")
    if hasattr(image, "close"):
        image.close()
    np.testing.assert_array_equal(found, np.rot90(_bgr(picture), -1))
    assert found.flags.c_contiguous


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]
)
def test_pillow_images_of_any_mode_are_as_from_a_file(
    picture: Image.Image, tmp_path: Path, mode: str
) -> None:
    image = picture.convert("RGBA" if mode == "PA" else "L" if mode == "I;16" else "RGB")
    image = image.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    kind = "tiff" if mode in ("CMYK", "YCbCr", "I;16") else "png"
    if mode == "PA":
        expected = _bgr(picture)
    else:
        image.save(tmp_path / "photo", kind)
        expected = read_image(tmp_path / "photo")
    found = read_pixels(image)
    assert np.abs(found.astype(int) - expected).max() <= (3 if mode == "YCbCr" else 0)


def test_grey_of_12_bits_is_as_light_as_it_is(tmp_path: Path) -> None:
    # As of 16 it would be nearly black.
    ramp = np.tile(np.linspace(0, 4095, 30).astype(np.uint16), (20, 1))
    (tmp_path / "photo.tif").write_bytes(grey_of_12_bits(ramp))
    assert np.array_equal(read_image(tmp_path / "photo.tif")[..., 1], ramp >> 4)


def test_a_pillow_image_that_is_turned_already_is_not_turned_again(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tiff = Image.open(io.BytesIO(encode(picture, "tiff", exif=exif)))
    upright = np.rot90(_bgr(picture), -1)
    for _ in range(2):
        np.testing.assert_array_equal(read_pixels(tiff), upright)
    from PIL import ImageOps

    png = ImageOps.exif_transpose(Image.open(io.BytesIO(encode(picture, "png", exif=exif))))
    np.testing.assert_array_equal(read_pixels(png), upright)


def test_arrays_of_all_kinds(picture: Image.Image) -> None:
    bgr = np.ascontiguousarray(_bgr(picture))
    alpha = np.full((20, 30, 1), 7, np.uint8)
    assert np.shares_memory(read_pixels(bgr), bgr)
    for image in (np.dstack((bgr, alpha)), bgr[::-1][::-1]):
        np.testing.assert_array_equal(read_pixels(image), bgr)
    rgb = bgr[:, :, ::-1]
    for image in (rgb, np.dstack((rgb, alpha))):
        found = read_pixels(image, colour="RGB")
        np.testing.assert_array_equal(found, bgr)
        assert found.flags.c_contiguous
    grey = bgr[:, :, 0]
    for image in (grey, grey[:, :, None], np.asfortranarray(grey)):
        for colour in ("BGR", "RGB"):
            found = read_pixels(image, colour=colour)  # type: ignore[arg-type]
            np.testing.assert_array_equal(found, np.dstack([grey] * 3))


_ARRAY = np.full((8, 9, 3), 200, np.uint8)


@pytest.mark.parametrize(
    ("image", "message", "hint"),
    [
        (_ARRAY / 255, "array of float64", "(image * 255).round().astype(np.uint8)"),
        (_ARRAY.astype(np.float32), "of float32: exp", "(image).round().astype(np.uint8)"),
        (_ARRAY.astype(np.int64), "array of int64", "image.astype(np.uint8)"),
        (_ARRAY.astype(np.uint16) * 257, "array of uint16", "(image / 257).round()"),
        (_ARRAY > 3, "array of bool", "image.astype(np.uint8) * 255"),
        (_ARRAY / np.float32(-255), "array of float32", "whole numbers from 0 to 255"),
        (_ARRAY * np.nan, "array of float64", "whole numbers from 0 to 255"),
        (np.array(["a"]), "array of <U1", "whole numbers from 0 to 255"),
        (np.zeros((0, 8, 3)), "array of float64", "whole numbers from 0 to 255"),
        (_ARRAY.transpose(2, 0, 1), "shape (3, 8, 9)", "image.transpose(1, 2, 0)"),
        (_ARRAY[:, :, :2], "shape (8, 9, 2)", "cv2.cvtColor(image, cv2.COLOR_YUV2BGR_YUYV)"),
        (_ARRAY[None], "shape (1, 8, 9, 3)", "image[0]"),
        (np.stack([_ARRAY] * 2), "shape (2, 8, 9, 3)", "`predict_batch(list(images))`"),
        (_ARRAY[:0], "shape (0, 9, 3)", "cut to nothing"),
        (np.zeros(3, np.uint8), "shape (3,)", None),
        (None, "image is None", "cv2.imread gives None"),
        ((True, _ARRAY), "type tuple", "ok, image = capture.read()"),
        ([[1, 2, 3]], "type list", "np.array(image, np.uint8)"),
        (3, "type int", None),
        (io.StringIO("text"), "gives text", 'open(path, "rb")'),
    ],
)
def test_what_is_no_image_gets_a_hint(image: Any, message: str, hint: str | None) -> None:
    with pytest.raises(InputError) as caught:
        read_pixels(image)
    text = str(caught.value)
    assert message in text
    assert "\n" not in text
    assert (caught.value.hint is None) == (hint is None)
    shown = "".join(traceback.format_exception(caught.value))
    assert hint is None or (hint in str(caught.value.hint) and hint in shown)


@pytest.mark.parametrize("image", [_ARRAY / 255, _ARRAY.astype(np.int16), _ARRAY > 3])
def test_the_hint_mends_it(image: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_pixels(image)
    mended = eval(str(caught.value.hint), {"image": image, "np": np})
    assert read_pixels(mended).max() in (200, 255)


@pytest.mark.parametrize("colour", ["rgb", "RGBA", "HSV", None])
def test_another_order_of_channels_is_refused(colour: Any) -> None:
    with pytest.raises(InputError, match="expected BGR or RGB") as caught:
        read_pixels(_ARRAY, colour=colour)
    assert "cv2.cvtColor" in str(caught.value.hint)


def test_a_photo_opened_as_text_is_told_of(tmp_path: Path, picture: Image.Image) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(picture, "png"))
    with (
        path.open(encoding="utf-8") as file,
        pytest.raises(InputError, match=r"photo\.png: gives text"),
    ):
        read_pixels(file)  # type: ignore[arg-type]


def test_files_that_are_no_photos(tmp_path: Path, picture: Image.Image) -> None:
    with pytest.raises(ImageError, match=r"image \(4 bytes\): not an image"):
        read_pixels(b"text")
    with (tmp_path / "empty").open("wb+") as file:
        with pytest.raises(ImageError, match="empty: nothing left to read") as caught:
            read_pixels(file)
        assert "seek(0)" in str(caught.value.hint)
    closed = Image.open(io.BytesIO(encode(picture, "png")))
    closed.close()
    with pytest.raises(ImageError, match="Pillow"):
        read_pixels(closed)
    with pytest.raises(ImageError, match="32-bit"):
        read_pixels(Image.new("F", (3, 3)))


def test_large_pillow_images_are_not_decoded() -> None:
    content = encode(Image.new("1", (9000, 8000)), "png")
    large = Image.open(io.BytesIO(content))
    with pytest.raises(ImageError, match="above the limit of 64,000,000 pixels"):
        read_pixels(large)
