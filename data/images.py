"""Decode photos from disk or memory, all formats in the same way, within limits of size.

Pillow decodes all formats but Netpbm. Its pixels are those of cv2 (bit for bit for JPEG, WebP and
PNG), which treats EXIF rotation, alpha and 16 bits differently in each format.

Beside the result of 0.19 GB, photos of 64 megapixels take up to 0.85 GB while they are read (WebP,
and a turned TIFF of 4 x 16 bits): 1.03 GB at most, as `tools/photo_memory.py` measures. No lock is
held meanwhile, so that no photo keeps another waiting.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError, ImageTooLargeError
from . import netpbm
from .image_headers import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_RAW_BYTES,
    check_size,
    format_of,
    jpeg_variants,
    open_pillow,
    orientation_of,
)
from .image_pixels import assemble, strips_of
from .pillow_quiet import pillow_quiet

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "VIDEO_SUFFIXES",
    "decode_image",
    "decode_pillow",
    "image_size",
    "list_images",
    "read_content",
    "read_image",
]

_log = logging.getLogger(__name__)

_IMAGE_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .tif .tiff .bmp .gif .ppm .pgm .pbm .pnm .avif"
    " .heic .heif .hif"
)
IMAGE_SUFFIXES = frozenset(_IMAGE_SUFFIXES.split())
"""Lower-case suffixes that `list_images` takes for images; `read_image` ignores suffixes."""

_ANIMATED = {"GIF", "PNG", "WEBP", "AVIF"}
"""Formats of animations, as Pillow names them."""

_OTHER_SUFFIXES = ".jxl .jp2 .dng .cr2 .cr3 .nef .arw .raf .orf .rw2 .pef .srw .psd"
_OTHER_PHOTOS = frozenset(_OTHER_SUFFIXES.split())
"""Suffixes of photos from phones, cameras and Photoshop, which are not decoded."""

_VIDEO_SUFFIXES = (
    ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ts .mts .m2ts .3gp .ogv .vob .dv"
)
VIDEO_SUFFIXES = frozenset(_VIDEO_SUFFIXES.split())
"""Lower-case file suffixes of videos."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode one image file: JPEG, PNG, WebP, TIFF, BMP, GIF, PPM family, AVIF or HEIC.

    The format is recognized by content, not by suffix. The result is what a viewer shows: rotated
    by its EXIF orientation (all eight), transparent parts on white, the first frame or page, 16
    bits reduced to 8. Colour profiles are not applied, to CMYK either. HEIC needs the extra `heic`.
    Of an animation a warning says that there is more.

    Returns:
        uint8 (H, W, 3), BGR, contiguous.

    Raises:
        ImageTooLargeError: The photo has more than `MAX_PIXELS`, or a side above `MAX_SIDE`.
        ImageError: The file is missing, not an image, damaged or lacks pixels; its pixels are float
            or 32-bit integers; it is a text PPM or a run-length encoded BMP; or it exceeds a limit
            of `image_headers` or `jpeg_marks`.
    """
    with _open_file(path) as stream:
        return _read(stream, str(path), warns=True)


def read_content(path: Path) -> bytes:
    """The bytes of a photo's file, for `decode_image`.

    Raises:
        ImageTooLargeError: There are more than `MAX_RAW_BYTES`.
        ImageError: It is missing, no regular file, or cannot be read.
    """
    with _open_file(path) as stream, _errors_named(str(path)):
        content = stream.read(MAX_RAW_BYTES + 1)
    if len(content) > MAX_RAW_BYTES:
        raise ImageTooLargeError(f"{path}: a file of more than {MAX_RAW_BYTES:,} bytes")
    return content


def decode_image(buffer: bytes, *, source: str) -> NDArray[np.uint8]:
    """Decode a file's bytes as `read_image` does; `source` is their name in error messages."""
    return _read(io.BytesIO(buffer), source)


