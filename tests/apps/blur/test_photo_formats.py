"""What is kept of a photo's file when its faces are hidden, and what is refused."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pocketface.apps.blur import photo_read
from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.photo_file import turned
from pocketface.data.images import decode_image
from pocketface.errors import ImageError
from pocketface.results import Detections

from ...tiffs import grey_of_12_bits
from .photos import BOX, SIZE, OneFace, blur, inside, noise, opened, outside, smooth, written

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def rgba() -> Image.Image:
    return Image.fromarray(noise(4))


def soft_alpha() -> Image.Image:
    alpha = np.full(SIZE[::-1], 200, np.uint8)
    return Image.fromarray(np.dstack([smooth(), alpha]))


def deep(channels: int, kind: str) -> bytes:
    return bytes(cv2.imencode(kind, noise(channels, top=65536))[1])


def bmp_with_alpha() -> bytes:
    """With a header that says which bits are alpha (BITMAPV4HEADER)."""
    pixels = noise(4)[::-1]
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = (108, *SIZE, 1, 32, 3, pixels.nbytes, 11811, 5906, 0, 0, *masks)
    header = struct.pack("<IiiHHIIiiIIIIII52x", *info)
    start = 14 + len(header)
    head = struct.pack("<2sIHHI", b"BM", start + pixels.nbytes, 0, 0, start)
    return head + header + pixels.tobytes()


LOSSLESS: dict[str, Callable[[], bytes]] = {
    "png": lambda: written(Image.fromarray(noise()), "PNG", icc_profile=PROFILE, dpi=(300, 300)),
    "grey png": lambda: written(Image.fromarray(noise(1)), "PNG"),
    "grey png with alpha": lambda: written(Image.fromarray(noise(2), "LA"), "PNG"),
    "png with alpha": lambda: written(rgba(), "PNG", icc_profile=PROFILE),
    "png with palette": lambda: written(Image.fromarray(noise()).quantize(64), "PNG"),
    "png with a clear colour": lambda: written(
        Image.fromarray(noise()).quantize(64), "PNG", transparency=3
    ),
    "png of 1 bit": lambda: written(Image.fromarray(noise(1)).convert("1"), "PNG"),
    "tiff": lambda: written(
        Image.fromarray(noise()), "TIFF", compression="tiff_lzw", icc_profile=PROFILE, dpi=(72, 72)
    ),
    "tiff with alpha": lambda: written(rgba(), "TIFF"),
    "cmyk tiff": lambda: written(Image.fromarray(noise(4), "CMYK"), "TIFF", icc_profile=PROFILE),
    "fax": lambda: written(Image.fromarray(noise(1)).convert("1"), "TIFF", compression="group4"),
    "bmp": lambda: written(Image.fromarray(noise()), "BMP", dpi=(300, 150)),
    "bmp with alpha": lambda: bmp_with_alpha(),
    "ppm": lambda: written(Image.fromarray(noise()), "PPM"),
    "pgm": lambda: written(Image.fromarray(noise(1)), "PPM"),
    "webp": lambda: written(Image.fromarray(noise()), "WEBP", lossless=True, icc_profile=PROFILE),
    "webp with alpha": lambda: written(rgba(), "WEBP", lossless=True, exact=True),
    "gif": lambda: written(Image.fromarray(noise()).quantize(200), "GIF"),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_pixel_but_the_face(name: str) -> None:
    content = LOSSLESS[name]()
    made = blur(content)
    before, after = opened(content), opened(made.content)
    assert after.format == before.format
    assert after.size == before.size
    assert after.info.get("icc_profile") == before.info.get("icc_profile")
    if "dpi" in before.info:
        assert after.info["dpi"] == pytest.approx(before.info["dpi"])
    pixels, changed = (np.asarray(one.convert("RGBA")) for one in (before, after))
    seen = pixels[..., 3] > 0
    assert np.array_equal(pixels[outside() & seen], changed[outside() & seen])
    assert np.array_equal(pixels[..., 3], changed[..., 3])
    # Independent pixels become flat: what differs most is gone.
    hidden = changed[inside()][seen[inside()]]
    assert hidden[:, :3].std(axis=0).max() < pixels[inside()][..., :3].std(axis=(0, 1)).min() / 2
    assert made.hidden == 1


def test_a_cmyk_photo_stays_one() -> None:
    content = written(Image.fromarray(smooth()).convert("CMYK"), "JPEG", icc_profile=PROFILE)
    before, after = opened(content), opened(blur(content).content)
    assert after.mode == "CMYK"
    assert after.info["icc_profile"] == PROFILE
    difference = np.asarray(before).astype(int) - np.asarray(after)
    assert np.abs(difference[outside()]).max() <= 3
    assert np.abs(difference[inside()]).mean() > 5


@pytest.mark.parametrize("kind", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_are_kept(kind: str, channels: int) -> None:
    content = deep(channels, kind)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    after: Any = cv2.imdecode(np.frombuffer(blur(content).content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert after.dtype == np.uint16
    assert np.array_equal(after[outside()], pixels[outside()])
    assert after[inside()][..., :3].std() < pixels[inside()][..., :3].std() / 2
    white = blur(content, cover=Cover(style="solid", colour=(255, 255, 255))).content
    after = cv2.imdecode(np.frombuffer(white, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (after[inside()].reshape(-1, after[0, 0].size)[:, :3] == 65535).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_keep_their_profile(kind: str) -> None:
    content = written(Image.fromarray(noise(1, top=65536)), kind, icc_profile=PROFILE)
    after = opened(blur(content).content)
    assert after.info["icc_profile"] == PROFILE
    assert after.mode == "I;16"
    after.load()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("unit", [1, 2, 3])
def test_16_bits_keep_their_resolution(channels: int, unit: int) -> None:
    how = [cv2.IMWRITE_TIFF_RESUNIT, unit, cv2.IMWRITE_TIFF_XDPI, 600, cv2.IMWRITE_TIFF_YDPI, 300]
    content = bytes(cv2.imencode(".tiff", noise(channels, top=65536), how)[1])
    before, after = (opened(one).tag_v2 for one in (content, blur(content).content))
    assert after[258][0] == 16
    assert [after[tag] for tag in (282, 283, 296)] == [before[tag] for tag in (282, 283, 296)]
    assert (after[282], after[283], after[296]) == (600, 300, unit)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_resolution_is_made_up(channels: int) -> None:
    for content in (deep(channels, ".tiff"), bytes(cv2.imencode(".tiff", noise(channels))[1])):
        tags = opened(content).tag_v2.keys() | opened(blur(content).content).tag_v2.keys()
        assert not tags & {282, 283, 296}


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [30, 93])
def test_jpeg_keeps_its_tables(quality: int, subsampling: int) -> None:
    content = written(
        Image.fromarray(smooth()),
        "JPEG",
        quality=quality,
        subsampling=subsampling,
        progressive=subsampling == 1,
        icc_profile=PROFILE,
        dpi=(300, 300),
    )
    before, after = opened(content), opened(blur(content).content)
    assert after.quantization == before.quantization
    assert [layer[1:3] for layer in after.layer] == [layer[1:3] for layer in before.layer]
    assert after.info.get("progressive") == before.info.get("progressive")
    assert after.info["icc_profile"] == PROFILE
    assert after.info["dpi"] == (300, 300)
    difference = np.abs(np.asarray(before).astype(int) - np.asarray(after))
    assert difference[outside()].max() <= 3


def test_jpeg_of_rgb_components() -> None:
    content = written(Image.fromarray(smooth()), "JPEG", keep_rgb=True, quality=95)
    before, after = opened(content), opened(blur(content).content)
    assert after.info["adobe_transform"] == 0
    assert np.abs(np.asarray(before).astype(int) - np.asarray(after))[outside()].max() <= 2


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("alpha", [False, True])
def test_lossy_formats(kind: str, alpha: bool) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image = soft_alpha() if alpha else Image.fromarray(smooth())
    content = written(image, kind, quality=90, icc_profile=PROFILE)
    made = blur(content)
    before, after = opened(content), opened(made.content)
    assert (after.format, after.mode) == (kind, "RGBA" if alpha else "RGB")
    assert after.info["icc_profile"] == PROFILE
    pixels, changed = (np.asarray(one).astype(int) for one in (before, after))
    assert np.abs(pixels - changed)[outside()].max() <= 10
    assert np.abs(pixels - changed)[inside()].mean() > 5


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The stored pixels that a viewer turns into these."""
    back = {6: 8, 8: 6}.get(orientation, orientation)
    return turned(pixels, back)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "PNG16", "TIFF", "TIFF16", "WEBP", "JPEG"])
