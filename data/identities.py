"""Read lists of photos of people, as `pocketface data identities` writes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, ValidationError

from ..errors import DataError
from ..model_templates.spec import Spec
from .landmark_geometry import ONE_POINT, are_one_point
from .pairs import paired
from .photo_paths import leads_out
from .record_set import RecordSet, Tally, named
from .table import read_text

SUFFIX = ".identities.json"
"""What the names of such lists end in."""

Text = Annotated[str, StringConstraints(pattern=r"\S")]
Index = Annotated[int, Field(ge=0)]
Fold = Annotated[int, Field(ge=1, le=1_000_000)]

_FAR = 1e6
Position = Annotated[float, Field(ge=-_FAR, le=_FAR)]
"""In pixels of a photo; as a float32 it is still exact to a tenth."""


class PhotoSpec(Spec):
    """One entry of a list.

    Attributes:
        image: The photo, relative to the data root.
        person: Name of the person, any text; None if unknown.
        landmarks: x, y of five points in pixels of the photo, in the order of
            `results.LANDMARK_NAMES`; None if no face was found.
        tags: Names of the subsets that it belongs to.
    """

    image: Text
    person: Text | None = None
    landmarks: (
        Annotated[tuple[tuple[Position, Position], ...], Field(min_length=5, max_length=5)] | None
    ) = None
    tags: tuple[Text, ...] = ()


class ListSpec(Spec):
    """A whole list.

    Attributes:
        photos: The photos.
        pairs: Places of two of the photos, from 0, and the fold, from 1, of an official protocol.
    """

    photos: Annotated[list[PhotoSpec], Field(min_length=1)]
    pairs: tuple[tuple[Index, Index, Fold], ...] = ()


@dataclass(frozen=True, eq=False)
class IdentityPhoto:
    """A photo of one person.

    Attributes:
        path: The photo, which existed when the list was read.
        image_id: Position in `Identities.photos`.
        person: Name of the person, with letters composed (NFC); None if unknown.
        landmarks: float32 (5, 2), x, y in pixels of the photo, in the order of
            `results.LANDMARK_NAMES`; None if no face was found.
        tags: Names of the subsets that it belongs to.
    """

    path: Path
    image_id: int
    person: str | None
    landmarks: NDArray[np.float32] | None
    tags: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether a face was found."""
        return self.landmarks is not None


@dataclass(frozen=True, eq=False)
class Identities:
    """Photos of people, and the pairs of an official protocol.

    Attributes:
        photos: The photos, each once.
        pairs: int64 (P, 3): positions of two photos in `photos`, and the fold from 1; (0, 3)
            where the lists have no pairs.
    """

    photos: tuple[IdentityPhoto, ...]
    pairs: NDArray[np.int64]


def read_list(file: Path) -> ListSpec:
    """Read one list, without its photos.

    Raises:
        DataError: The file cannot be read, is not JSON, or is not such a list.
    """
    try:
        content = ListSpec.model_validate_json(read_text(file))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"]
        if first["type"] == "string_pattern_mismatch":
            what = f"found {first['input']!r}: expected a text that is not empty"
        raise DataError(
            f"{file}: not a list of people's photos: {f'{where}: ' if where else ''}{what}",
            hint="`pocketface data identities` makes such lists",
        ) from error
    count = len(content.photos)
    for place, (one, other, _) in enumerate(content.pairs):
        if max(one, other) >= count:
            raise DataError(
                f"{file}: pairs[{place}]: photo {max(one, other)}: expected 0 to {count - 1}, "
                f"as there are {count} photos"
            )
    return content


