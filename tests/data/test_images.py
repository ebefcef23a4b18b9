"""One decoder for every format, and one clear line for everything that is no photo."""

from __future__ import annotations

import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data import pillow_quiet
from pocketface.data.images import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    decode_image,
    image_size,
    list_images,
    read_image,
)
from pocketface.errors import DataError, ImageError

from .encoded import encode

pytestmark = pytest.mark.filterwarnings("error")

LOSSLESS = {"png": {}, "webp": {"lossless": True}, "tiff": {"compression": "tiff_lzw"}}
EXIF_FORMATS = {**LOSSLESS, "jpeg": {"quality": 95}, "avif": {"quality": 95}}


def bgr(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB"))[:, :, ::-1]


def assert_quadrants(image: NDArray[np.uint8], picture: Image.Image) -> None:
    """The same colours, but for what lossy compression does to them."""
    expected = bgr(picture)
    assert image.shape == expected.shape
    for y, x in ((4, 6), (4, 24), (15, 6), (15, 24)):
        assert np.abs(image[y, x].astype(int) - expected[y, x]).max() < 15


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


# Real photos ---------------------------------------------------------------------------------


def test_real_photos_have_the_pixels_of_cv2(shared: Path) -> None:
    photos = [
        *sorted((shared / "airport" / "train").iterdir())[:2],
        *sorted((shared / "photos").glob("*.jp*g")),
        *sorted((shared / "wider_face" / "WIDER_val" / "images" / "12--Group").iterdir())[:3],
        shared / "att_faces" / "s1" / "1.pgm",
    ]
    assert len(photos) > 15
    for path in photos:
        image = read_image(path)
        expected = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        np.testing.assert_array_equal(image, expected, err_msg=str(path))
        assert image_size(path) == (image.shape[1], image.shape[0])
        np.testing.assert_array_equal(decode_image(path.read_bytes(), source="x"), image)


def test_real_transparent_photo_is_put_on_white(shared: Path) -> None:
    path = shared / "photos" / "32bit.png"
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32)
    alpha = pixels[:, :, 3:] / 255
    expected = pixels[:, :, :3] * alpha + 255 * (1 - alpha)
    image = read_image(path)
    assert image.shape == (1200, 626, 3)
    assert np.abs(image - expected).max() <= 1


