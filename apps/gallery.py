"""Known faces: who is it?"""

from __future__ import annotations

import io
import os
import time
import unicodedata
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..embedding import Embedding
from ..errors import DataError, InputError, UserError
from ..tasks.recognition.model import FaceRecognizer
from .gallery_file import (
    EnrolledPhoto,
    GalleryContent,
    check_gallery_place,
    only_writer,
    parse_gallery,
    read_gallery,
    write_gallery,
)
from .gallery_model import EmbeddingModel, embedding_model


@dataclass(frozen=True)
class Match:
    """The known person whom a face is most alike.

    Attributes:
        name: Name of the person.
        similarity: Cosine to the most similar of the person's faces, -1 to 1.
        photo: File of that face's photo, as it was enrolled; empty if it came from no file.
    """

    name: str
    similarity: float
    photo: str


@dataclass(frozen=True, eq=False)
class _Added:
    """Faces of one photo, which is `embeddings` (N, D) at `boxes` (N, 4)."""

    photo: EnrolledPhoto
    embeddings: NDArray[np.float32]
    boxes: NDArray[np.float32]


@dataclass(frozen=True)
class _Forgotten:
    person: str


class Gallery:
    """Embeddings of known people's faces, in one file; `Gallery.open` makes one.

    What is added and forgotten takes effect at once, and is in the file after `save`.

    Attributes:
        path: The file.
        model: The model whose embeddings these are.
    """

    def __init__(self, path: Path, model: EmbeddingModel, content: GalleryContent) -> None:
        self.path = path
        self.model = model
        self._saved = content
        self._changes: list[_Added | _Forgotten] = []
        self._current: GalleryContent | None = content
        self._known: tuple[tuple[str, ...], NDArray[np.int32]] | None = None
        self._stamps = {photo.stamp for photo in content.photos}
        self._with_faces = content.with_faces
        self._is_anew = False

    @classmethod
    def open(cls, path: str | os.PathLike[str], model: FaceRecognizer | None = None) -> Gallery:
        """Open a gallery, or begin a new one where there is no such file.

        Args:
            path: A file whose name ends in `.gallery`.
            model: The recogniser whose embeddings are added and looked for; None for a gallery
                that is there.

        Raises:
            DataError: The file is damaged, of a later version, or holds another model's
                embeddings; or there is none, and no model is named.
            UserError: It cannot be written there, or its name ends otherwise.
        """
        path = Path(path)
        if model is not None and not path.exists():
            check_gallery_place(path)
            return cls(path, embedding_model(model.contract), GalleryContent.empty(model.size))
        stored, content = read_gallery(path)
        gallery = cls(path, stored, content)
        if model is not None:
            gallery.check_recognizer(model)
        return gallery

    @classmethod
    def of_bytes(cls, content: bytes) -> Gallery:
        """A gallery's file that is in memory alone; it is not saved.

        Raises:
            DataError: It is damaged, or of a later version.
        """
        path = Path("the gallery")
        return cls(path, *parse_gallery(io.BytesIO(content), path))

    def check_recognizer(self, model: FaceRecognizer) -> None:
        """Refuse a recogniser whose embeddings cannot be compared with these.

        Raises:
            DataError: It is another one.
        """
        own = embedding_model(model.contract)
        if own != self.model:
            raise DataError(
                f"{self.path}: its embeddings are of {self.model}, not of {own}, which "
                f"{model.path} is",
                hint="name the model it is of, or begin another gallery elsewhere",
            )

    def check_named(self) -> None:
        """Refuse the embeddings that `recognize cluster` keeps, which are nobody's.

        Raises:
            DataError: There are faces without a name.
        """
        if "" in self.names:
            raise DataError(f"{self.path}: its faces have no names, as `cluster` keeps them")

    def check_people(self) -> None:
        """Refuse a gallery in which nobody can be found.

        Raises:
            DataError: Nobody is enrolled, or see `check_named`.
        """
        if not len(self):
            raise DataError(f"{self.path}: nobody is enrolled")
        self.check_named()

    def __len__(self) -> int:
        return len(self._now().photo_of)

    def __repr__(self) -> str:
        return f"Gallery({str(self.path)!r}: {len(self)} faces of {len(self.names)} people)"

    @property
    def names(self) -> tuple[str, ...]:
        """The people's names, sorted."""
        return self._people()[0]

    @property
    def content(self) -> GalleryContent:
        """All faces and their photos."""
        return self._now()

    def add(
        self, name: str, embedding: Embedding, *, photo: str | os.PathLike[str] | None = None
    ) -> None:
        """Add a face of a person, who may be there already.

        Args:
            name: Any text; letters and their accents become one (NFC).
            embedding: Of a face, by the gallery's model.
            photo: File of the photo, of which the name, size and time of change are kept.

        Raises:
            UserError: The name is empty or has a zero byte, or there is no such photo.
            InputError: The embedding has another number of components, or not the length 1.
        """
        enrolled = EnrolledPhoto(checked_name(name), enrolled=int(time.time()))
        if photo is not None:
            enrolled = stamped(checked_name(name), Path(photo), Path(photo).name)
        self.add_photo(enrolled, [embedding], np.full((1, 4), np.nan))

    def add_photo(
        self, photo: EnrolledPhoto, embeddings: Sequence[Embedding], boxes: ArrayLike
    ) -> None:
        """Add all faces of a photo, or the photo alone if it has none.

        Args:
            photo: Whom it shows and which file it is, from `stamped`.
            embeddings: Of its faces.
            boxes: Of its faces in its pixels, (N, 4).

        Raises:
            InputError: See `add`.
        """
        rows = np.empty((len(embeddings), self.model.size), np.float32)
        for row, one in zip(rows, embeddings, strict=True):
            row[:] = self._checked(one)
        placed = np.asarray(boxes, np.float32).reshape(len(rows), 4)
        self._change(_Added(photo, rows, placed))
        self._stamps.add(photo.stamp)
        if len(rows):
            self._with_faces.add(photo.stamp)

    def has(self, photo: EnrolledPhoto, *, with_faces: bool = False) -> bool:
        """Whether a photo of this name, size and time of change was looked at before.

        Args:
            photo: From `stamped`.
            with_faces: Whether a face of it must be there too.
        """
        return photo.stamp in (self._with_faces if with_faces else self._stamps)

    def begin_anew(self, finder: str) -> None:
        """Drop everything; the next `save` replaces what is in the file.

        Args:
            finder: What finds the faces from now on; see `GalleryContent`.
        """
        self._saved = self._current = GalleryContent.empty(self.model.size, finder=finder)
        self._changes, self._known = [], None
        self._stamps, self._with_faces = set(), set()
        self._is_anew = True

    def find(self, embedding: Embedding) -> Match | None:
        """The known face that is most alike, however unlike it is; None if nobody is known.

        `FaceRecognizer.threshold` says from which similarity on it is that person.

        Args:
            embedding: Of a face, by the gallery's model.

        Raises:
            InputError: See `add`.
        """
        content = self._now()
        if not len(content.photo_of):
            return None
        cosines = content.embeddings @ self._checked(embedding)
        best = int(cosines.argmax())
        photo = content.photos[content.photo_of[best]]
        return Match(photo.person, float(cosines[best]), photo.file)

    def similarities(self, embedding: Embedding) -> NDArray[np.float32]:
        """The highest cosine to a face of each of `names`, (P,).

        Args:
            embedding: Of a face, by the gallery's model.

        Raises:
            InputError: See `add`.
        """
        names, person_of = self._people()
        found = np.full(len(names), -1, np.float32)
        np.maximum.at(found, person_of, self._now().embeddings @ self._checked(embedding))
        return found

    def forget(self, name: str) -> int:
        """Remove a person; returns the number of faces.

        Raises:
            UserError: Nobody has this name; the message lists near ones.
        """
        person = checked_name(name)
        content = self._now()
        there = {photo.person for photo in content.photos}
        if person not in there:
            import difflib

            near = difflib.get_close_matches(person, there, n=3, cutoff=0.4)
            raise UserError(
                f"{self.path}: nobody is called {person!r}",
                hint=f"did you mean {' or '.join(map(repr, near))}?" if near else None,
            )
        before = len(self)
        self._change(_Forgotten(person))
        self._stamps = {stamp for stamp in self._stamps if stamp[0] != person}
        self._with_faces = {stamp for stamp in self._with_faces if stamp[0] != person}
        return before - len(self)

    def save(self) -> None:
        """Write what was added and forgotten since the last time.

        What other processes wrote meanwhile is kept, and a photo that they added is not added
        twice. Where the path is a link, the file it leads to is written.

        Raises:
            DataError: The file has become another model's, or is damaged.
            OSError: It cannot be written.
        """
        if not self._changes and self.path.exists():
            return
        file = Path(os.path.realpath(self.path))
        with only_writer(file):
            content = GalleryContent.empty(self.model.size, finder=self._saved.finder)
            if file.exists() and not self._is_anew:
                stored, content = read_gallery(file)
                if stored != self.model:
                    raise DataError(f"{self.path}: has become one of {stored} meanwhile")
                if content.finder != self._saved.finder:
                    raise DataError(f"{self.path}: another detector has filled it meanwhile")
            meanwhile = content.with_faces - self._saved.with_faces
            content = _after(content, self._changes, meanwhile=meanwhile)
            write_gallery(file, self.model, content)
        self._saved = self._current = content
        self._known = None
        self._changes = []
        self._stamps = {photo.stamp for photo in content.photos}
        self._with_faces = content.with_faces
        self._is_anew = False

    def _change(self, change: _Added | _Forgotten) -> None:
        self._changes.append(change)
        self._current = self._known = None

    def _now(self) -> GalleryContent:
        if self._current is None:
            self._current = _after(self._saved, self._changes)
        return self._current

    def _people(self) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """The people's names, sorted, and of each face whose it is, (N,)."""
        if self._known is None:
            content = self._now()
            with_faces = np.unique(content.photo_of)
            names = tuple(sorted({content.photos[place].person for place in with_faces}))
            places = {name: place for place, name in enumerate(names)}
            whose = [places.get(photo.person, -1) for photo in content.photos]
            self._known = names, np.array(whose, np.int32)[content.photo_of]
        return self._known

    def _checked(self, embedding: Embedding) -> NDArray[np.float32]:
        vector = embedding.vector
        if vector.shape != (self.model.size,):
            raise InputError(
                f"an embedding has the shape {vector.shape}: expected ({self.model.size},), as "
                f"those in {self.path}"
            )
        if not abs(float(np.linalg.norm(vector)) - 1) <= 1e-3:  # this form fails for NaN too
            raise InputError("an embedding has not the length 1")
        return vector


