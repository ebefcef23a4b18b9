"""What a photo's file says of itself, checked before anything is decoded."""

from __future__ import annotations

import os
import re
import struct
from typing import IO, TYPE_CHECKING, Any, cast

from ..errors import ImageError, ImageTooLargeError
from . import jpeg_marks

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFile import ImageFile

MAX_PIXELS = 64_000_000
"""Most pixels of a photo; larger ones are refused before allocation (64 Mpx are 192 MB of BGR)."""

MAX_SIDE = 65_535
"""Longest side of a photo in pixels, which is a JPEG's own limit."""

MAX_BYTES = 256_000_000
"""Bytes of a compressed file that are read: what follows them, such as a video, is left alone."""

MAX_RAW_BYTES = 1_000_000_000
"""Size of a TIFF or BMP. Compressed or not, 64 Mpx of up to 8 bytes fit into it."""

_MAX_READS = 500_000
_MAX_FIELD = 300_000
"""Limits on what parsers written in Python read one by one: it takes them up to a second."""

_ORIENTATION = 0x0112
"""EXIF tag (Exif 2.32, section 4.6.4)."""

_BITS, _TILE_WIDTH, _TILE_LENGTH = 258, 322, 323
"""TIFF tags (TIFF 6.0, sections 8 and 15)."""

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
"""Brands of photos that are coded as HEVC."""

_BYTE_KINDS = frozenset({1, 2, 6, 7})


class BoundedReader:
    """A file of which a parser may read only the first bytes, and not bit by bit for ever.

    Args:
        stream: The file.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read within the first `MAX_BYTES`.

        Raises:
            ValueError: The file has been read from too often.
        """
        self._reads += 1
        if self._reads > _MAX_READS:
            raise ValueError(f"more than {_MAX_READS:,} small parts")
        left = max(0, MAX_BYTES - self._stream.tell())
        return self._stream.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Seek as usual."""
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """The position as usual."""
        return self._stream.tell()


def format_of(head: bytes, source: str) -> str:
    """Pillow's name of the format, from the first 64 bytes; PPM for all of Netpbm.

    Raises:
        ImageError: It is none that is decoded. Some of Pillow's other parsers start programs.
    """
    kind = ""
    if head.startswith(b"\xff\xd8\xff"):
        kind = "JPEG"
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "PNG"
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        kind = "WEBP"
    elif head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        kind = "TIFF"
    elif head.startswith(b"BM"):
        kind = "BMP"
    elif head[:6] in (b"GIF87a", b"GIF89a"):
        kind = "GIF"
    elif re.match(rb"P[4-6][\s#]", head):
        kind = "PPM"
    elif head[4:8] == b"ftyp":
        kind = _of_brands(head)
    if not kind:
        raise ImageError(f"{source}: not an image: {_what_it_is(head)}")
    if kind == "BMP" and head[30:34] in (b"\1\0\0\0", b"\2\0\0\0"):
        # Pillow decodes it in Python: some kilobytes keep a core busy for seconds.
        raise ImageError(f"{source}: a run-length encoded BMP: convert it to PNG first")
    return kind


def _of_brands(head: bytes) -> str:
    """AVIF, HEIF or neither, by the brands of an ISO file (ISO/IEC 23008-12, annex B.4)."""
    size = int.from_bytes(head[:4], "big")
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(size, len(head)) - 3, 4))}
    if head[8:12] in (b"avif", b"avis", b"mif1", b"msf1") and not _HEIC & brands:
        return "AVIF"
    return "HEIF" if head[8:12] in (*_HEIC, b"mif1", b"msf1") else ""


def _what_it_is(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty"
    if re.match(rb"P[1-3][\s#]", head):
        return "it is a text PPM, which must be converted to a binary one or to PNG first"
    if head.startswith(b"%PDF"):
        return "it is a PDF"
    if text.startswith((b"<svg", b"<?xml", b"<!doctype")):
        return "it is an SVG, XML or HTML text"
    if head[4:8] == b"ftyp" and head[8:12] in (*_HEIC, b"mif1", b"msf1"):
        return "a HEIC photo whose header is damaged"
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return "it is a video"
    return "expected JPEG, PNG, WebP, TIFF, BMP, GIF, PPM, AVIF or HEIC"


def stored_as(image: PILImage) -> str:
    """How pixels are stored, of which the mode tells a part: Pillow's name, as L;2 or RGB;16B."""
    found = cast("ImageFile", image).tile[0].args
    return found if isinstance(found, str) else str(found and found[0])


def open_pillow(stream: IO[bytes], kind: str, source: str) -> tuple[PILImage, int]:
    """Read a header; returns the photo and the orientation (1 to 8) to apply after decoding.

    Raises:
        ImageTooLargeError: It has more than `MAX_PIXELS`, or a side above `MAX_SIDE`.
        ImageError: A TIFF has fields of absurd length, or tiles without a size.
        Exception: Nearly any other; parsers raise what they like on damaged files.
    """
    from PIL import Image, UnidentifiedImageError

    if kind == "HEIF":
        _open_heic(source)
    if kind in ("TIFF", "BMP"):
        if stream.seek(0, os.SEEK_END) > MAX_RAW_BYTES:
            raise ImageError(f"{source}: a {kind} of more than {MAX_RAW_BYTES:,} bytes")
        if kind == "TIFF":
            check_fields(stream, source)
    else:
        stream = cast(IO[bytes], BoundedReader(stream))
    stream.seek(0)
    try:
        image = Image.open(stream, formats=[kind])
    except UnidentifiedImageError as error:
        stream.seek(0)
        reason = "its header is damaged"
        if kind in ("AVIF", "HEIF"):
            reason = _what_it_is(stream.read(64))
        raise ImageError(f"{source}: not an image: {reason}") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, which is above ours
        pixels = re.search(r"\d+", str(error))
        raise _too_many(source, pixels[0] if pixels else "too many") from error
    check_size(image.size, source)
    if kind == "TIFF":
        check_tiles(image, source)
    return image, _orientation(image, stream)


