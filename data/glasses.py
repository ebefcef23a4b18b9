"""Read photos labelled as with or without glasses, in common layouts."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import DataError, UserError
from .images import list_images
from .photo_paths import leads_out, plain_name
from .record_set import RecordSet, named, warn_of_empty
from .table import read_table, read_text

LABELS = ("no_glass", "glass")
_META = "meta.txt"
_EXPECTED = f"expected a folder with folders {' and '.join(LABELS)}, or with {_META}, or a CSV"
_PART = re.compile("[A-Za-z0-9_-]+")
_IMAGE_COLUMNS = ("image", "path", "file", "name")
_LABEL_COLUMNS = ("glasses", "label")


@dataclass(frozen=True)
class LabelledPhoto:
    """A photo with its label.

    Attributes:
        image: Path relative to the folder of photos.
        label: One of `LABELS`.
        part: Name of the list that the photo belongs to, such as "train", "test" or "all".
        person: Id of the person; None if unknown.
    """

    image: str
    label: str
    part: str = "all"
    person: str | None = None


def read_glasses(source: Path) -> tuple[Path, list[LabelledPhoto]]:
    """Read labelled photos.

    Args:
        source: MeGlass (Guo et al. 2018): a folder with `meta.txt`, whose lines have a name that
            begins with the person's id, and 0 or 1; or a folder with one subfolder for each label,
            `glass` and `no_glass`; or a CSV with a column `image` or `path`, a column `glasses` (0
            or 1) or `label`, and an optional column `split`.

    Returns:
        The folder of the photos (for a CSV its folder, or `images` in it), and the photos, each
        once. Their names are those on disk, where a photo is found there.

    Raises:
        DataError: The source is none of these; a row does not fit, which the message names; or
            more than half of the rows name photos outside the folder, or one photo with two labels.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; {_EXPECTED}")
    if not source.is_dir():
        root = source.parent / "images"
        root = root if root.is_dir() else source.parent
        return root, _each_once(source, root, _table(source))
    if (source / _META).is_file():
        return source, _each_once(source / _META, source, _meglass(source / _META))
    return source, _folders(source)


def _each_once(
    file: Path, root: Path, rows: Sequence[tuple[int, LabelledPhoto]]
) -> list[LabelledPhoto]:
    """The photos that lie in the folder, without those that have several labels."""
    records = RecordSet()
    tally = records.tally(file, "photos", "line {}")
    known: dict[Hashable, tuple[int, LabelledPhoto]] = {}
    doubtful: dict[Hashable, int] = {}
    for line, row in rows:
        if leads_out(row.image):
            tally.lose("photo whose name leads out of the folder", line)
            continue
        found = records.find(root, row.image)
        key: Hashable = plain_name(row.image)
        if found is not None:
            key, path = found
            row = replace(row, image=path.relative_to(root).as_posix())
        if key not in known:
            known[key] = line, row
            continue
        before, other = known[key]
        if key in doubtful or other.label != row.label:
            place = f"{line} ({named([row.image])}, {other.label} in line {before})"
            tally.lose("photo with different labels", place)
            doubtful[key] = before
        elif other.part != row.part:
            tally.mend("photo that is in another part too, left out of the later", line)
        else:
            tally.mend("photo listed twice with the same label", line)
    for key, line in doubtful.items():
        tally.lose("photo with different labels", line)
        del known[key]
    tally.kept = len(known) + tally.mended.total()
    tally.check()
    records.report()
    return [row for _, row in known.values()]


def _meglass(meta: Path) -> list[tuple[int, LabelledPhoto]]:
    rows = []
    for number, line in enumerate(read_text(meta).splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 2 or parts[1] not in ("0", "1"):
            raise DataError(f"{meta}:{number}: {line!r}: expected a name and 0 or 1")
        # "10032527@N08_identity_3@2897031600_2.jpg": the photo comes last.
        person = parts[0].rpartition("@")[0] or None
        rows.append((number, LabelledPhoto(parts[0], LABELS[int(parts[1])], person=person)))
    if not rows:
        raise DataError(f"{meta}: empty; expected a name and 0 or 1 in each line")
    return rows


def _folders(folder: Path) -> list[LabelledPhoto]:
    there = [label for label in LABELS if (folder / label).is_dir()]
    if len(there) < len(LABELS):
        raise DataError(f"{folder}: {_EXPECTED}")
    return [
        LabelledPhoto(path.relative_to(folder).as_posix(), label)
        for label in there
        for path in list_images(folder / label)
    ]


def _table(file: Path) -> list[tuple[int, LabelledPhoto]]:
    table = read_table(file)
    image, label = table.column(*_IMAGE_COLUMNS), table.column(*_LABEL_COLUMNS)
    if image is None or label is None:
        raise DataError(
            f"{file}: columns {named(table.names) or 'none'}: expected one of "
            f"{', '.join(_IMAGE_COLUMNS)} and one of {', '.join(_LABEL_COLUMNS)}"
        )
    meaning = {**dict(zip("01", LABELS, strict=True)), **{one: one for one in LABELS}}
    rows = []
    for number, row in table.rows:
        if not row[image]:
            raise DataError(f"{file}:{number}: {image} is empty; expected the name of a photo")
        meant = meaning.get(row[label].strip())
        if meant is None:
            raise DataError(
                f"{file}:{number}: {label} {named([row[label]])!r}: expected one of "
                f"{', '.join(meaning)}"
            )
        part = row.get("split") or "all"
        if not _PART.fullmatch(part):  # the part becomes a file's name
            raise DataError(
                f"{file}:{number}: split {named([part])!r}: expected letters, digits, _ and -"
            )
        rows.append((number, LabelledPhoto(row[image], meant, part)))
    if not rows:
        raise DataError(f"{file}: no rows; expected one for each photo")
    return rows


def split_people(
    rows: Sequence[LabelledPhoto], *, test_fraction: float, source: Path
) -> list[LabelledPhoto]:
    """Put about `test_fraction` of the people into part "test", and all others into "train".

    No person is in both. A hash of the person's id decides, so a growing set keeps its split.
    A warning names a part to which nobody falls.

    Raises:
        UserError: The persons in the photos of `source` are unknown.
    """
    import hashlib

    if any(row.person is None for row in rows):
        raise UserError(
            f"--test-fraction {test_fraction:g}: {source} does not say who is in its photos; "
            "expected names of MeGlass, or a column split in place of the flag"
        )

    def is_test(person: str) -> bool:
        digest = hashlib.sha256(person.encode()).digest()
        return int.from_bytes(digest[:8], "big") < test_fraction * 2**64

    found = [replace(row, part="test" if is_test(row.person or "") else "train") for row in rows]
    shares = {"test": test_fraction, "train": 1 - test_fraction}
    warn_of_empty(shares, {row.part for row in found})
    return found
