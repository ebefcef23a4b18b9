"""`--lossless-jpeg`: outside of the blocks that a face touches not a bit changes."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.apps.blur.cover import STYLES, Cover, Style
from pocketface.apps.blur.outline import Shape
from pocketface.apps.blur.photo_file import turned_back
from pocketface.apps.blur.photo_metadata import GROUPS
from pocketface.data.images import decode_image
from pocketface.errors import ImageError, MissingPackageError

from .photos import OneFace, blur, inside, noise, opened, outside, smooth, written
from .test_photo_formats import PROFILE

jpeglib = pytest.importorskip("jpeglib")

BOX_COVER = Cover(style="solid", shape="box", grow=1)


def coefficients(content: bytes, folder: Path) -> dict[str, NDArray[np.int16]]:
    path = folder / "coefficients.jpg"
    path.write_bytes(content)
    read = jpeglib.read_dct(str(path))
    names = ("Y", "Cb", "Cr")
    return {name: getattr(read, name) for name in names if getattr(read, name) is not None}


PHOTOS: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "4:4:4": (Image.fromarray(noise()), {"subsampling": 0}),
    "4:2:2": (Image.fromarray(noise()), {"subsampling": 1}),
    "4:2:0": (Image.fromarray(noise()), {"subsampling": 2}),
    "progressive": (Image.fromarray(noise()), {"progressive": True}),
    "restarts": (Image.fromarray(noise()), {"restart_marker_rows": 1}),
    "optimised": (Image.fromarray(noise()), {"optimize": True, "quality": 30}),
    "grey": (Image.fromarray(noise(1)), {}),
    "rgb": (Image.fromarray(noise()), {"keep_rgb": True}),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_other_blocks_stay_bit_for_bit(name: str, tmp_path: Path) -> None:
    image, settings = PHOTOS[name]
    content = written(image, "JPEG", icc_profile=PROFILE, comment=b"secret", **settings)
    finder = OneFace((40, 30, 56, 50))
    made = blur(content, lossless_jpeg=True, finder=finder).content
    before, after = (coefficients(one, tmp_path) for one in (content, made))
    assert before.keys() == after.keys()
    for component, blocks in before.items():
        same = (blocks == after[component]).all(axis=(2, 3))
        assert 0.5 < same.mean() < 0.95
        assert same[0].all()
        assert same[:, -1].all()
        assert not same[same.shape[0] // 2, same.shape[1] // 2]
    assert opened(made).info["icc_profile"] == PROFILE
    assert b"secret" not in made
    # What is shown in the face is what would be without the flag.
    plain = np.asarray(opened(blur(content, finder=finder).content)).astype(int)
    shown = np.asarray(opened(made))
    assert np.abs(plain - shown)[32:48, 42:54].max() <= 2
    assert opened(made).mode == opened(content).mode


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_whatever_the_style_changes_comes_in_whole_blocks(style: Style, shape: Shape) -> None:
    # The emoji, as wide as high, had a cut-off edge: only the blocks of the face's box were new.
    picture = smooth() if style == "replace" else None
    content = written(Image.fromarray(smooth()), "JPEG", quality=95, subsampling=0)
    made = [
        blur(
            content,
            lossless_jpeg=lossless,
            finder=OneFace((44, 20, 52, 60)),
            cover=Cover(style=style, shape=shape, picture=picture),
        ).content
        for lossless in (False, True)
    ]
    plain, shown = (np.asarray(opened(one)).astype(int) for one in made)
    assert np.abs(plain - shown).max() <= 4


def test_pixels_far_from_the_face_are_the_same() -> None:
    content = written(Image.fromarray(noise()), "JPEG", quality=80)
    made = blur(content, lossless_jpeg=True).content
    before, after = (np.asarray(opened(one)) for one in (content, made))
    assert np.array_equal(before[outside()], after[outside()])
    assert not np.array_equal(before[inside()], after[inside()])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_stays_a_tag(orientation: int) -> None:
    """Blocks could not be turned bit for bit at every size."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010F], tags[0x010E] = orientation, "Maker", "secret"
    stored = Image.fromarray(turned_back(smooth(), orientation))
    content = written(stored, "JPEG", exif=tags.tobytes(), quality=90)
    made = blur(content, lossless_jpeg=True, cover=BOX_COVER).content
    kept = opened(made).getexif()
    assert kept.get(0x0112, 1) == orientation
    assert set(kept) <= {0x0112}
    shown, before = (decode_image(one, source="photo").astype(int) for one in (made, content))
    assert np.array_equal(shown[outside()], before[outside()])
    assert shown[inside()].max() < 40
    with_tags = blur(content, lossless_jpeg=True, keep=frozenset({"camera"})).content
    assert dict(opened(with_tags).getexif()).keys() == (
        {0x0112, 0x010F} if orientation > 1 else {0x010F}
    )