# EXIF orientation ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(EXIF_FORMATS))
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(picture: Image.Image, kind: str, orientation: int, tmp_path: Path) -> None:
    """What the eight values mean, spelled out from the Exif specification, for each format."""
    upright = bgr(picture)
    stored = {
        1: upright,  # row 0 is the top, column 0 the left side
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: upright.transpose(1, 0, 2)[::-1],  # right, top
        7: upright.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
        8: upright.transpose(1, 0, 2)[:, ::-1],  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{kind}"
    source = Image.fromarray(np.ascontiguousarray(stored[:, :, ::-1]))
    source.save(path, kind, exif=exif, **EXIF_FORMATS[kind])
    image = read_image(path)
    assert image_size(path) == (30, 20)
    assert image.shape == (20, 30, 3)
    if kind in LOSSLESS:
        np.testing.assert_array_equal(image, upright)
    else:
        assert_quadrants(image, picture)


def test_exif_behind_the_pixels_of_a_png(picture: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encode(picture, "png")
    end = plain.index(b"IEND") - 4
    late = plain[:end] + chunk(b"eXIf", exif.tobytes()[6:]) + plain[end:]
    path = tmp_path / "late.png"
    path.write_bytes(late)
    assert image_size(path) == (20, 30)
    np.testing.assert_array_equal(read_image(path), np.rot90(bgr(picture), -1))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_senseless_orientation_is_none(picture: Image.Image, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    for kind in ("png", "webp"):
        image = decode_image(encode(picture, kind, exif=exif, **LOSSLESS[kind]), source="x")
        np.testing.assert_array_equal(image, bgr(picture))


def test_damaged_exif_is_none(picture: Image.Image) -> None:
    for junk in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk", b"\0"):
        image = decode_image(encode(picture, "webp", lossless=True, exif=junk), source="x")
        np.testing.assert_array_equal(image, bgr(picture))


# Kinds of pixels -----------------------------------------------------------------------------


def test_grey_palette_and_two_colours(picture: Image.Image) -> None:
    for mode in ("L", "P", "1"):
        image = picture.convert(mode)
        for kind in ("png", "tiff", "bmp"):
            decoded = decode_image(encode(image, kind), source=f"{mode} {kind}")
            np.testing.assert_array_equal(decoded, bgr(image), err_msg=f"{mode} {kind}")


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGBA", "png"), ("RGBA", "webp"), ("RGBA", "tiff"), ("LA", "png"), ("LA", "tiff")],
)
def test_alpha_is_put_on_white(picture: Image.Image, mode: str, kind: str) -> None:
    alpha = np.full((20, 30), 255, np.uint8)
    alpha[:, :5], alpha[:, 5:10] = 0, 128
    layer = picture.convert("L" if mode == "LA" else "RGB")
    expected = bgr(layer).astype(np.float32)
    expected = expected * (alpha[..., None] / 255) + 255 - alpha[..., None].astype(np.float32)
    layer.putalpha(Image.fromarray(alpha))
    decoded = decode_image(encode(layer, kind, **LOSSLESS[kind]), source="x")
    assert np.abs(decoded - expected).max() <= 1
    assert (decoded[:, :5] == 255).all()


def test_grey_multiplied_by_its_alpha_is_put_on_white() -> None:
    """A TIFF of associated alpha (TIFF 6.0, section 18), which Pillow reads but does not write."""
    fields = {256: 1, 257: 1, 258: 8 | 8 << 16, 259: 1, 262: 1, 273: 8, 277: 2, 278: 1, 279: 2}
    kinds = {258: (3, 2), 338: (3, 1)}
    entries = b"".join(
        struct.pack("<HHII", tag, *kinds.get(tag, (4, 1)), value)
        for tag, value in sorted((fields | {338: 1}).items())
    )
    tiff = b"II*\0" + struct.pack("<I", 10) + bytes([50, 128]) + struct.pack("<H", 10) + entries
    decoded = decode_image(tiff + bytes(4), source="x.tiff")
    assert abs(int(decoded[0, 0, 0]) - (50 + 127)) <= 1


def test_transparent_palette_entry_is_white(picture: Image.Image) -> None:
    palette = picture.quantize(8)
    index = int(np.asarray(palette)[0, 0])
    for kind in ("png", "gif"):
        decoded = decode_image(encode(palette, kind, transparency=index), source="x")
        assert (decoded[:10, :15] == 255).all()
        assert np.abs(decoded[15, 25].astype(int) - (50, 200, 200)).max() < 3


@pytest.mark.parametrize("suffix", ["png", "tiff", "ppm", "pgm"])
def test_sixteen_bits(picture: Image.Image, suffix: str, tmp_path: Path) -> None:
    expected = bgr(picture).astype(int)
    wide = (expected * 256 + 255 - expected).astype(
        np.uint16
    )  # the lower byte is far from the upper
    path = tmp_path / f"wide.{suffix}"
    if suffix != "pgm":
        assert cv2.imwrite(str(path), wide)
        assert np.abs(read_image(path) - expected).max() <= 1
    if suffix != "ppm":
        assert cv2.imwrite(str(path), np.ascontiguousarray(wide[:, :, 1]))
        assert np.abs(read_image(path) - expected[:, :, 1:2]).max() <= 1


@pytest.mark.parametrize("maximum", [1, 100, 255, 1000, 65535])
@pytest.mark.parametrize("kind", [b"P5", b"P6"])
def test_netpbm_of_any_maximum(kind: bytes, maximum: int) -> None:
    shape = (5, 7, 1 if kind == b"P5" else 3)
    values = np.random.default_rng(0).integers(0, maximum + 1, shape)
    data = values.astype(np.uint8 if maximum < 256 else ">u2").tobytes()
    content = b"%b # a comment\n7\t5\r\n%d\n%b" % (kind, maximum, data)
    decoded = decode_image(content, source="x")
    expected = np.broadcast_to(values[:, :, ::-1] / maximum * 255, (5, 7, 3))
    assert np.abs(decoded - expected).max() <= 0.5


def test_netpbm_bitmap() -> None:
    """1 is black, and rows begin at bytes."""
    decoded = decode_image(b"P4 9 2\n\x80\x80\x01\x00", source="x")
    assert np.argwhere(decoded[:, :, 0] == 0).tolist() == [[0, 0], [0, 8], [1, 7]]


def test_more_than_a_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos are brought together from strips, turned."""
    monkeypatch.setattr("pocketface.data.image_pixels._STRIP_PIXELS", 700)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 100, 4), dtype=np.uint8)
    photo = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode_image(encode(photo, "png", exif=exif), source="x")
    white = Image.new("RGB", photo.size, "white")
    white.paste(photo, mask=photo.getchannel("A"))
    np.testing.assert_array_equal(decoded, np.rot90(bgr(white), -1))
    for kind in ("ppm", "tiff"):
        decoded = decode_image(encode(white, kind), source="x")
        np.testing.assert_array_equal(decoded, bgr(white))


def test_cmyk(picture: Image.Image) -> None:
    cmyk = picture.convert("CMYK")
    for kind, options in (("jpeg", {"quality": 95}), ("tiff", {})):
        assert_quadrants(decode_image(encode(cmyk, kind, **options), source="x"), picture)


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "depth.tiff"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    with pytest.raises(ImageError, match=r"depth\.tiff: has 32-bit pixels: expected 8 or 16 bits"):
        read_image(path)


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff", "avif"])
def test_first_frame_of_many(picture: Image.Image, kind: str) -> None:
    other = Image.new("RGB", picture.size, (9, 9, 9))
    many = encode(picture, kind, save_all=True, append_images=[other, other])
    one = encode(picture, kind)
    assert len(many) > len(one)
    assert_quadrants(decode_image(many, source="many"), picture)


def test_one_pixel_and_wrong_suffix(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    Image.new("RGB", (1, 1), (1, 2, 3)).save(path, "png")
    assert read_image(path).tolist() == [[[3, 2, 1]]]
    assert image_size(path) == (1, 1)


def test_threads_leave_the_warning_filters_alone(picture: Image.Image) -> None:
    content = encode(picture, "tiff")
    before = [one for one in warnings.filters if one is not pillow_quiet._FILTER]
    threads = [
        threading.Thread(target=lambda: [decode_image(content, source="x") for _ in range(50)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one for one in warnings.filters if one is not pillow_quiet._FILTER] == before
    assert len(warnings.filters) <= len(before) + 4
    with pytest.warns(UserWarning, match="one of the program's own"):
        warnings.warn("one of the program's own", stacklevel=2)


# Folders -------------------------------------------------------------------------------------


def test_list_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "sub/c.webp", "sub/.hidden.jpg", ".git/d.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a.png", "b.JPG", "sub/c.webp"]
    with pytest.raises(DataError, match="no such folder"):
        list_images(tmp_path / "missing")


def test_photos_that_are_not_read_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.JXL", "b.jxl", "sub/c.dng", ".d.jxl", "e.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == [tmp_path / "e.jpg"]
    assert "left out 3 photos in formats that are not read (2 x .jxl, 1 x .dng)" in caplog.text
    with pytest.raises(DataError, match=r"e\.jpg: is a file; expected a folder"):
        list_images(tmp_path / "e.jpg")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["b"], "1 link to a folder is not followed, and left out: {0}/b"),
        (["sub/c", "b", ".d"], "2 links to folders are not followed, and left out: {0}/b"),
        ([".d"], ""),
    ],
)
def test_links_to_folders_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, names: list[str], says: str
) -> None:
    real, folder = tmp_path / "real", tmp_path / "photos"
    for place in (real, folder / "sub"):
        place.mkdir(parents=True)
        (place / "a.jpg").touch()
    (folder / "e.jpg").symlink_to(real / "a.jpg")
    for name in names:
        (folder / name).symlink_to(real)
    assert list_images(folder) == [folder / "e.jpg", folder / "sub" / "a.jpg"]
    assert [one.getMessage() for one in caplog.records] == (
        [f"{folder}: {says.format(folder)}"] if says else []
    )


def test_suffixes() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".bmp", ".gif", ".avif"} <= IMAGE_SUFFIXES
    assert {".mp4", ".mov", ".avi", ".mkv", ".webm"} <= VIDEO_SUFFIXES
    assert not IMAGE_SUFFIXES & VIDEO_SUFFIXES
    assert all(suffix == suffix.lower() for suffix in IMAGE_SUFFIXES | VIDEO_SUFFIXES)


def test_heic(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    from pillow_heif import from_pillow

    photo = np.full((48, 64, 3), (200, 120, 40), np.uint8)
    path = tmp_path / "photo.heic"
    from_pillow(Image.fromarray(photo[..., ::-1])).save(path, quality=95)
    read = read_image(path)
    assert read.shape == (48, 64, 3)
    assert np.abs(read.astype(int) - photo).max() <= 6
    assert image_size(path) == (64, 48)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match=r"damaged|not an image"):
        read_image(path)


def test_heic_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ImageError, match=r"pocketface\[heic\]"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_of_an_animation_the_first_picture_is_taken_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    first, second = (Image.new("RGB", (20, 10), colour) for colour in ("white", "black"))
    first.save(tmp_path / name)
    assert read_image(tmp_path / name).min() > 250
    assert not caplog.messages
    first.save(tmp_path / name, save_all=True, append_images=[second])
    assert read_image(tmp_path / name).min() > 250
    assert caplog.messages == [
        f"{tmp_path / name}: is an animation, of which the first picture is taken"
    ]
    caplog.clear()
    decode_image((tmp_path / name).read_bytes(), source="x")  # `blur` takes all of them
    assert not caplog.messages
