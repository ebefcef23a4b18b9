"""What tests of folders of photos and masks share."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.mask_pairs import read_mask, read_mask_pairs
from pocketface.data.masks import FindLandmarks, Split, WrittenList
from pocketface.data.masks_folder import FolderRequest, convert_folders
from pocketface.data.masks_values import MaskValues

VALUES: NDArray[np.uint8] = np.zeros((30, 40), np.uint8)
VALUES[5:20, 10:30] = 1
VALUES[8:10, 12:28] = 2
VALUES[0:5, 8:32] = 7
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)

Make = Callable[..., tuple[Path, Path]]


def convert(
    folders: tuple[Path, Path],
    *classes: str,
    output: Path | None = None,
    split: Split = Split(),  # noqa: B008  # frozen
    table: Path | None = None,
    in_place: bool = False,
    find: FindLandmarks | None = None,
) -> tuple[Path, list[WrittenList]]:
    return convert_folders(
        FolderRequest(
            *folders,
            output or folders[0].parent / "out",
            values=MaskValues.parse(classes or ("face=1", "glasses=2", "hair=7")),
            split=split,
            table=table,
            in_place=in_place,
            find_landmarks=find,
        )
    )


def truth(root: Path, file: Path, classes: Sequence[str]) -> NDArray[np.uint8]:
    """The mask of a list's first pair, as training gets it."""
    first = read_mask_pairs([file], [root], classes=classes)[0]
    return read_mask(first, shape=(30, 40))


def coloured(values: NDArray[np.uint8]) -> Image.Image:
    colours = np.zeros((256, 3), np.uint8)
    colours[[1, 2, 7]] = RED, GREEN, BLUE
    return Image.fromarray(colours[values])


def palette(values: NDArray[np.uint8], *, bits: int = 8) -> Image.Image:
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    colours = [0] * 768
    for place, colour in ((1, RED), (2, GREEN), (7, BLUE)):
        colours[3 * place : 3 * place + 3] = colour
    image.putpalette(colours[: 3 * 2**bits])
    return image


def write_png(path: Path, pixels: NDArray[np.uint8], bits: int) -> None:
    """A grey PNG of few bits, which Pillow does not write."""
    height, width = pixels.shape
    rows = b""
    for row in pixels:
        text = "".join(f"{value:0{bits}b}" for value in row)
        rows += b"\0" + int(text, 2).to_bytes(width * bits // 8, "big")

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