def checked_name(name: str) -> str:
    """A person's name with letters and accents composed, without spaces at its ends.

    Raises:
        UserError: It is empty or has a zero byte.
    """
    plain = unicodedata.normalize("NFC", name).strip()
    if not plain or "\0" in plain:
        raise UserError(f"name {name!r}: expected a text that is not empty, without a zero byte")
    return plain


def stamped(person: str, path: Path, file: str) -> EnrolledPhoto:
    """What a gallery keeps of a photo.

    Args:
        person: Whom it shows; empty if nobody is named.
        path: The photo.
        file: By what name it is kept.

    Raises:
        UserError: There is no such photo.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return EnrolledPhoto(person, file, found.st_size, found.st_mtime_ns, int(time.time()))


def _after(
    content: GalleryContent,
    changes: Sequence[_Added | _Forgotten],
    *,
    meanwhile: Set[tuple[str, str, int, int]] = frozenset(),
) -> GalleryContent:
    """The content after changes, in their order.

    Args:
        content: What the changes are made to.
        changes: Photos that are added take the place of what is there of them without a face.
        meanwhile: Stamps of photos that another process has added, which are not added again.
    """
    added: list[_Added] = []
    for change in changes:
        if isinstance(change, _Forgotten):
            content = content.without(change.person)
            added = [one for one in added if one.photo.person != change.person]
            meanwhile = {stamp for stamp in meanwhile if stamp[0] != change.person}
        elif not (change.photo.file and change.photo.stamp in meanwhile):
            added.append(change)
    if not added:
        return content
    stamps = {one.photo.stamp for one in added}
    with_faces = content.with_faces
    again = [photo.stamp in stamps and photo.stamp not in with_faces for photo in content.photos]
    if any(again):
        content = content.only([not one for one in again])
    first = len(content.photos)
    counts = [len(one.embeddings) for one in added]
    places = np.repeat(np.arange(first, first + len(added), dtype=np.int32), counts)
    return GalleryContent(
        (*content.photos, *(one.photo for one in added)),
        np.concatenate([content.photo_of, places]),
        np.concatenate([content.embeddings, *(one.embeddings for one in added)]),
        np.concatenate([content.boxes, *(one.boxes for one in added)]),
        content.finder,
    )