def read_identities(files: Sequence[Path], roots: Sequence[Path]) -> Identities:
    """Read lists of people's photos; the photos themselves are not opened.

    The same name is the same person in all lists. A photo that is listed twice counts once; under
    two names it is left out, as is one whose name leads out of its root, one that is not there,
    and one whose landmarks are one point. So is a pair that such a photo is in, whose photos are
    one, or of whose persons one is unknown. Warnings count all.

    Args:
        files: Lists, `SUFFIX`.
        roots: Folders of the photos, one for each file or one for all.

    Raises:
        DataError: A file or root cannot be read, a list does not fit, more than half of its photos
            or of its pairs are left out, or nothing is left.
    """
    records, known = RecordSet(), dict[Hashable, _Listed]()
    lists: list[tuple[Path, ListSpec, list[Hashable]]] = []
    tallies: list[Tally] = []
    for file, root in paired(files, roots):
        if not root.is_dir():
            raise DataError(f"{root}: no such folder of photos")
        content = read_list(file)
        tally = records.tally(file, "photos", "photos[{}]")
        tallies.append(tally)
        keys: list[Hashable] = []
        missing: list[str] = []
        for place, entry in enumerate(content.photos):
            key = None
            found = None if leads_out(entry.image) else records.find(root, entry.image)
            points = None if entry.landmarks is None else np.array(entry.landmarks, np.float32)
            if leads_out(entry.image):
                tally.lose("name that leads out of the data root", place)
            elif found is None:
                missing.append(entry.image)
                tally.lose("photo that is not there", place)
            elif points is not None and are_one_point(points[None])[0]:
                tally.lose(ONE_POINT, place)
            else:
                key, path = found
                person = (
                    None if entry.person is None else unicodedata.normalize("NFC", entry.person)
                )
                photo = IdentityPhoto(path, 0, person, points, entry.tags)
                _add(known, key, _Listed(photo, tally, place))
            keys.append(key)
        if len(missing) == len(content.photos):
            raise DataError(f"{file}: {len(missing)} photos are not in {root}: {named(missing)}")
        lists.append((file, content, keys))
    for tally in tallies:
        tally.check()
    sure = {key: one.photo for key, one in known.items() if not one.is_doubtful}
    if not sure:
        raise DataError(f"{', '.join(map(str, files))}: no photo of a person")
    places = {key: place for place, key in enumerate(sure)}
    photos = tuple(replace(photo, image_id=place) for place, photo in enumerate(sure.values()))
    pairs = [
        pair
        for file, content, keys in lists
        for pair in _pairs(records.tally(file, "pairs", "pairs[{}]"), content, keys, places, photos)
    ]
    records.report()
    return Identities(photos, np.array(pairs, np.int64).reshape(-1, 3))


@dataclass
class _Listed:
    """A photo and the entry that lists it; doubtful if another entry gives it another person."""

    photo: IdentityPhoto
    tally: Tally
    place: int
    is_doubtful: bool = False


def _add(known: dict[Hashable, _Listed], key: Hashable, one: _Listed) -> None:
    """Add a photo, unless it is there already."""
    first = known.setdefault(key, one)
    person, other = first.photo.person, one.photo.person
    if first is one:
        one.tally.kept += 1
    elif not first.is_doubtful and (person == other or person is None or other is None):
        first.photo = replace(first.photo, person=person if other is None else other)
        one.tally.kept += 1
        one.tally.mend("photo listed again", one.place)
    else:
        reason = "photo under two names of people"
        one.tally.lose(reason, f"{one.place} ({named([first.photo.path.name])})")
        if not first.is_doubtful:
            first.is_doubtful = True
            first.tally.kept -= 1
            first.tally.lose(reason, first.place)


def _pairs(
    tally: Tally,
    content: ListSpec,
    keys: Sequence[Hashable],
    places: dict[Hashable, int],
    photos: Sequence[IdentityPhoto],
) -> list[tuple[int, int, int]]:
    """The pairs of one list, as positions in all photos.

    Raises:
        DataError: More than half of them cannot be used.
    """
    kept = []
    for number, (one, other, fold) in enumerate(content.pairs):
        first, second = places.get(keys[one]), places.get(keys[other])
        if first is None or second is None:
            tally.lose("pair of a photo that is left out", number)
        elif first == second:
            tally.lose("pair of one photo", number)
        elif photos[first].person is None or photos[second].person is None:
            tally.lose("pair of a photo whose person is unknown", number)
        else:
            kept.append((first, second, fold))
    tally.kept = len(kept)
    tally.check()
    return kept
