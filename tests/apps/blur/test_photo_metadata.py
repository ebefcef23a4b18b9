"""Nothing of what a photo's file says beside its pixels is left, but what was asked for."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from pocketface.apps.blur.photo_metadata import GROUPS, Group, check_groups
from pocketface.apps.blur.png_chunks import chunks_of, with_chunks
from pocketface.errors import ImageError, UserError

from .photos import blur, noise, opened, smooth, written

SECRET = b"nobody-may-read-this"
KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")

MAKE, MODEL, DESCRIPTION, ARTIST, CHANGED = 0x010F, 0x0110, 0x010E, 0x013B, 0x0132
TAKEN, EXPOSURE, MAKER_NOTE, COMMENT, SERIAL = 0x9003, 0x829A, 0x927C, 0x9286, 0xA431
LATITUDE = 2


def exif() -> Image.Exif:
    """Tags of all groups, and of none."""
    tags = Image.Exif()
    tags[MAKE], tags[MODEL], tags[DESCRIPTION] = "Maker", "Model 1", "At sea"
    tags[ARTIST], tags[CHANGED] = "A. Person", "2021:01:02 03:04:05"
    inner = tags.get_ifd(0x8769)
    inner[TAKEN], inner[EXPOSURE] = "2020:01:02 03:04:05", IFDRational(1, 125)
    inner[MAKER_NOTE], inner[COMMENT], inner[SERIAL] = SECRET, SECRET, SECRET.decode()
    tags.get_ifd(0x8825).update({1: "N", LATITUDE: (59.0, 55.0, 48.0)})
    return tags


def photo(kind: str, tags: bytes) -> bytes:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    settings: dict[str, Any] = {"exif": tags}
    if kind in ("JPEG", "WEBP", "AVIF", "HEIF"):
        settings["xmp"] = SECRET
    if kind == "TIFF":
        more = Image.Exif()
        more.load(tags)
        more[700] = SECRET  # where a TIFF has XMP
        settings["exif"] = more.tobytes()
    if kind == "JPEG":
        settings["comment"] = SECRET
    return written(Image.fromarray(smooth()), kind, **settings)


def jpeg_with_everything() -> bytes:
    """EXIF with a thumbnail, IPTC, XMP, a comment, a second picture, and a video behind it."""
    thumbnail = written(Image.fromarray(smooth()), "JPEG", comment=SECRET)
    tags = exif()
    tags.get_ifd(0x8769)[MAKER_NOTE] = thumbnail
    content = photo("JPEG", tags.tobytes())
    preview = written(Image.fromarray(smooth()), "JPEG", comment=SECRET)
    iptc = b"Photoshop 3.0\0" + SECRET
    segments = b"".join(
        marker + struct.pack(">H", len(data) + 2) + data
        for marker, data in ((b"\xff\xed", iptc), (b"\xff\xe2", b"MPF\0" + SECRET))
    )
    return content[:2] + segments + content[2:] + preview + b"\0\0\0\x18ftypmp42" + SECRET


def png_with_everything() -> bytes:
    extra = [
        (b"tEXt", b"Comment\0" + SECRET),
        (b"zTXt", b"Comment\0\0" + zlib.compress(SECRET)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SECRET),
        (b"tIME", bytes([7, 228, 1, 2, 3, 4, 5])),
        (b"prVt", SECRET),
        (b"gAMA", SECRET),
    ]
    return with_chunks(photo("PNG", exif().tobytes()), extra) + SECRET


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left(kind: str) -> None:
    content = photo(kind, exif().tobytes())
    assert SECRET in content
    made = blur(content).content
    assert SECRET not in made
    for word in (b"Maker", b"At sea", b"A. Person", b"2020:01"):
        assert word in content
        assert word not in made
    tags = opened(made).getexif()
    if kind != "TIFF":  # whose tags also say where its pixels are
        assert not tags
    assert not tags.get_ifd(0x8769)
    assert not tags.get_ifd(0x8825)


@pytest.mark.parametrize("keep", [(), GROUPS])
def test_carriers_of_a_jpeg(keep: tuple[Group, ...]) -> None:
    content = jpeg_with_everything()
    made = blur(content, keep=frozenset(keep)).content
    assert content.count(SECRET) >= 6
    assert SECRET not in made
    assert made.count(b"\xff\xd8\xff") == 1  # no other picture in it
    assert made.endswith(b"\xff\xd9")
    names = {one for one, _ in opened(made).applist}
    assert names == ({"APP0", "APP1"} if keep else {"APP0"})


def test_carriers_of_a_png() -> None:
    content = png_with_everything()
    made = blur(content).content
    assert content.count(SECRET) >= 4
    assert SECRET not in made
    assert {name for name, _ in chunks_of(made)} == {b"IHDR", b"IDAT", b"IEND"}
    assert made.endswith(b"IEND\xaeB`\x82")


def test_comments_of_animations() -> None:
    frames = [Image.fromarray(noise(seed=seed)) for seed in (0, 1)]
    content = written(
        frames[0], "GIF", save_all=True, append_images=frames[1:], comment=SECRET, duration=50
    )
    assert SECRET in content
    assert SECRET not in blur(content).content


@pytest.mark.parametrize("kind", KINDS)
def test_groups_that_are_kept(kind: str) -> None:
    content = photo(kind, exif().tobytes())
    made = blur(content, keep=frozenset({"date", "camera"})).content
    tags = opened(made).getexif()
    assert (tags[MAKE], tags[MODEL], tags[CHANGED]) == ("Maker", "Model 1", "2021:01:02 03:04:05")
    assert tags.get_ifd(0x8769)[TAKEN] == "2020:01:02 03:04:05"
    assert set(tags.get_ifd(0x8769)) == {TAKEN}
    assert not tags.get_ifd(0x8825)
    for word in (SECRET, b"At sea", b"A. Person"):
        assert word not in made


@pytest.mark.parametrize("kind", KINDS)
def test_all_groups_hold_no_more_than_their_tags(kind: str) -> None:
    made = blur(photo(kind, exif().tobytes()), keep=frozenset(GROUPS)).content
    tags = opened(made).getexif()
    assert (tags[ARTIST], tags[DESCRIPTION]) == ("A. Person", "At sea")
    assert set(tags.get_ifd(0x8769)) == {TAKEN, EXPOSURE}
    assert tags.get_ifd(0x8769)[EXPOSURE] == pytest.approx(1 / 125)
    assert tags.get_ifd(0x8825)[LATITUDE] == (59, 55, 48)
    assert SECRET not in made


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (DESCRIPTION, "A" * 5000),  # room for a picture in letters
        (MAKE, "new\nline"),
    ],
)
def test_values_that_may_hold_something_else_are_left_out(tag: int, value: Any) -> None:
    tags = exif()
    tags[tag] = value
    made = blur(photo("JPEG", tags.tobytes()), keep=frozenset(GROUPS)).content
    kept = opened(made).getexif()
    assert tag not in kept
    assert kept[MODEL] == "Model 1"


def test_damaged_metadata_of_an_intact_photo() -> None:
    content = photo("JPEG", b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert not opened(blur(content, keep=frozenset(GROUPS)).content).getexif()


def test_no_place_for_tags() -> None:
    """A TIFF of 16 bits is written by a library that knows none."""
    content = written(
        Image.fromarray(noise(1, top=65536)), "TIFF", exif=exif().tobytes(), compression="raw"
    )
    with pytest.raises(ImageError, match="--keep-metadata: a TIFF of 16 bits"):
        blur(content, keep=frozenset({"camera"}))
    assert blur(content).hidden == 1


@pytest.mark.parametrize("begins", [b"", struct.pack(">I", 200)])
def test_a_profile_that_is_none(begins: bytes) -> None:
    """Its length alone does not make it one."""
    profile = (begins + SECRET * 10)[:200]
    content = written(Image.fromarray(smooth()), "JPEG", icc_profile=profile)
    made = blur(content).content
    assert SECRET in content
    assert SECRET not in made


def test_bytes_behind_a_profile() -> None:
    from .test_photo_formats import PROFILE

    content = written(Image.fromarray(smooth()), "JPEG", icc_profile=PROFILE + SECRET)
    made = blur(content).content
    assert SECRET not in made
    assert opened(made).info["icc_profile"] == PROFILE


def test_group_names() -> None:
    assert check_groups(["camera", "date"]) == {"camera", "date"}
    with pytest.raises(UserError, match=r"--keep-metadata gps: expected some of date, camera,"):
        check_groups(["date", "gps"])


def test_layers_and_depth_of_a_heic() -> None:
    """What comes with the pixels is not looked for, so it is not written."""
    heif = pytest.importorskip("pillow_heif")
    image = heif.from_pillow(Image.fromarray(smooth()))
    image[0].info["thumbnails"] = [64]
    target = io.BytesIO()
    image.save(target, quality=90)
    assert heif.open_heif(io.BytesIO(target.getvalue())).info["thumbnails"]
    made = heif.open_heif(io.BytesIO(blur(target.getvalue()).content))
    assert not made.info["thumbnails"]
    assert np.asarray(made).shape[2] == 3
