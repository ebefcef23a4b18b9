"""Photos as bytes, and what is said of those that are refused."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pocketface.errors import ImageError


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def assert_error(error: pytest.ExceptionInfo[ImageError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
