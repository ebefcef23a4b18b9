"""Photos and files of all kinds, sound ones and bad ones, as clients send them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import skimage
from PIL import Image

ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"

_ORIENTATION = 0x0112
# What brings the upright picture into the stored one, of which the EXIF orientation is the undoing.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file of a Pillow format."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def heic(image: Image.Image) -> bytes:
    """A picture as a phone keeps it."""
    from pillow_heif import from_pillow  # of an extra that others who import this do not need

    stream = io.BytesIO()
    from_pillow(image).save(stream, quality=90)
    return stream.getvalue()


def hopper() -> Image.Image:
    """A face with glasses, 512 x 600."""
    return Image.open(HOPPER).convert("RGB")


Case = tuple[str, str, bytes, int, str]
"""What is special, a name, the content, the service's status, and what its answer says."""


def photos() -> Iterator[Case]:
    """All of them."""
    face = hopper()
    jpeg = encode(face, "jpeg")
    yield "a photo with glasses", "photo.jpg", HOPPER.read_bytes(), 200, "glass"
    yield "a photo without", "photo.png", ASTRONAUT.read_bytes(), 200, "no_glass"
    yield from _formats(face)
    yield from _orientations(face)
    yield from _names(jpeg)
    yield from _odd_contents(face, jpeg)
    yield from _no_faces(face)
    yield from _large()
    yield from _no_images()
    yield from _damaged(face, jpeg)


def _formats(face: Image.Image) -> Iterator[Case]:
    for kind in ("png", "webp", "tiff", "bmp", "gif", "ppm", "avif"):
        yield f"{kind.upper()}", f"photo.{kind}", encode(face, kind), 200, "glass"
    yield "HEIC", "photo.heic", heic(face), 200, "glass"
    for name, mode in {"grey": "L", "with a palette": "P"}.items():
        yield f"PNG, {name}", "photo.png", encode(face.convert(mode), "png"), 200, "glass"
    # Dots instead of shades: the detector is not sure enough.
    yield "PNG, two colours", "photo.png", encode(face.convert("1"), "png"), 422, "no face found"
    yield "JPEG, CMYK", "photo.jpg", encode(face.convert("CMYK"), "jpeg"), 200, "glass"
    wide = np.asarray(face.convert("L")).astype(np.uint16) * 257
    sixteen = encode(Image.fromarray(wide), "png")
    yield "PNG, 16 bits", "photo.png", sixteen, 200, "glass"
    yield "TIFF, 16 bits", "photo.tif", encode(Image.fromarray(wide), "tiff"), 200, "glass"
    real = Image.fromarray(np.asarray(face.convert("L")).astype(np.float32))
    yield "TIFF, 32-bit float", "photo.tif", encode(real, "tiff"), 415, "32-bit pixels"
    layer = face.convert("RGBA")
    yield "PNG, transparent", "photo.png", encode(layer, "png"), 200, "glass"
    progressive = encode(face, "jpeg", progressive=True)
    yield "JPEG, progressive", "photo.jpg", progressive, 200, "glass"
    second = Image.open(ASTRONAUT).convert("RGB").resize(face.size)
    for kind in ("gif", "png", "webp"):
        moving = encode(face, kind, save_all=True, append_images=[second], duration=100)
        yield f"{kind.upper()}, animated: its first frame", f"photo.{kind}", moving, 200, "glass"
    pages = encode(face, "tiff", save_all=True, append_images=[second])
    yield "TIFF, two pages: its first", "photo.tif", pages, 200, "glass"


