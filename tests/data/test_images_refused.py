"""What is no photo, or no photo to be read: one clear line, at once, and nothing on stderr."""

from __future__ import annotations

import errno
import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from pocketface.data import image_headers, images, jpeg_marks
from pocketface.data.images import MAX_PIXELS, decode_image, image_size, read_image
from pocketface.errors import ImageError

from .encoded import assert_error, encode

pytestmark = pytest.mark.filterwarnings("error")

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


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
        (png_of_zeros(30, 20), "MAX_SIDE", 30, "30 x 20 pixels: above the limit of 29 for a side"),
        (progressive, "MAX_SCANS", scans, f"more scans than the limit of {scans - 1}"),
        (baseline, "MAX_SEGMENTS", segments, f"of more than {segments - 1} segments"),
    ):
        module = jpeg_marks if hasattr(jpeg_marks, name) else image_headers
        with monkeypatch.context() as patch:
            patch.setattr(module, name, most)
            assert "above the limit" not in (refuses(data) or "")
            assert "more" not in (refuses(data) or "")
            patch.setattr(module, name, most - 1)
            assert message in (refuses(data) or "")


@pytest.mark.parametrize("kind", [b"P1", b"P2", b"P3"])
def test_text_netpbm(kind: bytes) -> None:
    """A few megabytes of it keep a core busy for minutes."""
    content = kind + b"\n# hello\n3 2\n255\n" + b"1 " * 18
    assert "it is a text PPM, which must be converted" in (refuses(content) or "")


def test_netpbm_of_a_long_header(picture: Image.Image) -> None:
    whole = encode(picture, "ppm")
    for size in (100, 4000):
        comment = b"P6\n#" + b"x" * size + b"\n"
        assert refuses(comment + whole[3:]) is None
    comment = b"P6\n#" + b"x" * 5000 + b"\n"
    assert "no PNM header in its first 4096 bytes" in (refuses(comment + whole[3:]) or "")


SMALL_PARTS = {
    "a JPEG's junk": (
        b"\xff\xd8\xff\xe0\0\2" + 3_000_000 * b"\0" + b"\xff\xda\0\2",
        "do not begin",
    ),
    "a JPEG's fill": (b"\xff\xd8\xff\xe0\0\2" + 3_000_000 * b"\xff", "before its last scan"),
    "a JPEG's segments": (
        b"\xff\xd8" + 1000 * (b"\xff\xe1\xff\xff" + 65_533 * b"\0"),
        "do not begin",
    ),
    "a PNG's chunks": (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0))
        + 260_000 * chunk(b"teSt", b""),
        "small parts",
    ),
    "a GIF's blocks": (b"GIF89a\1\0\1\0\0\0\0!\xff\1\0" + 1_000_000 * b"\1\0", "small parts"),
    "a GIF's junk": (b"GIF89a\1\0\1\0\0\0\0" + 1_000_000 * b"\0", "small parts"),
    "a TIFF's strips": (
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 273, 4, 1_000_000, 26, 0) + 4_000_000 * b"\0",
        "a TIFF of 1,000,000 values in its field 273",
    ),
    "a run-length encoded BMP": (
        b"BM" + bytes(28) + b"\1\0\0\0" + bytes(100),
        "a run-length encoded BMP",
    ),
}


@pytest.mark.parametrize("kind", SMALL_PARTS)
def test_headers_that_are_read_bit_by_bit(kind: str) -> None:
    """Refused in a second or two, however long they are."""
    content, says = SMALL_PARTS[kind]
    start = time.process_time()
    assert says in (refuses(content) or "")
    assert time.process_time() - start < 5


def test_what_follows_a_photo_is_not_read(picture: Image.Image, tmp_path: Path) -> None:
    """Three gigabytes of zeros, which take no place on the disk."""
    for kind in ("png", "jpeg", "webp", "gif"):
        path = tmp_path / f"long.{kind}"
        path.write_bytes(encode(picture, kind))
        expected = read_image(path)
        os.truncate(path, 3_000_000_000)
        start = time.process_time()
        np.testing.assert_array_equal(read_image(path), expected)
        assert image_size(path) == picture.size
        assert time.process_time() - start < 5
    for kind in ("tiff", "bmp"):
        path = tmp_path / f"long.{kind}"
        path.write_bytes(encode(picture, kind))
        os.truncate(path, 3_000_000_000)
        with pytest.raises(ImageError, match=f"a {kind.upper()} of more than 1,000,000,000 bytes"):
            read_image(path)


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_a_file_is_read_once(picture: Image.Image, kind: str) -> None:
    content = encode(picture, kind)
    read = 0

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal read
            found = super().read(size)
            read += len(found)
            return found

    images._read(Counted(content), "x")
    assert read < len(content) + 200


@pytest.mark.parametrize("side", [65_536, 1_000_001])
def test_a_long_side_is_refused(side: int) -> None:
    for size in ((side, 1), (1, side)):
        with pytest.raises(ImageError) as error:
            decode_image(png_of_zeros(*size), source="x.png")
        assert_error(error, "x.png", "above the limit of 65,535 for a side")


def test_the_longest_side_is_read() -> None:
    assert decode_image(png_of_zeros(65_535, 1), source="x").shape == (1, 65_535, 3)


@pytest.mark.parametrize(
    "raised",
    [AttributeError("no"), RecursionError("deep"), struct.error("short"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["PIL.Image.open", "PIL.Image.Image.crop"])
def test_whatever_a_parser_raises(
    raised: Exception, where: str, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode(picture, "png")

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(where, fail)
    what = str(raised) or type(raised).__name__
    assert refuses(content) == f"x: damaged or cut-off image: {what}"


def test_a_failing_disk_is_named(picture: Image.Image) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 50:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(min(size, 40) if size and size > 0 else 40)

    with pytest.raises(ImageError, match="photo: cannot be read: Input/output error"):
        images._read(Failing(encode(picture, "png")), "photo")


def test_libtiff_says_nothing(picture: Image.Image, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither it nor Pillow's log nor its warnings, whatever is damaged."""
    random = np.random.default_rng(0)
    said = 0
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        whole = encode(picture, "tiff", compression=compression)
        for _ in range(40):
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[random.integers(8, len(whole), 6)] = random.integers(0, 256, 6)
            said += refuses(damaged.tobytes()) is not None
    assert said > 40
    assert capfd.readouterr() == ("", "")


def test_a_slow_header_keeps_no_other_waiting(picture: Image.Image) -> None:
    """While one thread reads a header, another reads a whole photo."""
    content = encode(picture, "tiff")
    begun, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            begun.set()
            assert go_on.wait(10)
            return super().read(size)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(images._read, Slow(content), "slow")
        assert begun.wait(10)
        expected = decode_image(content, source="quick")
        go_on.set()
        np.testing.assert_array_equal(slow.result(), expected)
