"""Decode photos from disk or memory, all formats in the same way, within limits of size.

Pillow decodes all formats. It reads the size from the header before it allocates, prints nothing
on stderr about damaged files, and its pixels are those of cv2 (bit for bit for JPEG, WebP and
PNG); cv2 treats EXIF rotation, alpha and 16 bits differently in each format.
"""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import struct
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError, ImageTooLargeError

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_log = logging.getLogger(__name__)

MAX_PIXELS = 64_000_000
"""Most pixels of a photo; larger ones are refused before allocation (64 Mpx are 192 MB of BGR)."""

MAX_SCANS = 100
"""Most scans of a JPEG. Ordinary ones have up to about ten, but a hundred bytes can demand another
pass over all pixels, so a small file could keep a core busy for hours. libtiff has this limit."""

_MAX_JPEG = 256_000_000
_MAX_SEGMENTS = 10_000
"""Limits on bytes and segments of a JPEG; a file beyond them is damaged or malicious."""

_SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""A JPEG marker that has a length or ends the picture (ITU-T T.81, B.1.1.3). Compressed data holds
none."""

_START_OF_SCAN, _END_OF_PICTURE = 0xDA, 0xD9

_IMAGE_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .tif .tiff .bmp .gif .ppm .pgm .pbm .pnm .avif"
)
IMAGE_SUFFIXES = frozenset(_IMAGE_SUFFIXES.split())
"""Lower-case suffixes that `list_images` takes for images; `read_image` ignores suffixes."""

_OTHER_SUFFIXES = (
    ".heic .heif .hif .jxl .jp2 .dng .cr2 .cr3 .nef .arw .raf .orf .rw2 .pef .srw .psd"
)
_OTHER_PHOTOS = frozenset(_OTHER_SUFFIXES.split())
"""Suffixes of photos from phones, cameras and Photoshop, which are not decoded."""

_VIDEO_SUFFIXES = ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .ts .mts .m2ts .3gp .ogv"
VIDEO_SUFFIXES = frozenset(_VIDEO_SUFFIXES.split())
"""Lower-case file suffixes of videos."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
"""Pillow's names of the allowed formats. Some of its other parsers start programs."""

_ORIENTATION = 0x0112
"""EXIF tag (Exif 2.32, section 4.6.4)."""

_TILE_WIDTH, _TILE_LENGTH = 322, 323
"""TIFF tags (TIFF 6.0, section 15)."""

