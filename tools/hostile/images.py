"""Damaged and forged photos."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from pocketface.tools.hostile.mutations import MUTATIONS

_KINDS: dict[str, dict[str, Any]] = {
    "jpg": {},
    "progressive.jpg": {"progressive": True, "quality": 80},
    "png": {},
    "webp": {"quality": 80},
    "lossless.webp": {"lossless": True},
    "tif": {},
    "deflate.tif": {"compression": "tiff_deflate"},
    "bmp": {},
    "gif": {},
    "ppm": {},
    "avif": {},
}
"""By suffix, what Pillow is told when it writes."""

_MODES = {"la.png": "LA", "palette.png": "P", "16.png": "I;16", "cmyk.jpg": "CMYK", "1.pbm": "1"}


def photos(folder: Path, count: int, seed: int) -> Iterator[tuple[str, Path]]:
    """Write hostile photos one by one, with what is wrong with each: first the forged ones."""
    forged = list(_forged())[:count]
    for index, (name, suffix, content) in enumerate(forged):
        path = folder / f"forged-{index}{suffix}"
        path.write_bytes(content)
        yield name, path
    sound = _sound()
    for index in range(count - len(forged)):
        random = Random(f"{seed} {index}")
        suffix = random.choice(list(sound))
        kind = random.choice(list(MUTATIONS))
        data = bytearray(sound[suffix])
        MUTATIONS[kind](data, random)
        path = folder / f"{index}.{suffix}"
        path.write_bytes(data)
        yield f"{index}: {kind} in {suffix}", path


def _sound() -> dict[str, bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    noise[:, :32] //= 8
    image = Image.fromarray(noise)
    made = {suffix: _encoded(image, suffix, **how) for suffix, how in _KINDS.items()}
    for suffix, mode in _MODES.items():
        one = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
        made[suffix] = _encoded(one, suffix)
    exif = Image.Exif()
    exif[0x0112] = 6
    made["turned.jpg"] = _encoded(image, "jpg", exif=exif)
    made["animated.webp"] = _encoded(image, "webp", save_all=True, append_images=[image] * 3)
    return made


def _encoded(image: Image.Image, suffix: str, **how: Any) -> bytes:
    stream = io.BytesIO()
    name = suffix.rpartition(".")[2]
    kind = {"jpg": "JPEG", "tif": "TIFF", "pbm": "PPM"}.get(name, name.upper())
    image.save(stream, kind, **how)
    return stream.getvalue()


def png(width: int, height: int, *, pixels: bytes = b"", colour: int = 2, depth: int = 8) -> bytes:
    """A PNG whose header says what it likes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _forged() -> Iterator[tuple[str, str, bytes]]:
    sound = _sound()
    jpeg, scans = sound["jpg"], sound["progressive.jpg"]
    yield "nothing", ".jpg", b""
    yield "an HTML page", ".jpg", b"<!doctype html><p>Not found</p>"
    yield "an SVG", ".png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    yield "a PDF", ".png", b"%PDF-1.7\n"
    yield "an executable", ".png", b"\x7fELF" + bytes(200)
    yield "zeros", ".jpg", bytes(100_000)
    yield "a PNG of 32,000 x 32,000", ".png", png(32_000, 32_000, pixels=bytes(1000))
    yield "a PNG of 1 x 64,000,000", ".png", png(1, 64_000_000, colour=4)
    yield "a PNG of 2^31-1 x 2^31-1", ".png", png(2**31 - 1, 2**31 - 1)
    yield "a PNG of 0 x 0", ".png", png(0, 0)
    yield "a PNG of 8000 x 8000 of zeros", ".png", png(8000, 8000, pixels=bytes(8000 * 24_001))
    yield "a PNG of unknown colour", ".png", png(8, 8, colour=7)
    yield "a PNG of 3 bits", ".png", png(8, 8, depth=3)
    yield "zeros behind a PNG", ".png", sound["png"] + bytes(50_000_000)
    yield "a JPEG without an end", ".jpg", jpeg[:-2]
    yield "half a JPEG", ".jpg", jpeg[: len(jpeg) // 2]
    yield "a JPEG of a thousand scans", ".jpg", scans[:-2] + _last_scan(scans) * 1000 + b"\xff\xd9"
    yield "a text PPM", ".ppm", b"P3\n" + b"# comment\n" * 300_000 + b"2 2 255\n" + b"0 " * 12
    yield "a PPM of 2^40 pixels", ".ppm", b"P6\n1048576 1048576 255\n" + bytes(100)
    yield "a PPM whose header never ends", ".ppm", b"P6\n" + b"#" * 5_000_000
    yield "a PPM of negative size", ".ppm", b"P6\n-1 -1 255\n" + bytes(100)
    tiff = b"II*\0\x08\0\0\0"
    yield "a TIFF whose directory is itself", ".tif", tiff + b"\x01\0" + bytes(12) + b"\x08\0\0\0"
    yield "a TIFF of 65,535 entries", ".tif", tiff + b"\xff\xff" + bytes(800_000)
    yield "a GIF of 65,535 x 65,535", ".gif", b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b";"
    yield "a BMP of -2^31 rows", ".bmp", sound["bmp"][:22] + b"\0\0\0\x80" + sound["bmp"][26:]
    yield "a WebP that says it is larger", ".webp", b"RIFF\xff\xff\xff\x7fWEBP" + sound["webp"][12:]
    yield "an AVIF cut in its boxes", ".avif", sound["avif"][:60]
    yield "a HEIC", ".avif", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def _last_scan(jpeg: bytes) -> bytes:
    return jpeg[jpeg.rindex(b"\xff\xda") : -2]