def test_orientation_is_in_the_pixels(kind: str, orientation: int) -> None:
    is_deep = kind.endswith("16")
    upright = noise(1, top=65536) if is_deep else noise() if kind != "JPEG" else smooth()
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings: dict[str, Any] = {"exif": exif.tobytes()}
    if kind == "WEBP":
        settings["lossless"] = True
    if kind == "JPEG":
        settings |= {"quality": 100, "subsampling": 0}
    stored = Image.fromarray(turn(upright, orientation))
    content = written(stored, kind.removesuffix("16"), **settings)
    shown = decode_image(content, source="photo")
    assert shown.shape[:2] == upright.shape[:2]
    finder = OneFace()
    made = blur(content, finder=finder)
    assert np.array_equal(finder.seen[0], shown)
    after = opened(made.content)
    assert after.getexif().get(0x0112, 1) == 1
    difference = np.abs(np.asarray(after).astype(int) - upright)
    assert difference[outside()].max() <= (6 if kind == "JPEG" else 0)
    assert difference[inside()].mean() > 5


def test_tables_are_turned_with_the_pixels() -> None:
    table = list(range(1, 65))
    exif = Image.Exif()
    exif[0x0112] = 6
    content = written(
        Image.fromarray(turn(smooth(), 6)), "JPEG", qtables=[table, table], exif=exif.tobytes()
    )
    after = opened(blur(content).content)
    across = [table[8 * x + y] for y in range(8) for x in range(8)]
    assert after.quantization[0] == across
    assert after.size == SIZE


