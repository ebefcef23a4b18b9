"""JPEGs whose marks are odd, endless, or missing."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from pocketface.data import image_headers, images
from pocketface.data.images import decode_image
from pocketface.errors import ImageError

from .encoded import assert_error, encode

pytestmark = pytest.mark.filterwarnings("error")

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def refuses(data: bytes) -> str | None:
    try:
        decode_image(data, source="x")
    except ImageError as error:
        return str(error)
    return None


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


def test_jpeg_that_does_not_end(picture: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its scans cannot be counted, so that it might demand a pass for each of its bytes."""
    whole = encode(picture, "jpeg")
    for module in (images, image_headers):
        monkeypatch.setattr(module, "MAX_BYTES", len(whole))
    assert refuses(whole) is None
    assert refuses(whole + bytes(100)) is None
    for module in (images, image_headers):
        monkeypatch.setattr(module, "MAX_BYTES", len(whole) - 2)
    assert f"a JPEG without an end in its first {len(whole) - 2} bytes" in (refuses(whole) or "")


JPEGS = {
    "baseline": {},
    "one interval a row": {"restart_marker_rows": 1},
    "one interval a block": {"restart_marker_blocks": 1},
    "progressive": {"progressive": True},
    "grey": {},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_without_its_end_mark(kind: str) -> None:
    """It is read if no pixel is missing, and only then, wherever it is cut off."""
    face = Image.open(HOPPER).convert("L" if kind == "grey" else "RGB").resize((56, 40))
    whole = encode(face, "jpeg", **JPEGS[kind])
    expected = decode_image(whole, source="whole")
    bare = whole.removesuffix(b"\xff\xd9")
    for rest in (b"", b"\xff", bytes(5000)):
        np.testing.assert_array_equal(decode_image(bare + rest, source="bare"), expected)
    for end in range(2, len(bare) - 1):
        # A last byte may hold nothing but bits that make it full.
        assert refuses(bare[:end]) or np.array_equal(decode_image(bare[:end], source="x"), expected)
    refused = [bool(refuses(bare[:end])) for end in range(len(bare) - 200, len(bare) - 2)]
    assert all(refused[:-2])
    for zeros in (100, 5000, 100_000):
        assert refuses(bare[: len(bare) // 2] + bytes(zeros))


def test_jpeg_without_the_scan_of_a_colour(picture: Image.Image) -> None:
    """All that there is is whole, but grey."""
    whole = encode(picture, "jpeg", progressive=True)
    scans = [found.start() for found in re.finditer(rb"\xff\xda", whole)]
    for start in scans[1:]:
        assert "before its last scan" in (refuses(whole[:start]) or "")