def decode_pillow(image: PILImage, *, source: str) -> NDArray[np.uint8]:
    """The pixels of an image of Pillow's, opened or made, as `read_image` gives those of a file.

    Args:
        image: The image, of any mode. One that was opened is decoded if it is not yet.
        source: Its name in error messages.

    Raises:
        ImageTooLargeError: It has more than `MAX_PIXELS`, or a side above `MAX_SIDE`.
        ImageError: Its file is damaged or closed, or its pixels are float or 32-bit integers.
    """
    with _errors_named(source), pillow_quiet():
        check_size(image.size, source)
        image.load()  # which also turns a TIFF, and reads what a PNG has behind its pixels
        turned = image.format == "TIFF"
        orientation = 1 if turned else orientation_of(image.info.get("exif"))
        return assemble(image.size, orientation, lambda rows: strips_of(image, rows, source))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of the result of `read_image`, from the header alone.

    Raises:
        ImageError: See `read_image`, as far as the header shows the fault.
    """
    source = str(path)
    with _open_file(path) as stream, _errors_named(source):
        kind = format_of(stream.read(64), source)
        stream.seek(0)
        if kind == "PPM":
            size = netpbm.read_header(stream, source).size
            check_size(size, source)
            return size
        with pillow_quiet():
            image, orientation = open_pillow(stream, kind, source)
    width, height = image.size
    return (height, width) if orientation >= 5 else (width, height)


def list_images(folder: Path, *, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """All image files in a folder and its subfolders, chosen by suffix, sorted.

    Names that begin with a dot are skipped. Links to folders are not followed, as they may lead
    anywhere, and round in a circle. Warnings count them, photos in formats that cannot be read, and
    videos that are not looked for.

    Args:
        folder: The folder.
        suffixes: Those that are looked for, in lower case.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        what = "is a file; expected a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}")
    found: list[Path] = []
    others: list[str] = []
    videos: list[Path] = []
    links: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_warn_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links += [path for name in folders if (path := Path(parent, name)).is_symlink()]
        for name in names:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in suffixes:
                found.append(Path(parent, name))
            elif suffix in _OTHER_PHOTOS:
                others.append(name)
            elif suffix in VIDEO_SUFFIXES:
                videos.append(Path(parent, name))
    warn_of_others(others, str(folder))
    if videos:
        many = "1 video is" if len(videos) == 1 else f"{len(videos)} videos are"
        _log.warning("%s: %s left out, as photos are looked for: %s", folder, many, min(videos))
    if links:
        many = "1 link to a folder is" if len(links) == 1 else f"{len(links)} links to folders are"
        _log.warning("%s: %s not followed, and left out: %s", folder, many, min(links))
    for path in found:
        if not path.is_file():
            _log.warning("%s: left out: no regular file, or a link to nothing", path)
    return sorted(path for path in found if path.is_file())


def warn_of_others(names: Iterable[str], where: str) -> None:
    """Count photos in formats that cannot be read, by their suffixes, in a warning."""
    suffixes = (PurePosixPath(name).suffix.lower() for name in names)
    others = Counter(suffix for suffix in suffixes if suffix in _OTHER_PHOTOS)
    if others:
        kinds = ", ".join(f"{count} x {suffix}" for suffix, count in others.most_common())
        _log.warning(
            "%s: left out %d photos in formats that are not read (%s): convert them to JPEG first",
            where,
            others.total(),
            kinds,
        )


def _warn_unreadable(error: OSError) -> None:
    _log.warning("%s: left out: %s", error.filename, error.strerror)


def _open_file(path: Path) -> IO[bytes]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(f"{path}: not an image: it is a folder")
        if not stat.S_ISREG(mode):  # opening a pipe would block for ever
            raise ImageError(f"{path}: not an image: it is no regular file")
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a NUL byte
        raise ImageError(f"{path}: no such file") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error


def _read(stream: IO[bytes], source: str, *, warns: bool = False) -> NDArray[np.uint8]:
    with _errors_named(source):
        head = stream.read(64)
        stream.seek(0)
        kind = format_of(head, source)
        if kind == "PPM":
            return _read_netpbm(stream, source)
        if kind != "JPEG":
            return _decode(stream, kind, source, warns=warns)
        one, *other = jpeg_variants(stream.read(MAX_BYTES), source)
        if not other:
            return _decode(io.BytesIO(one), kind, source)
        expected = zlib.crc32(_decode(io.BytesIO(one), kind, source).data)
        pixels = _decode(io.BytesIO(other[0]), kind, source)
        if zlib.crc32(pixels.data) != expected:
            raise ImageError(f"{source}: damaged or cut-off image: it ends before its last pixels")
        return pixels


def _decode(stream: IO[bytes], kind: str, source: str, *, warns: bool = False) -> NDArray[np.uint8]:
    with pillow_quiet():
        image, orientation = open_pillow(stream, kind, source)
        image.load()
        pixels = assemble(image.size, orientation, lambda rows: strips_of(image, rows, source))
        if warns and kind in _ANIMATED and _is_animated(image):
            _log.warning("%s: is an animation, of which the first picture is taken", source)
        return pixels


def _is_animated(image: PILImage) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first picture is damaged
        return True


def _read_netpbm(stream: IO[bytes], source: str) -> NDArray[np.uint8]:
    picture = netpbm.read_header(stream, source)
    check_size(picture.size, source)
    return assemble(picture.size, 1, lambda rows: picture.strips(rows, source))


@contextmanager
def _errors_named(source: str) -> Iterator[None]:
    """Raise what parsers and decoders raise, which is nearly anything, as an `ImageError`."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # of the disk, not of the decoder
            raise ImageError(f"{source}: cannot be read: {os.strerror(error.errno)}") from error
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ImageError(f"{source}: damaged or cut-off image: {reason}") from error
