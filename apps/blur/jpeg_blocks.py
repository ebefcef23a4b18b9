"""Take the blocks of a JPEG that no face touches over bit by bit, without decoding them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ImageError, MissingPackageError
from ...files import scratch_folder

if TYPE_CHECKING:
    from jpeglib import DCTJPEG  # type: ignore[import-untyped]

_HUFFMAN = (0xC0, 0xC1, 0xC2)
"""Frames that libjpeg 6b decodes: of Huffman codes, sequential or progressive (T.81, B.1.1.3)."""

_BLOCK = 8
"""Pixels along a side of a block (T.81, A.1.1)."""

_one_at_a_time = threading.Lock()
"""Held while jpeglib's copies go into a photo's own folder."""


def check_installed() -> None:
    """Refuse a run without the package that reads and writes coefficients.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import jpeglib  # noqa: F401
    except ImportError:
        raise MissingPackageError("jpeglib") from None


def with_old_blocks(old: bytes, new: bytes, covered: NDArray[np.bool_], *, source: str) -> bytes:
    """A JPEG with the coefficients of `new` where pixels are covered, and of `old` elsewhere.

    A block of luma is 8 x 8 pixels, one of subsampled chroma up to 16 x 16.

    Args:
        old: The photo as it was, which was decoded without an error.
        new: The same with faces hidden, of the same tables and subsampling. Its header is taken.
        covered: (H, W), which pixels hide faces, as they are stored.
        source: The photo's name in error messages.

    Raises:
        ImageError: The two are of different make.
    """
    if _frame_kind(old) not in _HUFFMAN:
        raise ImageError(f"{source}: --lossless-jpeg: a JPEG of arithmetic codes")
    with _named(source), _working_file() as file:
        before, after = (_coefficients(file, content) for content in (old, new))
        if before.num_components > 3:  # of which jpeglib does not write the last
            raise ImageError(f"{source}: --lossless-jpeg: a JPEG of four inks")
        factors = np.array(before.samp_factor)
        if not np.array_equal(factors, after.samp_factor) or not _same_tables(before, after):
            raise ImageError(f"{source}: --lossless-jpeg: of tables or subsampling that are rare")
        largest = factors.max(axis=0)
        for name, factor in zip(_components(before), factors, strict=True):
            blocks, others = getattr(after, name), getattr(before, name)
            touched = _touched(covered, blocks.shape[:2], tuple(_BLOCK * largest // factor))
            blocks[~touched] = others[~touched]
        after.write_dct(str(file))
        made = file.read_bytes()
        written = _coefficients(file, made)
        for name in _components(before):
            if not np.array_equal(getattr(written, name), getattr(after, name)):
                raise ImageError(f"{source}: --lossless-jpeg: its coefficients were not written")
        return made


@contextmanager
def _named(source: str) -> Iterator[None]:
    """Raise what jpeglib raises, an `OSError` without a number, as an `ImageError`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise ImageError(f"{source}: --lossless-jpeg: damaged image: {error}") from error


@contextmanager
def _working_file() -> Iterator[Path]:
    """A file for what jpeglib reads and writes, which takes paths alone.

    The photo as it was lies in it. So nobody else can read it, and what a process that was killed
    leaves is removed by the next one. jpeglib makes copies of its own, and forgets them where the
    photo is damaged: they are made beside that file.
    """
    from jpeglib import dct_jpeg

    with scratch_folder(Path(tempfile.gettempdir())) as folder:
        beside = partial(tempfile.NamedTemporaryFile, dir=folder)
        with _one_at_a_time:
            dct_jpeg.tempfile = SimpleNamespace(NamedTemporaryFile=beside)
            try:
                yield folder / "blocks.jpg"
            finally:
                dct_jpeg.tempfile = tempfile


def _coefficients(path: Path, content: bytes) -> DCTJPEG:
    """All coefficients of a JPEG, quantised; int16 (rows of blocks, columns, 8, 8) each.

    Args:
        path: A file for it.
        content: The JPEG.
    """
    import jpeglib

    path.write_bytes(content)
    found = jpeglib.read_dct(str(path))
    found.load()
    return found


def _components(read: DCTJPEG) -> list[str]:
    return [name for name in ("Y", "Cb", "Cr") if getattr(read, name) is not None]


def _same_tables(one: DCTJPEG, other: DCTJPEG) -> bool:
    """Whether each component has the same quantisation, whatever the number of its table is."""
    tables = [
        [read.qt[place].tolist() for place in read.quant_tbl_no[: read.num_components]]
        for read in (one, other)
    ]
    return tables[0] == tables[1]


def _touched(
    covered: NDArray[np.bool_], shape: tuple[int, ...], size: tuple[Any, ...]
) -> NDArray[np.bool_]:
    """Which blocks have a covered pixel.

    Args:
        covered: (H, W).
        shape: Rows and columns of blocks.
        size: Height and width of a block in pixels.
    """
    missing = [(0, max(0, n * s - m)) for n, s, m in zip(shape, size, covered.shape, strict=True)]
    # Beyond the picture's edge the last row and column go on, with what there is in them.
    whole = np.pad(covered, missing, mode="edge")[: shape[0] * size[0], : shape[1] * size[1]]
    blocks = whole.reshape(shape[0], size[0], shape[1], size[1])
    return np.asarray(blocks.any(axis=(1, 3)), np.bool_)


def _frame_kind(content: bytes) -> int:
    """The marker of a JPEG's frame, which tells how it is coded; 0 if there is none."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker
        filled = marker == 0xFF
        position += 1 if filled else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return 0
