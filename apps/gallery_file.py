"""The file of a gallery: embeddings of known faces, whose they are and of which photos."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..errors import DataError, UserError
from ..files import atomic_write, reading
from ..places import check_place
from .gallery_model import EmbeddingModel

SUFFIX = ".gallery"
"""What the names of galleries end in."""

_FORMAT, _VERSION = "pocketface gallery", 1
_END = "\0"
"""Ends each text of a list of them."""

_LENGTH = 1e-3
"""How far from 1 the length of an embedding may be."""

_FAULTS: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, EOFError, MemoryError, RuntimeError),
    *(AttributeError, KeyError, TypeError, ValueError),
)
"""What reading a damaged or a foreign file raises."""

_WAIT = 600.0
"""Seconds to wait for another process that writes; a million faces take seconds."""


class EnrolledPhoto(NamedTuple):
    """A photo that was looked at; the photo itself is not kept.

    Attributes:
        person: Whom it shows; empty if nobody was named.
        file: Path below the folder that was named; empty if the face came from no file.
        size: Of the file, in bytes.
        changed: When the file was last changed, in nanoseconds since 1970.
        enrolled: When it was looked at, in seconds since 1970.
    """

    person: str
    file: str = ""
    size: int = 0
    changed: int = 0
    enrolled: int = 0

    @property
    def stamp(self) -> tuple[str, str, int, int]:
        """What tells whether a file was looked at before."""
        return self[:4]


@dataclass(frozen=True, eq=False)
class GalleryContent:
    """What is in a gallery.

    Attributes:
        photos: The photos, also those without a face.
        photo_of: Index of each face's photo, int32 (N,).
        embeddings: float32 (N, D), of unit length.
        boxes: x1, y1, x2, y2 of each face in pixels of its photo, float32 (N, 4); NaN if unknown.
        finder: What found the faces, if all were found by the same; see `Recognizer.finder`.
    """

    photos: Sequence[EnrolledPhoto]
    photo_of: NDArray[np.int32]
    embeddings: NDArray[np.float32]
    boxes: NDArray[np.float32]
    finder: str | None = None

    @classmethod
    def empty(cls, size: int, *, finder: str | None = None) -> GalleryContent:
        """Nobody, in embeddings of `size` components."""
        return cls(
            (),
            np.empty(0, np.int32),
            np.empty((0, size), np.float32),
            np.empty((0, 4), np.float32),
            finder,
        )

    @property
    def with_faces(self) -> set[tuple[str, str, int, int]]:
        """The stamps of the photos that have a face."""
        return {self.photos[place].stamp for place in np.unique(self.photo_of)}

    def without(self, person: str) -> GalleryContent:
        """All that is not of a person."""
        return self.only([photo.person != person for photo in self.photos])

    def only(self, kept: Sequence[bool]) -> GalleryContent:
        """Some of the photos, and their faces."""
        keep = np.array(kept, bool)
        rows = keep[self.photo_of]
        places = np.cumsum(keep) - 1
        return GalleryContent(
            tuple(photo for photo, kept in zip(self.photos, keep, strict=True) if kept),
            places[self.photo_of[rows]].astype(np.int32),
            self.embeddings[rows],
            self.boxes[rows],
            self.finder,
        )


def read_gallery(path: Path) -> tuple[EmbeddingModel, GalleryContent]:
    """Read a gallery.

    Raises:
        UserError: Its name ends otherwise.
        DataError: There is no such file, it is no gallery, is damaged, or of a later version.
    """
    _check_suffix(path)
    with reading(path, DataError):
        if not path.exists():
            raise DataError(
                f"{path}: no such gallery", hint="`pocketface recognize enroll` makes one"
            )
        if not path.is_file():  # a pipe would keep its reader waiting for ever
            raise DataError(f"{path}: is no regular file; expected a gallery")
        with path.open("rb") as file:
            return parse_gallery(file, path)


def parse_gallery(file: IO[bytes], path: Path) -> tuple[EmbeddingModel, GalleryContent]:
    """Read a gallery's file that is open, or in memory.

    Args:
        file: It, at its beginning.
        path: Its name in error messages.

    Raises:
        DataError: It is no gallery, is damaged, or of a later version.
        OSError: It cannot be read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            # As we write them; what is packed could be far larger than the file.
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise ValueError("its parts are packed")
        file.seek(0)
        with np.load(file, allow_pickle=False) as parts:
            header = json.loads(parts["header"].tobytes())
            if not isinstance(header, dict) or header.get("format") != _FORMAT:
                raise ValueError("it has no header of one")
            version = header.get("version")
            if version != _VERSION:
                raise DataError(
                    f"{path}: a gallery of version {version!r}: expected {_VERSION}",
                    hint="a later pocketface wrote it",
                )
            finder = header.get("finder")
            if not isinstance(finder, str | None):
                raise ValueError("finder is no text")
            model = EmbeddingModel.model_validate(header["model"])
            return model, replace(_content(parts, model), finder=finder)
    except _FAULTS as error:
        raise DataError(f"{path}: not a gallery, or damaged: {_why(error)}") from error


