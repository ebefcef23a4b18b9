"""What is no photo, or no photo to be read: one clear line, at once, and nothing on stderr."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketface.data.images import MAX_PIXELS, decode_image, image_size, read_image
from pocketface.errors import ImageError

pytestmark = pytest.mark.filterwarnings("error")


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_zeros(width: int, height: int) -> bytes:
    """A 1-bit PNG written row by row, so that the test never holds its pixels either."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def assert_error(error: pytest.ExceptionInfo[ImageError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"Dear all,\nplease find attached ...\n" * 20, "expected JPEG, PNG"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "expected JPEG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "video"),
        (bytes(1000), "expected JPEG, PNG"),
    ],
)
def test_no_image(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(ImageError) as error:
            read(path)
        assert_error(error, f"{path}: not an image: ", what)
    with pytest.raises(ImageError) as error:
        decode_image(content, source="upload")
    assert_error(error, "upload: not an image: ", what)


def test_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, what in {
        "missing.jpg": "no such file",
        "missing/photo.jpg": "no such file",
        "nul\0.jpg": "no such file",
        ".": "folder",
        "pipe.jpg": "no regular file",
    }.items():
        for read in (read_image, image_size):
            with pytest.raises(ImageError) as error:
                read(tmp_path / name)
            assert_error(error, what)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "bmp", "gif", "ppm", "avif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_cut_off(kind: str, share: float, shared: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = encode(Image.open(shared / "photos" / "8.jpg"), kind)
    decode_image(whole, source="whole")
    with pytest.raises(ImageError) as error:
        decode_image(whole[: int(len(whole) * share)], source="part.jpg")
    assert_error(error, "part.jpg: ", "image")
    assert capfd.readouterr().err == ""


def test_bomb_costs_nothing(tmp_path: Path) -> None:
    """32000 x 32000 from 130 KB: in its own process, as peak memory never falls again."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_zeros(32000, 32000))
    assert path.stat().st_size < 200_000
    code = (
        "import resource, sys, pathlib\n"
        "from PIL import Image\n"
        "from pocketface.data.images import read_image, image_size\n"
        "from pocketface.errors import ImageError\n"
        "Image.preinit()\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "for read in (read_image, image_size):\n"
        "    try: read(pathlib.Path(sys.argv[1]))\n"
        "    except ImageError as error: print(error)\n"
        "print(peak() - before)\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, kib = result.stdout.splitlines()
    assert first == second == f"{path}: 1024000000 pixels: above the limit of 64,000,000 pixels"
    assert result.stderr == ""
    assert int(kib) < 20_000


@pytest.mark.parametrize("size", [(8001, 8000), (12000, 8000), (16000, 4001)])
def test_just_too_large(size: tuple[int, int]) -> None:
    """Below and above the size from which Pillow itself warns (89 Mpx)."""
    with pytest.raises(ImageError) as error:
        decode_image(png_of_zeros(*size), source="large.png")
    assert_error(error, "large.png", f"{size[0]} x {size[1]}", f"{MAX_PIXELS:,}")


def test_the_limit_itself_is_read() -> None:
    assert decode_image(png_of_zeros(16000, 4000), source="x").shape == (4000, 16000, 3)


LONG, ASCII = 4, 2


def long_field(tag: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, LONG, 1, value)


def tiff_of_tiles(sizes: dict[int, bytes]) -> bytes:
    """10 x 10 pixels, with these fields of the tiles' size."""
    plain = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 324: 8, 325: 100}
    fields = {tag: long_field(tag, value) for tag, value in plain.items()} | sizes
    directory = struct.pack("<H", len(fields)) + b"".join(fields[tag] for tag in sorted(fields))
    return b"II*\0" + struct.pack("<I", 108) + bytes(100) + directory + bytes(4)


def test_tiff_of_one_huge_tile() -> None:
    """A picture whose only tile unpacks to 1 GB."""
    fields = {tag: long_field(tag, 32000) for tag in (322, 323)}
    with pytest.raises(ImageError) as error:
        decode_image(tiff_of_tiles(fields), source="tile.tiff")
    assert_error(error, "tile.tiff", "32000 x 32000", "limit")


def test_tiff_whose_tiles_are_no_numbers() -> None:
    """A text times a number would be a long text."""
    fields = {322: struct.pack("<HHI4s", 322, ASCII, 2, b"A"), 323: long_field(323, 500_000_000)}
    with pytest.raises(ImageError) as error:
        decode_image(tiff_of_tiles(fields), source="tile.tiff")
    assert_error(error, "tile.tiff", "tiles have no size")


def test_jpeg_of_endless_segments(picture: Image.Image) -> None:
    whole = encode(picture, "jpeg")
    comments = 20_000 * b"\xff\xfe\x00\x02"
    with pytest.raises(ImageError) as error:
        decode_image(whole[:2] + comments + whole[2:], source="x.jpg")
    assert_error(error, "x.jpg", "more than 10,000 segments")


@pytest.mark.parametrize("where", ["thumbnail", "video"])
def test_scans_are_those_of_the_picture(picture: Image.Image, where: str) -> None:
    """Neither those of a thumbnail nor what looks like some behind the end."""
    whole = encode(picture, "jpeg")
    looks = 150 * b"\xff\xda\x00"
    inside = b"\xff\xe5" + struct.pack(">H", 2 + len(looks)) + looks
    odd = whole + looks if where == "video" else whole[:2] + inside + whole[2:]
    np.testing.assert_array_equal(
        decode_image(odd, source="odd.jpg"), decode_image(whole, source="whole.jpg")
    )


def refuses(data: bytes) -> str | None:
    try:
        decode_image(data, source="x")
    except ImageError as error:
        return str(error)
    return None


def test_each_limit_is_itself_allowed(
    picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused is above it, not at it."""
    tiles = tiff_of_tiles({tag: long_field(tag, 10) for tag in (322, 323)})
    baseline, progressive = (
        encode(picture, "jpeg", progressive=progressive) for progressive in (False, True)
    )
    segments, place = 1, 2  # the scan; and each segment before it
    while baseline[place + 1] != 0xDA:
        segments += 1
        place += 2 + int.from_bytes(baseline[place + 2 : place + 4], "big")
    # Compressed data has no marker in it.
    scans = progressive.count(b"\xff\xda")
    assert scans > 1
    for data, name, most, message in (
        (png_of_zeros(30, 20), "MAX_PIXELS", 600, "30 x 20 pixels: above the limit of 599"),
        (tiles, "MAX_PIXELS", 100, "10 x 10 pixels: above the limit of 99"),
        (progressive, "MAX_SCANS", scans, f"more scans than the limit of {scans - 1}"),
        (baseline, "_MAX_SEGMENTS", segments, f"of more than {segments - 1} segments"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"pocketface.data.images.{name}", most)
            assert "above the limit" not in (refuses(data) or "")
            assert "more" not in (refuses(data) or "")
            patch.setattr(f"pocketface.data.images.{name}", most - 1)
            assert message in (refuses(data) or "")


def test_jpeg_that_does_not_end(picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scans cannot be counted, so that it might demand a pass for each of its bytes."""
    whole = encode(picture, "jpeg")
    monkeypatch.setattr("pocketface.data.images._MAX_JPEG", len(whole))
    assert refuses(whole) is None
    monkeypatch.setattr("pocketface.data.images._MAX_JPEG", len(whole) - 2)
    message = f"a JPEG without an end in its first {len(whole) - 2} bytes"
    assert message in (refuses(whole) or "")
    # Shorter ones are damaged, as the decoder says.
    assert "damaged or cut-off image" in (refuses(whole[: len(whole) // 2]) or "")
