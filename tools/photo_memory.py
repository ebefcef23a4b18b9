"""How much memory does the largest photo of each kind take? Prints a table.

    python tools/photo_memory.py [--side 8000]

Each photo of side x side pixels is written by one process and read by another, whose peak is
counted from after its imports. "turned" has EXIF orientation 6.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def grey(side: int) -> Any:
    """A picture that compresses well, but not to nothing: uint8 (side, side)."""
    row = (np.arange(side) % 251).astype(np.uint8)
    return np.add.outer(row, row[::-1])


def colour(side: int, mode: str) -> Image.Image:
    """The same in a mode of Pillow."""
    return Image.fromarray(grey(side)).convert(mode)


def save(path: Path, image: Image.Image, turned: bool, **options: Any) -> None:
    """Write it with an EXIF orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6 if turned else 1
    image.save(path, exif=exif, **options)


def save_tiff(path: Path, pixels: Any, turned: bool, **options: Any) -> None:
    """Write a TIFF of a layout that Pillow does not write."""
    import tifffile

    tag: Any = (ORIENTATION, "H", 1, 6 if turned else 1, True)
    tifffile.imwrite(path, pixels, extratags=[tag], **options)


def layers(side: int, count: int, kind: type[Any]) -> Any:
    """The picture in several channels."""
    return np.repeat(grey(side)[:, :, None].astype(kind), count, axis=2)


def sixteen_bit_png(path: Path, side: int, turned: bool) -> None:
    """A PNG of 4 x 16 bits, with a chunk for its orientation."""
    import struct
    import zlib

    import cv2

    assert cv2.imwrite(str(path), layers(side, 4, np.uint16))
    data = path.read_bytes()
    exif = Image.Exif()
    exif[ORIENTATION] = 6 if turned else 1
    body = b"eXIf" + exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(data[:33] + chunk + data[33:])


Write = Callable[[Path, int, bool], None]

KINDS: dict[str, tuple[str, Write]] = {
    "JPEG": ("jpg", lambda path, side, turned: save(path, colour(side, "RGB"), turned)),
    "JPEG, progressive 4:4:4": (
        "jpg",
        lambda path, side, turned: save(
            path, colour(side, "RGB"), turned, progressive=True, subsampling=0
        ),
    ),
    "JPEG, CMYK": ("jpg", lambda path, side, turned: save(path, colour(side, "CMYK"), turned)),
    "JPEG, CMYK, progressive": (
        "jpg",
        lambda path, side, turned: save(
            path, colour(side, "CMYK"), turned, progressive=True, subsampling=0
        ),
    ),
    "PNG": ("png", lambda path, side, turned: save(path, colour(side, "RGB"), turned)),
    "PNG, grey and alpha": (
        "png",
        lambda path, side, turned: save(path, colour(side, "LA"), turned),
    ),
    "PNG, RGBA": ("png", lambda path, side, turned: save(path, colour(side, "RGBA"), turned)),
    "PNG, RGBA, 16 bits": ("png", sixteen_bit_png),
    "PNG, palette with transparency": (
        "png",
        lambda path, side, turned: save(path, colour(side, "P"), turned, transparency=3),
    ),
    "GIF": ("gif", lambda path, side, _: colour(side, "P").save(path)),
    "BMP": ("bmp", lambda path, side, _: colour(side, "RGB").save(path)),
    "PPM": ("ppm", lambda path, side, _: colour(side, "RGB").save(path)),
    "WebP": ("webp", lambda path, side, turned: save(path, colour(side, "RGB"), turned, method=0)),
    "WebP, lossless, RGBA": (
        "webp",
        lambda path, side, turned: save(
            path, colour(side, "RGBA"), turned, lossless=True, method=0, quality=0
        ),
    ),
    "AVIF": ("avif", lambda path, side, turned: save(path, colour(side, "RGB"), turned, speed=10)),
    "AVIF, 4:4:4, RGBA": (
        "avif",
        lambda path, side, turned: save(
            path, colour(side, "RGBA"), turned, speed=10, subsampling="4:4:4"
        ),
    ),
    "TIFF, tiles": (
        "tif",
        lambda path, side, turned: save_tiff(
            path, layers(side, 3, np.uint8), turned, tile=(256, 256), compression="zlib"
        ),
    ),
    "TIFF, RGBA, 16 bits, one strip": (
        "tif",
        lambda path, side, turned: save_tiff(
            path,
            layers(side, 4, np.uint16),
            turned,
            rowsperstrip=side,
            compression="zlib",
            photometric="rgb",
            extrasamples=["unassalpha"],
        ),
    ),
}


def write(name: str, path: Path, side: int, turned: bool) -> None:
    """Write one kind."""
    KINDS[name][1](path, side, turned)


def read(path: Path, answer: Any) -> None:
    """Read it; answers with megabytes of the peak, and seconds."""
    from PIL import Image

    from pocketface.data.images import read_image

    Image.init()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    read_image(path)
    took = time.monotonic() - begun
    answer.put(((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6, took))


def main() -> None:
    """Measure them all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=8000)
    side = parser.parse_args().side
    process = multiprocessing.get_context("spawn").Process
    queue = multiprocessing.get_context("spawn").Queue()
    print("| photo | MB at most | turned | seconds | turned |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, _) in KINDS.items():
            found = []
            for turned in (False, True):
                path = Path(folder, f"photo.{suffix}")
                for target, arguments in (
                    (write, (name, path, side, turned)),
                    (read, (path, queue)),
                ):
                    one = process(target=target, args=arguments)
                    one.start()
                    one.join()
                    assert not one.exitcode, (name, target)
                found.append(queue.get())
                path.unlink()
            (plain, plain_took), (turned_too, turned_took) = found
            peaks = f"{plain:.0f} | {turned_too:.0f}"
            print(f"| {name} | {peaks} | {plain_took:.1f} | {turned_took:.1f} |", flush=True)


if __name__ == "__main__":
    main()