def _orientations(face: Image.Image) -> Iterator[Case]:
    for value in range(1, 9):
        stored = face.transpose(_STORED[value]) if value in _STORED else face
        exif = Image.Exif()
        exif[_ORIENTATION] = value
        content = encode(stored, "jpeg", exif=exif)
        yield f"JPEG, EXIF orientation {value}", "photo.jpg", content, 200, "glass"
    exif[_ORIENTATION] = 99
    content = encode(face, "jpeg", exif=exif)
    yield "JPEG, EXIF orientation 99: none", "photo.jpg", content, 200, "glass"
    damaged = encode(face, "jpeg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    yield "JPEG, damaged EXIF", "photo.jpg", damaged, 200, "glass"


def _names(jpeg: bytes) -> Iterator[Case]:
    yield "a JPEG that is called .png", "photo.png", jpeg, 200, "glass"
    yield "a name with folders in it", "../../etc/photo.jpg", jpeg, 200, "glass"
    yield "a name in other letters", "фото 😀.jpg", jpeg, 200, "glass"
    yield "a name of 200 letters", "p" * 196 + ".jpg", jpeg, 200, "glass"


def _odd_contents(face: Image.Image, jpeg: bytes) -> Iterator[Case]:
    film = np.random.default_rng(0).bytes(9_000_000)  # a phone's motion photo
    yield "a JPEG and nine megabytes behind it", "photo.jpg", jpeg + film, 200, "glass"
    yield "a JPEG without its end mark", "photo.jpg", jpeg[:-2], 200, "glass"
    small = face.resize((51, 60))
    yield "51 x 60 pixels", "photo.png", encode(small, "png"), 200, "glass"
    wide = Image.new("RGB", (4000, 600))
    wide.paste(face, (1700, 0))
    yield "4000 x 600 pixels", "photo.png", encode(wide, "png"), 200, "glass"


def _no_faces(face: Image.Image) -> Iterator[Case]:
    dot = encode(Image.new("RGB", (1, 1)), "png")
    yield "1 x 1 pixel", "photo.png", dot, 422, "no face found in the photo of 1 x 1 pixels"
    line = encode(face.resize((3000, 1)), "png")
    yield "3000 x 1 pixels", "photo.png", line, 422, "no face found"
    white = encode(Image.new("RGB", (640, 480), "white"), "jpeg")
    yield "all white", "photo.jpg", white, 422, "no face found"
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    yield "noise", "photo.png", encode(Image.fromarray(noise), "png"), 422, "no face found"
    chest = encode(face.crop((0, 520, 512, 600)), "jpeg")
    yield "a part without a face", "photo.jpg", chest, 422, "no face found"


def _large() -> Iterator[Case]:
    yield "64 million pixels in 8 KB", "photo.png", png_of_zeros(8000, 8000), 422, "no face found"
    bomb = png_of_zeros(32000, 32000)
    yield "a bomb: 1,024 million pixels", "bomb.png", bomb, 413, "above the limit of 64,000,000"
    yield "a little too large", "photo.png", png_of_zeros(8001, 8000), 413, "8001 x 8000"
    line = png_of_zeros(1, 65_536)
    yield "1 x 65,536 pixels", "photo.png", line, 413, "above the limit of 65,535 for a side"
    lie = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", lie) + _chunk(b"IEND", b"")
    yield "a header that claims 2^62 pixels", "photo.png", header, 413, "above the limit"
    once = encode(hopper(), "jpeg", progressive=True)
    last = once[once.rindex(b"\xff\xda") : -2]
    often = once[:-2] + 200 * last + once[-2:]
    yield (
        "a progressive JPEG that repeats a scan 200 times",
        "photo.jpg",
        often,
        415,
        "more scans than the limit",
    )
    yield "11 MB", "photo.jpg", HOPPER.read_bytes() + bytes(11_000_000), 413, "larger than 10 MB"


def _no_images() -> Iterator[Case]:
    for title, name, content, says in (
        ("nothing", "photo.jpg", b"", "the file is empty"),
        ("one byte", "photo.jpg", b"\xff", "expected JPEG"),
        ("a text", "photo.jpg", b"Dear all,\nplease find attached\n" * 20, "expected JPEG"),
        ("an SVG", "photo.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("a web page", "photo.jpg", b"<!DOCTYPE html><title>404</title>", "HTML"),
        ("a PDF", "photo.pdf", b"%PDF-1.7\n" + bytes(99), "PDF"),
        ("PostScript", "photo.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "expec"),
        ("24 bytes of HEIC", "photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "damaged"),
        ("a video", "photo.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "video"),
        ("a ZIP", "photo.zip", b"PK\3\4" + bytes(99), "expected JPEG"),
        ("a program", "photo.jpg", b"\x7fELF" + bytes(99), "expected JPEG"),
        ("a pickle", "photo.jpg", b"\x80\x04c__builtin__\nprint\n(Vx\ntR.", "expected JPEG"),
        ("zeros", "photo.jpg", bytes(1000), "expected JPEG"),
        ("a PPM in text", "photo.ppm", b"P3 1 1 255 9 9 9", "text PPM"),
        ("a run-length encoded BMP", "photo.bmp", b"BM" + bytes(28) + b"\1\0\0\0", "run-length"),
        ("an icon", "photo.ico", b"\0\0\1\0\1\0\x10\x10" + bytes(99), "expected JPEG"),
    ):
        yield title, name, content, 415, says


def _damaged(face: Image.Image, jpeg: bytes) -> Iterator[Case]:
    for kind in ("jpeg", "png", "webp", "tiff", "gif", "bmp"):
        whole = encode(face, kind)
        half = whole[: len(whole) // 2]
        yield f"half a {kind.upper()}", f"photo.{kind}", half, 415, "damaged or cut-off"
    yield "only a JPEG's first 20 bytes", "photo.jpg", jpeg[:20], 415, "image"
    png = bytearray(encode(face, "png"))
    png[len(png) // 2] ^= 0xFF
    yield "a PNG with a wrong byte", "photo.png", bytes(png), 415, "damaged or cut-off"


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_zeros(width: int, height: int) -> bytes:
    """A 1-bit PNG, all black, written row by row."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = _chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