def _open_heic(source: str) -> None:
    """Make Pillow read HEIC photos.

    Raises:
        ImageError: The package that can is missing.
    """
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        raise ImageError(
            f"{source}: not an image: it is a HEIC photo, which needs "
            "`pip install 'pocketface[heic]'`"
        ) from None
    register_heif_opener()


def check_size(size: tuple[int, int], source: str) -> None:
    """Check width and height in pixels.

    Raises:
        ImageTooLargeError: More than `MAX_PIXELS`, or a side above `MAX_SIDE`.
        ImageError: A side below 1.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ImageError(f"{source}: not an image: its size is {width} x {height}")
    if width * height > MAX_PIXELS:
        raise _too_many(source, f"{width} x {height}")
    if max(size) > MAX_SIDE:
        raise ImageTooLargeError(
            f"{source}: {width} x {height} pixels: above the limit of {MAX_SIDE:,} for a side"
        )


def _too_many(source: str, size: str) -> ImageTooLargeError:
    return ImageTooLargeError(f"{source}: {size} pixels: above the limit of {MAX_PIXELS:,} pixels")


def tiff_bits(image: PILImage) -> tuple[int, ...]:
    """The bits of each channel of a TIFF's page that was opened; none of another format."""
    tags: Any = getattr(image, "tag_v2", None)
    return () if tags is None else tuple(tags.get(_BITS, (1,)))


def check_tiles(image: PILImage, source: str) -> None:
    """Check an opened page of a TIFF: whole tiles are decoded, which may be larger than the page.

    Raises:
        ImageTooLargeError: See `check_size`.
        ImageError: Tiles without a size.
    """
    tags: Any = getattr(image, "tag_v2", {})
    width, height = (tags.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_LENGTH))
    if not isinstance(width, int) or not isinstance(height, int):
        raise ImageError(f"{source}: damaged or cut-off image: its tiles have no size")
    check_size((width, height), source)


def check_fields(stream: IO[bytes], source: str, *, pages: int = 1) -> None:
    """Check the first pages of a TIFF: Pillow makes Python's numbers of all fields (TIFF 6.0, 2).

    Raises:
        ImageError: A field has very many of them.
        struct.error: The file ends within the first page's fields.
    """
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head.startswith(b"II") else ">"
    big = 43 in head[2:4]
    count, entry, place = ("Q", "HHQ8x", "Q") if big else ("H", "HHI4x", "I")

    def read(form: str) -> tuple[int, ...]:
        return struct.unpack(order + form, stream.read(struct.calcsize(order + form)))

    (start,) = struct.unpack(order + place, head[8:] if big else head[4:8])
    seen: set[int] = set()
    while start and start not in seen and len(seen) < pages:
        seen.add(start)
        try:
            stream.seek(start)
            (entries,) = read(count)
            for _ in range(min(entries, 65_536)):
                tag, kind, numbers = read(entry)
                if numbers > _MAX_FIELD and kind not in _BYTE_KINDS:
                    raise ImageError(f"{source}: a TIFF of {numbers:,} values in its field {tag}")
            (start,) = read(place) if len(seen) < pages else (0,)
        except struct.error:
            if len(seen) == 1:
                raise
            return  # what is behind the last page is for Pillow to judge


def _orientation(image: PILImage, stream: IO[bytes]) -> int:
    if image.format == "TIFF":
        image.info.pop("xmp", None)  # viewers use the TIFF tag only, and ignore XMP
        return 1  # Pillow rotates TIFF itself, in size and pixels
    data = image.info.get("exif")
    if data is None and image.format == "PNG":
        data = _png_exif(stream)
    return orientation_of(data)


def orientation_of(data: bytes | None) -> int:
    """The orientation, 1 to 8, that EXIF data has; 1 if there is none."""
    from PIL import Image

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
            if name == b"IEND":
                return None
            stream.seek(length + 4, os.SEEK_CUR)
        return None
    finally:
        stream.seek(start)


def jpeg_variants(data: bytes, source: str) -> list[bytes]:
    """The bytes to decode: one whole JPEG, or two that look alike only if all pixels are there.

    libjpeg fills what a cut-off JPEG lacks with grey, and says so to nobody that Pillow asks. A
    picture that only lacks its end mark looks the same whatever follows it.

    Raises:
        ImageError: See `jpeg_marks.find_end`; or the end is beyond the bytes that are read.
    """
    end = jpeg_marks.find_end(data, source)
    if end is not None:
        return [data if end == len(data) else data[:end]]
    if len(data) == MAX_BYTES:
        raise ImageError(f"{source}: a JPEG without an end in its first {MAX_BYTES:,} bytes")
    # A disk or a download may have left zeros in place of the rest.
    bare = data.rstrip(b"\0") if data.endswith(bytes(16)) else data
    bare = bare.rstrip(b"\xff")  # with what follows it would be a mark
    return [bare + jpeg_marks.MORE, bare + jpeg_marks.END]