def moving(alpha: bool) -> list[Image.Image]:
    frames = []
    for seed in range(4):
        pixels = noise(seed=seed) // 64 * 64
        if alpha:
            clear = np.where(noise(1, seed=9 + seed) > 100, 255, 0).astype(np.uint8)
            pixels = np.dstack([pixels, clear])
        frames.append(Image.fromarray(pixels))
    return frames


TIMES = [100, 250, 40, 1000]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("loop", [None, 0, 3])
@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_keep_frames_times_and_loops(kind: str, loop: int | None, alpha: bool) -> None:
    first, *more = moving(alpha)
    settings: dict[str, Any] = {} if loop is None else {"loop": loop}
    if kind == "WEBP":
        settings |= {"lossless": True, "exact": True}
    elif alpha:
        settings["disposal"] = 2 if kind == "GIF" else 1
    content = written(first, kind, save_all=True, append_images=more, duration=TIMES, **settings)
    made = blur(content)
    before, after = opened(content), opened(made.content)
    assert after.n_frames == before.n_frames == len(made.found) == 4
    assert after.info.get("loop") == before.info.get("loop")
    for number, time in enumerate(TIMES):
        before.seek(number)
        after.seek(number)
        after.load()
        before.load()
        assert after.info["duration"] == before.info["duration"] == time
        pixels, changed = (np.asarray(one.convert("RGBA")) for one in (before, after))
        seen = outside() & (pixels[..., 3] > 0)
        assert np.array_equal(pixels[..., 3], changed[..., 3])
        assert np.array_equal(pixels[seen], changed[seen])
        assert np.abs(pixels[inside()].astype(int) - changed[inside()])[..., :3].mean() > 20
    assert made.hidden == 4