@pytest.mark.parametrize("side", [80, 81, 88, 95, 96])
def test_a_face_at_the_edge(side: int) -> None:
    """Blocks that reach beyond the picture hold copies of its last pixels."""
    image = Image.fromarray(np.asarray(Image.fromarray(noise()).resize((side, side))))
    content = written(image, "JPEG", subsampling=2, quality=95)
    finder = OneFace((side - 30, side - 30, side, side))
    made = blur(content, lossless_jpeg=True, cover=BOX_COVER, finder=finder).content
    shown = np.asarray(opened(made)).astype(int)
    assert shown[-28:, -28:].max() < 60


def test_no_face_no_change(tmp_path: Path) -> None:
    class Nobody(OneFace):
        def find(self, image: NDArray[np.uint8]) -> Any:
            return super().find(image)[[]]

    content = written(Image.fromarray(noise()), "JPEG", quality=60, comment=b"secret")
    made = blur(content, lossless_jpeg=True, finder=Nobody()).content
    before, after = (coefficients(one, tmp_path) for one in (content, made))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert b"secret" not in made


def test_what_follows_the_pixels_is_dropped() -> None:
    content = written(Image.fromarray(smooth()), "JPEG") + b"\0\0\0\x18ftypmp42 a video"
    made = blur(content, lossless_jpeg=True, keep=frozenset(GROUPS)).content
    assert b"ftyp" not in made
    assert made.endswith(b"\xff\xd9")


def test_other_formats_are_as_without_it() -> None:
    content = written(Image.fromarray(noise()), "PNG")
    assert blur(content, lossless_jpeg=True).content == blur(content).content


def test_the_package_is_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jpeglib", None)
    with pytest.raises(MissingPackageError, match="lossless-jpeg"):
        blur(b"", lossless_jpeg=True)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (written(Image.fromarray(noise(4), "CMYK"), "JPEG"), "four inks"),
        # 1 x 2 in place of 2 x 1, of which a new file would have other blocks.
        (
            written(Image.fromarray(smooth().reshape(96, 80, 3)), "JPEG", subsampling=1).replace(
                b"\x03\x01\x21\x00", b"\x03\x01\x12\x00"
            ),
            "rare",
        ),
    ],
)
def test_what_has_other_blocks_is_refused(content: bytes, what: str) -> None:
    with pytest.raises(ImageError, match=f"photo: --lossless-jpeg: .*{what}"):
        blur(content, lossless_jpeg=True, finder=OneFace((4, 4, 12, 12)))
    assert blur(content, finder=OneFace((4, 4, 12, 12))).hidden == 1


def test_damage_that_only_the_other_library_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("reading info of /tmp/x failed")

    monkeypatch.setattr(jpeglib, "read_dct", fail)
    with pytest.raises(ImageError, match="photo: --lossless-jpeg: damaged image: reading info"):
        blur(written(Image.fromarray(smooth()), "JPEG"), lossless_jpeg=True)


def test_nothing_of_a_damaged_photo_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library fails it forgets its own copy of the photo."""
    seen: list[Path] = []

    def fail(*, srcfile: str, **_: object) -> None:
        seen.append(Path(srcfile))
        assert Path(srcfile).read_bytes() == content
        assert Path(srcfile).parent.stat().st_mode & 0o077 == 0
        raise OSError("reading coefficients failed")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(jpeglib.dct_jpeg.CJpegLib, "read_jpeg_dct", fail)
    content = written(Image.fromarray(smooth()), "JPEG")
    with pytest.raises(ImageError, match="reading coefficients failed"):
        blur(content, lossless_jpeg=True)
    assert seen
    assert not list(tmp_path.iterdir())
