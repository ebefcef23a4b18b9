"""Find photos of people and who they show: a folder for each person, or a CSV."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import DataError
from .images import list_images
from .photo_paths import leads_out
from .record_set import RecordSet, Tally, named, warn_of_empty
from .table import read_table

_log = logging.getLogger(__name__)

_IMAGE_COLUMNS = ("image", "file", "path")
_PERSON_COLUMNS = ("person", "identity")
_SPLIT = "split"
_PART = re.compile("[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Photo:
    """A photo of one person.

    Attributes:
        image: Path below the folder of photos, with `/`.
        person: Name of the person, with letters composed (NFC); None if unknown.
        part: Name of its list, such as "train"; None if a split decides.
        tags: Names of the subsets that it belongs to.
    """

    image: str
    person: str | None
    part: str | None = None
    tags: tuple[str, ...] = ()


def photos_in(folder: Path) -> list[Photo]:
    """The photos of a folder with a folder for each person, which may have folders itself.

    A photo that lies in none of them, or in one whose name is blank, is of an unknown person; a
    warning counts these.

    Raises:
        DataError: There is no such folder, or no photo in it.
    """
    photos = []
    for path in list_images(folder):
        place = path.relative_to(folder)
        photos.append(Photo(place.as_posix(), _person(place)))
    if not photos:
        raise DataError(f"{folder}: has no photos: expected a folder of them for each person")
    loose = [photo.image for photo in photos if photo.person is None]
    if loose:
        _log.warning(
            "%s: %d photos lie in no person's folder and count as of unknown people: %s",
            folder,
            len(loose),
            named(loose),
        )
    return photos


def _person(place: Path) -> str | None:
    """Whose folder a photo lies in; spaces at the name's ends are cut off, as by `enroll`."""
    if len(place.parts) == 1:
        return None
    return unicodedata.normalize("NFC", place.parts[0]).strip() or None


def photos_of_table(
    file: Path, folder: Path, *, tags: Sequence[str], records: RecordSet
) -> list[Photo]:
    """The photos that a CSV names, each once.

    A photo that is there with two people is left out, as is one that is not in the folder.

    Args:
        file: A CSV with a column image, file or path; perhaps person or identity, in which an
            empty cell is an unknown person; and perhaps split.
        folder: What its names are relative to.
        tags: Columns of which each cell that is not empty becomes a tag "column=cell".
        records: Account of what is left out, which this adds to.

    Raises:
        DataError: The file is none of these, or more than half of its photos are left out.
    """
    table = read_table(file)
    image, person = table.column(*_IMAGE_COLUMNS), table.column(*_PERSON_COLUMNS)
    columns = [tag.casefold() for tag in tags]
    absent = next((tag for tag in columns if tag not in table.names), None)
    if image is None or absent is not None:
        expected = f"one of {', '.join(_IMAGE_COLUMNS)}" if image is None else f"{absent} of --tags"
        raise DataError(f"{file}: columns {named(table.names) or 'none'}: expected {expected}")
    if person is None:
        _log.warning("%s: no column %s: all people are unknown", file, " or ".join(_PERSON_COLUMNS))
    has_parts = _SPLIT in table.names
    tally, known = records.tally(file, "photos", "line {}"), dict[Hashable, _Row]()
    for line, row in table.rows:
        name, part = row[image].strip(), row.get(_SPLIT, "").strip()
        if not name:
            raise DataError(f"{file}:{line}: {image} is empty; expected the name of a photo")
        if has_parts and not _PART.fullmatch(part):  # it becomes a file's name
            raise DataError(
                f"{file}:{line}: split {part[:80]!r}: expected letters, digits, _ and -"
            )
        found = None if leads_out(name) else records.find(folder, name)
        if found is None:
            why = "name that leads out of" if leads_out(name) else "photo that is not in"
            tally.lose(f"{why} {folder}", f"{line} ({named([name])})")
            continue
        key, path = found
        who = None if person is None else unicodedata.normalize("NFC", row[person].strip()) or None
        photo = Photo(
            path.relative_to(folder).as_posix(),
            who,
            part or None,
            tuple(f"{tag}={cell}" for tag in columns if (cell := row[tag].strip())),
        )
        _add(known, key, _Row(photo, line), tally)
    tally.check()
    photos = [row.photo for row in known.values() if not row.is_doubtful]
    if not photos:
        raise DataError(f"{file}: no rows; expected one for each photo")
    return photos


@dataclass
class _Row:
    """A photo and the line that names it; doubtful if another line gives it another person."""

    photo: Photo
    line: int
    is_doubtful: bool = False


def _add(known: dict[Hashable, _Row], key: Hashable, row: _Row, tally: Tally) -> None:
    first = known.setdefault(key, row)
    if first is row:
        tally.kept += 1
    elif not first.is_doubtful and first.photo.person == row.photo.person:
        tally.kept += 1
        tally.mend("photo listed twice with the same person", row.line)
    else:
        reason = "photo under two names of people"
        tally.lose(reason, f"{row.line} ({named([row.photo.image])})")
        if not first.is_doubtful:
            first.is_doubtful = True
            tally.kept -= 1
            tally.lose(reason, first.line)


@dataclass(frozen=True)
class Split:
    """How people are put into lists where a table does not say it.

    Attributes:
        val_fraction: Share of the people for "val", 0 to 1.
        test_fraction: Share of the people for "test".
        seed: Another one gives another split.
    """

    val_fraction: float = 0.0
    test_fraction: float = 0.0
    seed: int = 0

    def __bool__(self) -> bool:
        return self.val_fraction > 0 or self.test_fraction > 0

    def of(self, photos: Sequence[Photo]) -> list[Photo]:
        """The photos with their parts; nobody is in two, and a growing set keeps its split.

        A hash of the person's name decides; of the photo's, where the person is unknown. A warning
        names a list to which nobody falls.
        """
        import hashlib

        def part_of(name: str) -> str:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode(errors="surrogateescape")).digest()
            place = int.from_bytes(digest[:8], "big") / 2**64
            if place < self.test_fraction:
                return "test"
            return "val" if place < self.test_fraction + self.val_fraction else "train"

        found = [replace(photo, part=part_of(photo.person or photo.image)) for photo in photos]
        shares = {"val": self.val_fraction, "test": self.test_fraction}
        shares["train"] = 1 - sum(shares.values())
        warn_of_empty(shares, {photo.part for photo in found})
        return found