def write_gallery(path: Path, model: EmbeddingModel, content: GalleryContent) -> None:
    """Write a gallery atomically; a new one is for its owner alone.

    Raises:
        OSError: It cannot be written.
    """
    header = {
        "format": _FORMAT,
        "version": _VERSION,
        "model": model.model_dump(),
        "finder": content.finder,
    }
    people = sorted({photo.person for photo in content.photos})
    place = {name: number for number, name in enumerate(people)}
    photos = content.photos
    with atomic_write(path, private=True) as handle:
        np.savez(
            handle,
            header=np.frombuffer(json.dumps(header).encode(), np.uint8),
            people=_bytes(people),
            photo_person=np.array([place[photo.person] for photo in photos], np.int32),
            photo_file=_bytes([photo.file for photo in photos]),
            photo_size=np.array([photo.size for photo in photos], np.int64),
            photo_changed=np.array([photo.changed for photo in photos], np.int64),
            photo_enrolled=np.array([photo.enrolled for photo in photos], np.int64),
            face_photo=content.photo_of,
            embeddings=content.embeddings,
            boxes=content.boxes,
        )


def check_gallery_place(path: Path) -> None:
    """Refuse a path that no gallery can be written to.

    Raises:
        UserError: Its suffix is another one, or it cannot be written.
    """
    _check_suffix(path)
    check_place(Path(os.path.realpath(path)) if path.is_symlink() else path, "gallery")


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() != SUFFIX:
        raise UserError(f"{path}: expected a name that ends in {SUFFIX}")


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other processes from writing a gallery; waits for one that does.

    Raises:
        UserError: Another one writes for ten minutes.
        OSError: The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    try:
        with FileLock(lock, timeout=_WAIT):
            try:
                yield
            finally:
                # Removed while it is held, so that no other process holds a file that is gone.
                with suppress(OSError):
                    lock.unlink()
    except Timeout:
        raise UserError(f"{path}: another process is writing it") from None


def _content(parts: Any, model: EmbeddingModel) -> GalleryContent:
    """The parts of an archive, checked against each other.

    Raises:
        ValueError: They do not fit.
    """
    people, files = _texts(parts["people"]), _texts(parts["photo_file"])
    columns = [parts[f"photo_{name}"] for name in ("person", "size", "changed", "enrolled")]
    photo_of, embeddings, boxes = parts["face_photo"], parts["embeddings"], parts["boxes"]
    faces = len(photo_of)
    for name, array, kind, shape in (
        *(("photo", one, "i", (len(files),)) for one in columns),
        ("face_photo", photo_of, "i", (faces,)),
        ("embeddings", embeddings, "f", (faces, model.size)),
        ("boxes", boxes, "f", (faces, 4)),
    ):
        if array.dtype.kind != kind or array.shape != shape:
            raise ValueError(f"{name} is {array.dtype} {array.shape}: expected {shape}")
    for name, array, count in (("person", columns[0], people), ("face_photo", photo_of, files)):
        if len(array) and not (array.min() >= 0 and array.max() < len(count)):
            raise ValueError(f"{name} names one that is not there")
    # NaN fails too.
    if not (abs(np.einsum("nd,nd->n", embeddings, embeddings) - 1) <= 2 * _LENGTH).all():
        raise ValueError("embeddings are not of unit length")
    person, *numbers = (one.tolist() for one in columns)
    photos = tuple(
        EnrolledPhoto(people[who], file, *rest)
        for who, file, *rest in zip(person, files, *numbers, strict=True)
    )
    return GalleryContent(
        photos,
        photo_of.astype(np.int32, copy=False),
        embeddings.astype(np.float32, copy=False),
        boxes.astype(np.float32, copy=False),
    )


def _bytes(texts: Sequence[str]) -> NDArray[np.uint8]:
    # Names of files may hold bytes that are no text.
    joined = "".join(text + _END for text in texts)
    return np.frombuffer(joined.encode("utf-8", "surrogateescape"), np.uint8)


def _texts(array: NDArray[np.uint8]) -> list[str]:
    text = array.tobytes().decode("utf-8", "surrogateescape")
    if text and not text.endswith(_END):
        raise ValueError("a list of texts is cut off")
    return text.split(_END)[:-1]


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"model.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"it lacks {error.args[0]!r}"[:200]
    return str(error).partition("\n")[0][:200] or type(error).__name__
