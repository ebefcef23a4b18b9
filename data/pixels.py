"""The pixels of a photo in whatever form a program has it."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError, InputError
from .image_headers import MAX_RAW_BYTES
from .images import decode_image, decode_pillow, read_image

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

Image: TypeAlias = (
    "NDArray[np.uint8] | str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"
    " | PILImage"
)
"""A photo: see `read_pixels`."""

Colour = Literal["BGR", "RGB"]
"""Order of an array's channels, of which a fourth is alpha in either case."""

_PART = 1 << 20


def read_pixels(image: Image, *, colour: Colour = "BGR") -> NDArray[np.uint8]:
    """The pixels of a photo that a user gives.

    Args:
        image: One of these:
            the path of an image file;
            the bytes of one, or a file opened in binary mode, which is read from where it stands;
            an image of Pillow's, of any mode, turned by its EXIF orientation as a file is;
            an array, uint8: grey (H, W) or (H, W, 1), three channels (H, W, 3), or with alpha,
            which is dropped, (H, W, 4).
        colour: Order of an array's three or four channels. Files and Pillow's images have their
            own.

    Returns:
        uint8 (H, W, 3), BGR, contiguous; of an array of that form no copy.

    Raises:
        InputError: It is none of these; the hint says how to make it one.
        ImageError: The file or Pillow's image does not decode to a photo.
    """
    if colour not in ("BGR", "RGB"):
        raise InputError(
            f"colour is {colour!r}: expected BGR or RGB, with or without alpha",
            hint="convert other colours first, as by `cv2.cvtColor(image, cv2.COLOR_HSV2BGR)`",
        )
    if isinstance(image, np.ndarray):
        return _of_array(image, colour)
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), source=f"image ({len(image):,} bytes)")
    if is_pillow(image):
        return decode_pillow(image, source=f"image ({type(image).__name__} of Pillow)")
    if callable(getattr(image, "read", None)):
        return _of_stream(cast(IO[bytes], image))
    raise _no_image(image)


def is_file(image: object) -> bool:
    """Whether an image is a path or the bytes of a file, which threads may decode."""
    return isinstance(image, str | os.PathLike | bytes | bytearray | memoryview)


def is_one(images: object) -> bool:
    """Whether this is one image, where several are expected."""
    one = is_file(images) or is_pillow(images) or callable(getattr(images, "read", None))
    return one or (isinstance(images, np.ndarray) and images.ndim < 4)


def is_pillow(image: object) -> TypeGuard[PILImage]:
    """Whether this is an image of Pillow's, which is imported then."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _of_array(image: NDArray[Any], colour: Colour) -> NDArray[np.uint8]:
    if image.dtype != np.uint8:
        raise InputError(
            f"image is {describe(image)}: expected a uint8 array", hint=_type_hint(image)
        )
    channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
    if channels not in (1, 3, 4) or 0 in image.shape:
        raise InputError(
            f"image has shape {image.shape}: expected (height, width), or (height, width, "
            "channels) with 1, 3 or 4 channels, not empty",
            hint=_shape_hint(image.shape),
        )
    if channels == 1:
        grey = image.reshape(image.shape[:2])
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2BGR), np.uint8)
    three = image[:, :, :3] if colour == "BGR" else image[:, :, 2::-1]
    return np.ascontiguousarray(three)  # cv2 does not take negative strides


def _of_stream(stream: IO[bytes]) -> NDArray[np.uint8]:
    name = getattr(stream, "name", None)
    source = str(name) if isinstance(name, str) else f"image ({type(stream).__name__})"
    is_text = InputError(f"{source}: gives text: expected a binary file", hint='open(path, "rb")')
    if isinstance(stream, io.TextIOBase):  # not read, as a photo's bytes are no UTF-8
        raise is_text
    content = io.BytesIO()
    while content.tell() <= MAX_RAW_BYTES and (part := stream.read(_PART)):
        if not isinstance(part, bytes):
            raise is_text
        content.write(part)
    if not content.tell():
        raise ImageError(
            f"{source}: nothing left to read",
            hint="a file that was written or read before needs `.seek(0)`",
        )
    return decode_image(content.getvalue(), source=source)


def _type_hint(image: NDArray[Any]) -> str:
    """How to make an array of another type one of uint8."""
    least, most = (float(image.min()), float(image.max())) if _has_order(image) else (0.0, 0.0)
    if image.dtype == np.bool_:
        return "image.astype(np.uint8) * 255"
    if not (least >= 0 and np.isfinite(most)) or not _has_order(image):
        return "expected whole numbers from 0 to 255"
    if image.dtype.kind == "f":
        scaled = "image * 255" if most <= 1 else "image"
        if most <= 255:
            return f"({scaled}).round().astype(np.uint8)"
    elif most <= 255:
        return "image.astype(np.uint8)"
    if most <= 65535:
        return "of 16 bits: (image / 257).round().astype(np.uint8)"
    return "expected whole numbers from 0 to 255"


def _has_order(image: NDArray[Any]) -> bool:
    return image.size > 0 and image.dtype.kind in "buif"


def _shape_hint(shape: tuple[int, ...]) -> str | None:
    """How to bring an array of another shape to (height, width, channels)."""
    if 0 in shape:
        return "the photo was cut to nothing, or not read"
    if len(shape) == 4:
        one = "image[0]" if shape[0] == 1 else "one of it, or all by `predict_batch(list(images))`"
        return f"a batch: give {one}"
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        return "channels first: image.transpose(1, 2, 0)"
    if len(shape) == 3 and shape[2] == 2:
        return "packed YUV: cv2.cvtColor(image, cv2.COLOR_YUV2BGR_YUYV)"
    return None


def _no_image(image: object) -> InputError:
    hint = None
    if image is None:
        hint = "cv2.imread gives None for a file that it cannot read: give its path itself"
    elif isinstance(image, tuple) and len(image) == 2:
        hint = "of `ok, image = capture.read()` give the image"
    elif callable(getattr(image, "numpy", None)):
        hint = "of a tensor give `.cpu().numpy()`, channels last, in uint8"
    elif isinstance(image, list):
        hint = "np.array(image, np.uint8); several photos go to `predict_batch`"
    return InputError(
        f"image is {describe(image)}: expected a path, bytes or a binary file, an image of "
        "Pillow's, or a uint8 array (height, width, 3)",
        hint=hint,
    )


def describe(value: object) -> str:
    """What a value is, for error messages."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "None" if value is None else f"of type {type(value).__name__}"