def test_times_of_a_png_are_fractions() -> None:
    first, *more = moving(False)
    content = written(first, "PNG", save_all=True, append_images=more, duration=1000 / 30)
    after = opened(blur(content).content)
    after.seek(1)
    assert after.info["duration"] == pytest.approx(1000 / 30, abs=1e-6)


def test_the_picture_for_those_who_know_no_animations() -> None:
    """A PNG may have one that is no frame."""
    first, *more = moving(False)
    content = written(
        first, "PNG", save_all=True, append_images=more, duration=TIMES[1:], default_image=True
    )
    made = blur(content)
    after = opened(made.content)
    assert after.default_image
    assert after.n_frames == 4
    for number in range(4):
        after.seek(number)
        changed = np.asarray(after.convert("RGB")).astype(int)
        assert np.abs(changed - noise(seed=number) // 64 * 64)[inside()].mean() > 20


def test_a_face_that_one_frame_misses() -> None:
    class Blinking(OneFace):
        def find(self, image: NDArray[np.uint8]) -> Any:
            found = super().find(image)
            return found if len(self.seen) == 2 else found[[]]

    first, *more = moving(False)
    content = written(first, "PNG", save_all=True, append_images=more, duration=TIMES)
    made = blur(content, finder=Blinking())
    after = opened(made.content)
    is_hidden = []
    for number in range(4):
        after.seek(number)
        changed = np.asarray(after.convert("RGB")).astype(int)
        is_hidden.append(bool((changed != noise(seed=number) // 64 * 64)[inside()].any()))
    assert is_hidden == [True, True, True, False]


def test_a_face_that_moves_is_hidden_where_it_is() -> None:
    """Also where it was found with a higher score in the frame before."""

    class Moving(OneFace):
        def find(self, image: NDArray[np.uint8]) -> Any:
            found = super().find(image)
            number = len(self.seen) - 1
            return Detections(found.boxes + (8 * number, 0) * 2, found.scores - 0.1 * number, None)

    frames = [Image.new("RGB", SIZE, (255, number, 255)) for number in range(3)]
    content = written(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=TIMES[:3])
    cover = Cover(style="solid", shape="box", grow=1)
    after = opened(blur(content, finder=Moving(), cover=cover).content)
    for number in range(3):
        after.seek(number)
        face = np.asarray(after.convert("RGB"))[BOX[1] : BOX[3], BOX[0] + 8 * number :][:, :32]
        assert (face == 0).all()


def test_all_pages_of_a_tiff() -> None:
    pages = [Image.fromarray(noise()), Image.fromarray(noise(1)), Image.fromarray(noise(seed=2))]
    content = written(
        pages[0], "TIFF", compression="tiff_lzw", save_all=True, append_images=pages[1:]
    )
    made = blur(content)
    after = opened(made.content)
    assert after.n_frames == 3
    for number, page in enumerate(pages):
        after.seek(number)
        assert after.mode == page.mode
        assert np.array_equal(np.asarray(after)[outside()], np.asarray(page)[outside()])
        assert not np.array_equal(np.asarray(after)[inside()], np.asarray(page)[inside()])


def pages(*made: bytes) -> bytes:
    """A TIFF of the only pages of others (TIFF 6.0, section 2), which are small-endian."""
    content = b"II*\0" + struct.pack("<I", 8)
    end = 4
    for one in made:
        base = len(content)
        (start,) = struct.unpack_from("<I", one, 4)
        (count,) = struct.unpack_from("<H", one, start)
        moved = bytearray(one)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, numbers, value = struct.unpack_from("<HHII", one, at)
            size = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}[kind] * numbers
            if size > 4:
                struct.pack_into("<I", moved, at + 8, value + base)
            if tag == 273:
                places = (at + 8, 1) if size <= 4 else (value, numbers)
                for place in range(places[0], places[0] + 4 * places[1], 4):
                    (strip,) = struct.unpack_from("<I", one, place)
                    struct.pack_into("<I", moved, place, strip + base)
        content = content[:end] + struct.pack("<I", base + start) + content[end + 4 :] + moved
        end = base + start + 2 + 12 * count
    return content


def test_each_page_keeps_its_profile_and_resolution() -> None:
    first = written(Image.fromarray(noise()), "TIFF", dpi=(300, 300), icc_profile=PROFILE)
    second = written(Image.fromarray(noise(1)), "TIFF", x_resolution=80.0, y_resolution=40.0)
    third = written(Image.fromarray(noise()), "TIFF")
    content = pages(first, second, third)
    before, after = opened(content), opened(blur(content).content)
    assert before.n_frames == after.n_frames == 3
    for number in range(3):
        before.seek(number)
        after.seek(number)
        for tag in (282, 283, 296, 34675):
            expected = before.tag_v2.get(tag, 2 if tag == 296 and number == 1 else None)
            assert after.tag_v2.get(tag) == expected, (number, tag)


@pytest.mark.parametrize("deep_first", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_on_any_of_several_pages_are_refused(channels: int, deep_first: bool) -> None:
    made = [written(Image.fromarray(noise()), "TIFF"), deep(channels, ".tiff")]
    with pytest.raises(ImageError, match="several pages with 16 bits in one are not kept"):
        blur(pages(*reversed(made) if deep_first else made))


def test_a_later_page_of_large_tiles_or_many_values_is_refused() -> None:
    """Memory for them would be taken, whatever the page's size is."""
    small = written(Image.fromarray(noise()), "TIFF")
    many = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 258, 3, 1_000_000, 26, 0) + bytes(2_000_000)
    with pytest.raises(ImageError, match="1,000,000 values in its field 258"):
        blur(pages(small, many))
    tags = [(256, 8), (257, 8), (258, 8), (259, 8), (262, 1), (277, 1), (322, 60_000)]
    tags += [(323, 60_000), (324, 8), (325, 9)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    tiled = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    with pytest.raises(ImageError, match="60000 x 60000 pixels: above the limit"):
        blur(pages(small, tiled))


def test_more_colours_than_a_gif_has_room_for() -> None:
    """Those outside of the face stay exactly what they are."""
    content = written(Image.fromarray(noise()).quantize(256), "GIF")
    before, after = opened(content), opened(blur(content).content)
    pixels, changed = (np.asarray(one.convert("RGB")) for one in (before, after))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) == 256
    assert np.array_equal(pixels[outside()], changed[outside()])
    assert len(np.unique(changed[inside()].reshape(-1, 3), axis=0)) < 20


def test_colours_that_nobody_sees_are_wiped() -> None:
    pixels = np.dstack([noise(), np.zeros(SIZE[::-1], np.uint8)])
    content = written(Image.fromarray(pixels), "PNG")
    after = np.asarray(opened(blur(content, finder=OneFace((0, 0, 1, 1))).content))
    assert not after.any()


def test_colours_behind_little_alpha_are_searched() -> None:
    """Who takes the alpha away must not find a face."""
    pixels = np.dstack([noise(), np.full(SIZE[::-1], 3, np.uint8)])
    finder = OneFace()
    blur(written(Image.fromarray(pixels), "PNG"), finder=finder)
    assert any(np.array_equal(seen, pixels[..., 2::-1]) for seen in finder.seen)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda: written(Image.fromarray(noise(), "LAB"), "TIFF"), "mode LAB"),
        (lambda: written(Image.fromarray(noise(1)).convert("1"), "PPM"), "bitmap"),
        (lambda: written(Image.fromarray(noise(1, top=65536)), "PPM"), "maximum is 65535"),
        (lambda: b"just a text", "not an image"),
        (lambda: written(Image.fromarray(noise()), "PNG")[:-3000], "damaged or cut-off"),
        (lambda: _heic_of_10_bits(), "more than 8 bits"),
        (lambda: grey_of_12_bits(np.full((80, 96), 4000, np.uint16)), "12 bits are not kept"),
    ],
)
def test_what_cannot_be_kept_is_refused(content: Callable[[], bytes], what: str) -> None:
    with pytest.raises(ImageError, match=what) as error:
        blur(content())
    assert str(error.value).startswith("photo: ")
    assert "\n" not in str(error.value)