_warnings_lock = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode one image file: JPEG, PNG, WebP, TIFF, BMP, GIF, PPM family or AVIF.

    The format is recognized by content, not by suffix. The result is what a viewer shows: rotated
    by its EXIF orientation (all eight), transparent parts on white, the first frame or page, 16
    bits reduced to 8. Colour profiles are not applied, to CMYK either.

    Returns:
        uint8 (H, W, 3), BGR, contiguous.

    Raises:
        ImageTooLargeError: The photo has more than `MAX_PIXELS`.
        ImageError: The file is missing, not an image, damaged or truncated; its pixels are float
            or 32-bit integers; or it is a JPEG with more than `MAX_SCANS` or of absurd size.
    """
    with _open_file(path) as stream:
        return _decode(stream, str(path))


def decode_image(buffer: bytes, *, source: str) -> NDArray[np.uint8]:
    """Decode a file's bytes as `read_image` does; `source` is their name in error messages."""
    return _decode(io.BytesIO(buffer), source)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of the result of `read_image`, from the header alone.

    Raises:
        ImageError: See `read_image`, as far as the header shows the fault.
    """
    with _open_file(path) as stream, _silenced():
        image, orientation = _open_image(stream, str(path))
        width, height = image.size
    return (height, width) if orientation >= 5 else (width, height)


def list_images(folder: Path) -> list[Path]:
    """All image files in a folder and its subfolders, chosen by suffix, sorted.

    Names that begin with a dot are skipped, and links to folders are not followed. A warning
    counts photos in formats that cannot be read.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        what = "is a file; expected a folder" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}")
    found: list[Path] = []
    others: Counter[str] = Counter()
    for parent, folders, names in os.walk(folder, onerror=_warn_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            suffix = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in IMAGE_SUFFIXES:
                found.append(Path(parent, name))
            elif suffix in _OTHER_PHOTOS:
                others[suffix] += 1
    if others:
        kinds = ", ".join(f"{count} x {suffix}" for suffix, count in others.most_common())
        _log.warning(
            "%s: left out %d photos in formats that are not read (%s): convert them to JPEG first",
            folder,
            others.total(),
            kinds,
        )
    return sorted(path for path in found if path.is_file())


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


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence Pillow's warnings, one thread at a time, as `catch_warnings` is global."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _decode(stream: IO[bytes], source: str) -> NDArray[np.uint8]:
    with _silenced():
        image, orientation = _open_image(stream, source)
        if image.format == "TIFF":  # only TIFF may warn while it decodes
            _load(image, source)
    if image.format in ("JPEG", "MPO"):
        _check_scans(stream, source)
    _load(image, source)
    return _to_bgr(image, orientation, source)


def _open_image(stream: IO[bytes], source: str) -> tuple[PILImage, int]:
    """Read the header; also returns the orientation (1 to 8) to apply after decoding."""
    from PIL import Image, UnidentifiedImageError

    head = stream.read(64)
    stream.seek(0)
    try:
        image = Image.open(stream, formats=_FORMATS)
        width, height = image.size
        if width < 1 or height < 1:
            raise ImageError(f"{source}: not an image: its size is {width} x {height}")
        tags = getattr(image, "tag_v2", {})
        # A TIFF is decoded in whole tiles, whose size is independent of the picture's.
        tile = [tags.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
        if not all(isinstance(side, int) for side in tile):
            raise ImageError(f"{source}: damaged or cut-off image: its tiles have no size")
        for wide, high in ((width, height), tile):
            if wide * high > MAX_PIXELS:
                raise _too_large(source, f"{wide} x {high}")
        return image, _orientation(image, stream)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{source}: not an image: {_what_it_is(head)}") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, which is above ours
        pixels = re.search(r"\d+", str(error))
        raise _too_large(source, pixels[0] if pixels else "too many") from error
    except Exception as error:  # parsers raise nearly anything on damaged files
        raise _damaged(source, error) from error


def _too_large(source: str, size: str) -> ImageTooLargeError:
    return ImageTooLargeError(f"{source}: {size} pixels: above the limit of {MAX_PIXELS:,} pixels")


def _damaged(source: str, error: Exception) -> ImageError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ImageError(f"{source}: damaged or cut-off image: {reason}")


def _what_it_is(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty"
    if head.startswith(b"%PDF"):
        return "it is a PDF"
    if text.startswith((b"<svg", b"<?xml", b"<!doctype")):
        return "it is an SVG, XML or HTML text"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"mif1"):
        return "it is a HEIC photo, which must be converted to JPEG first"
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return "it is a video"
    return "expected JPEG, PNG, WebP, TIFF, BMP, GIF, PPM or AVIF"


def _orientation(image: PILImage, stream: IO[bytes]) -> int:
    from PIL import Image

    if image.format == "TIFF":
        image.info.pop("xmp", None)  # viewers use the TIFF tag only, and ignore XMP
        return 1  # Pillow rotates TIFF itself, in size and pixels
    data = image.info.get("exif")
    if data is None and image.format == "PNG":
        data = _png_exif(stream)
    exif = Image.Exif()
    try:
        exif.load(data or b"")
        value = exif.get(_ORIENTATION)
    except Exception:  # damaged EXIF in an intact photo is ignored
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _png_exif(stream: IO[bytes]) -> bytes | None:
    """The eXIf chunk, which may also follow the pixels (PNG 3rd edition, section 5.6)."""
    start = stream.tell()
    try:
        stream.seek(8)
        while len(header := stream.read(8)) == 8:
            length, name = struct.unpack(">I4s", header)
            if name == b"eXIf":
                return stream.read(length)
            stream.seek(length + 4, os.SEEK_CUR)
        return None
    finally:
        stream.seek(start)


def _check_scans(stream: IO[bytes], source: str) -> None:
    """Refuse a JPEG with too many scans.

    What follows the picture's end, such as a phone's video, and an EXIF thumbnail do not count.
    """
    start = stream.tell()
    stream.seek(0)
    data = stream.read(_MAX_JPEG)
    stream.seek(start)
    segments = scans = position = 0
    while found := _SEGMENT.search(data, position):
        if found[0][1] == _END_OF_PICTURE:
            return
        segments += 1
        scans += found[0][1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise ImageError(f"{source}: a JPEG of more scans than the limit of {MAX_SCANS}")
        if segments > _MAX_SEGMENTS:
            raise ImageError(f"{source}: a JPEG of more than {_MAX_SEGMENTS:,} segments")
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    if len(data) == _MAX_JPEG:
        raise ImageError(f"{source}: a JPEG without an end in its first {_MAX_JPEG:,} bytes")


def _load(image: PILImage, source: str) -> None:
    try:
        image.load()
    except Exception as error:  # decoders too raise nearly anything on damaged files
        raise _damaged(source, error) from error


def _to_bgr(image: PILImage, orientation: int, source: str) -> NDArray[np.uint8]:
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        # Keep the upper 8 bits, as Pillow does for 16-bit colour. Pillow scales a PPM's "I" to 16.
        wide = np.asarray(image).clip(0, 65535).astype(np.uint16)
        image = Image.fromarray((wide >> 8).astype(np.uint8))
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("I", "F"):
        raise ImageError(f"{source}: has 32-bit pixels: expected 8 or 16 bits for each channel")
    elif image.has_transparency_data:
        if image.mode == "La":  # grey premultiplied by alpha
            image = image.convert("LA")
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    elif image.mode not in ("RGB", "L"):
        try:
            image = image.convert("RGB")
        except ValueError as error:
            raise ImageError(f"{source}: colours of mode {image.mode} are not read") from error
    turn = Image.Transpose
    turns = {2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM}
    turns |= {5: turn.TRANSPOSE, 6: turn.ROTATE_270, 7: turn.TRANSVERSE, 8: turn.ROTATE_90}
    if orientation in turns:
        image = image.transpose(turns[orientation])
    code = cv2.COLOR_GRAY2BGR if image.mode == "L" else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(np.asarray(image), code), dtype=np.uint8)