def _heic_of_10_bits() -> bytes:
    heif = pytest.importorskip("pillow_heif")
    image = heif.from_bytes("RGB;16", SIZE, noise(top=65536).tobytes())
    target = io.BytesIO()
    image.save(target, bit_depth=10)
    return target.getvalue()


@pytest.mark.parametrize("size", [SIZE, (48, 40)])
@pytest.mark.parametrize("main", [0, 1, 2])
def test_of_several_heic_pictures_the_main_one_is_kept(main: int, size: tuple[int, int]) -> None:
    """Whatever their sizes are, and wherever it stands."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    more = [Image.new("RGB", size, "blue").rotate(90 * number) for number in range(3)]
    more[main] = Image.fromarray(smooth())
    content = written(
        more[0], "HEIF", save_all=True, append_images=more[1:], primary_index=main, quality=90
    )
    assert opened(content).n_frames == 3
    made = blur(content)
    after = opened(made.content)
    assert after.n_frames == len(made.found) == 1
    difference = np.abs(
        decode_image(made.content, source="photo").astype(int) - smooth()[..., ::-1]
    )
    assert difference[outside()].max() <= 20
    assert difference[inside()].mean() > 5


def test_animations_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_read, "MAX_ALL_PIXELS", 3 * SIZE[0] * SIZE[1])
    first, *more = moving(False)
    for kind in ("GIF", "TIFF"):
        content = written(first, kind, save_all=True, append_images=more)
        with pytest.raises(ImageError, match="above the limit"):
            blur(content)


def test_the_box_is_the_one_that_is_hidden() -> None:
    content = written(Image.new("RGB", SIZE, "white"), "PNG")
    made = blur(content, cover=Cover(style="solid", shape="box", grow=1))
    rows, columns = np.nonzero(np.asarray(opened(made.content))[..., 0] == 0)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == BOX


def test_what_a_viewer_shows_is_searched() -> None:
    """On white, as all other commands see the photo."""
    content = written(rgba(), "PNG")
    finder = OneFace()
    blur(content, finder=finder)
    shown = decode_image(content, source="photo").astype(int)
    clear = np.asarray(rgba())[..., 3] == 0
    assert np.abs(finder.seen[0] - shown)[~clear].max() <= 1


@pytest.mark.parametrize("mode", ["1", "LA"])
def test_dots_are_searched_as_tones(mode: str) -> None:
    """A fax, and the same with alpha."""
    ramp = np.linspace(20, 235, SIZE[0]).round().astype(np.uint8)
    grey = Image.fromarray(np.tile(ramp, (SIZE[1], 1)))
    finder = OneFace()
    blur(written(grey.convert("1").convert(mode), "PNG"), finder=finder)
    assert len(finder.seen) == (2 if mode == "1" else 4)
    assert set(np.unique(finder.seen[0])) == {0, 255}
    assert np.abs(finder.seen[-1][..., 0].astype(int) - grey).mean() < 40
    finder = OneFace()
    blur(written(grey, "PNG"), finder=finder)
    assert len(finder.seen) == 1
