"""Lists of labelled faces with landmarks, as CSV written by `pocketface data glasses`."""

from __future__ import annotations

import csv
import io
import logging
import shlex
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..results import LANDMARK_NAMES
from .class_names import FLAG, OWN_NAMES, ClassNames
from .landmark_geometry import (
    CROSSED,
    LEFT_RIGHT,
    NOSE_ABOVE_EYES,
    ONE_POINT,
    are_crossed,
    are_in_another_order,
    are_one_point,
)
from .pairs import paired
from .photo_paths import leads_out
from .record_set import RecordSet, Tally, named
from .table import Table, read_table

_log = logging.getLogger(__name__)

POINTS = tuple(f"{axis}_{name}" for name in LANDMARK_NAMES for axis in "xy")
COLUMNS = ("image", "label", *POINTS)
"""`image` is relative to the root; landmarks are in pixels, empty if no face was found."""

_MAX_SIDE = 1_000_000
"""Coordinates from here on, in pixels, are mistakes in the file."""


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """A photo with one labelled face.

    Attributes:
        path: The image file, which existed when the list was read.
        image_id: Position in the list.
        label: Index into the classes.
        landmarks: float32 (5, 2): x, y in pixels; NaN if no face was found.
    """

    path: Path
    image_id: int
    label: int
    landmarks: NDArray[np.float32]

    @property
    def found(self) -> bool:
        """Whether a face was found."""
        return bool(np.isfinite(self.landmarks).all())


def read_labelled_faces(
    files: Sequence[Path],
    roots: Sequence[Path],
    *,
    classes: Sequence[str] | None,
    names: ClassNames = OWN_NAMES,
) -> tuple[LabelledFace, ...]:
    """Read lists of labelled faces.

    A face that is listed twice with one label counts once; with two labels it is left out, as is
    a photo whose name leads out of its root, and a face whose landmarks are one point. The person's
    left and right are exchanged for the picture's. Warnings count all.

    Args:
        files: CSV files with `COLUMNS`.
        roots: Folders of the photos, one for each file or one for all.
        classes: The labels in the template's order; None takes any label, with index 0.
        names: What the files call these labels.

    Raises:
        DataError: A file or root cannot be read, a column or photo is missing, a row does not
            fit, a file's landmarks are shares of the photos or in another order, more than half of
            its rows are left out, or nothing is left.
        UserError: `names` has a label that is none of `classes`.
    """
    meant = None if classes is None else names.by_theirs(classes)
    records, faces, labels = RecordSet(), dict[Hashable, _Listed](), set[str]()
    for file, root in paired(files, roots):
        if not root.is_dir():
            raise DataError(f"{root}: no such folder of photos")
        tally = records.tally(file, "faces", "line {}")
        missing: list[str] = []
        before, here = len(faces), list[tuple[Hashable, _Listed]]()
        table = _table(file)
        for line, row in table.rows:
            where, name, text = f"{file}:{line}", row["image"], row["label"].strip()
            if not name:
                raise DataError(f"{where}: image is empty; expected the name of a photo")
            if leads_out(name):
                tally.lose("photo whose name leads out of the data root", line)
                continue
            labels.add(text)
            found = records.find(root, name)
            if found is None:
                missing.append(name)
                continue
            label = 0 if meant is None else _label(text, meant, where=where)
            landmarks = _landmarks(row, comma=table.comma, where=where)
            face = LabelledFace(found[1], 0, label, landmarks)
            here.append((found[0], _Listed(face, text, tally, line)))
        for photo, one in _mended(here, tally):
            # Where any label is taken, lists may be of several things, as of glasses and of masks.
            text = one.text if meant is None else ""
            _add(faces, (photo, one.face.landmarks.tobytes(), text), one)
        tally.check()
        if missing:
            text = f"{file}: {len(missing)} photos are not in {root}: {named(missing)}"
            if len(faces) == before:
                raise DataError(text)
            _log.warning("%s", text)
    records.report()
    for pair in names.unknown(labels) if meant is not None else ():
        _log.warning("%s %s: no such label in %s", FLAG, pair, ", ".join(map(str, files)))
    sure = [one.face for one in faces.values() if not one.is_doubtful]
    if not sure:
        raise DataError(f"{', '.join(map(str, files))}: no labelled face")
    return tuple(replace(face, image_id=place) for place, face in enumerate(sure))


@dataclass
class _Listed:
    """A face and the row that lists it; doubtful if another row gives it another label."""

    face: LabelledFace
    text: str
    tally: Tally
    line: int
    is_doubtful: bool = False


def _mended(
    rows: Sequence[tuple[Hashable, _Listed]], tally: Tally
) -> list[tuple[Hashable, _Listed]]:
    """Mend what all landmarks of a file together tell, and leave out those that are one point.

    Args:
        rows: The photo of each row, and its face, which this may change.
        tally: Account of the rows, which this updates.

    Raises:
        DataError: The landmarks are shares of the photos, or their columns are in another order.
    """
    found = [one for _, one in rows if one.face.found]
    points = np.array([one.face.landmarks for one in found]).reshape(-1, 5, 2)
    if len(points) and 0 <= points.max() <= 1:
        raise DataError(
            f"{tally.file}: landmarks are all from 0 to 1: expected pixels of the photos"
        )
    if are_in_another_order(points):
        raise DataError(f"{tally.file}: {NOSE_ABOVE_EYES}: expected {', '.join(POINTS)}")
    alike = {found[place].line for place in np.flatnonzero(are_one_point(points))}
    for line in sorted(alike):
        tally.lose(ONE_POINT, line)
    if are_crossed(points):
        for one in found:
            one.face = replace(one.face, landmarks=one.face.landmarks[list(LEFT_RIGHT)])
            if one.line not in alike:
                tally.mend(CROSSED, one.line)
    return [(photo, one) for photo, one in rows if one.line not in alike]


def _add(faces: dict[Hashable, _Listed], key: Hashable, one: _Listed) -> None:
    """Add a face by its photo and landmarks, unless it is there already."""
    known = faces.setdefault(key, one)
    if known is one:
        one.tally.kept += 1
    elif not known.is_doubtful and known.face.label == one.face.label:
        one.tally.kept += 1
        one.tally.mend("face listed twice with the same label", one.line)
    else:
        reason = "face with different labels"
        where = f"{named([known.face.path.name])}, {known.text} in line {known.line}"
        one.tally.lose(reason, f"{one.line} ({where} of {known.tally.file.name})")
        if not known.is_doubtful:
            known.is_doubtful = True
            known.tally.kept -= 1
            known.tally.lose(reason, known.line)


def labels_in(file: Path) -> list[str]:
    """The label of each row of a list, unchecked.

    Raises:
        DataError: The file cannot be read, or is not a list of labelled faces.
    """
    return [row["label"].strip() for _, row in _table(file).rows]


def labelled_faces_text(rows: Sequence[tuple[str, str, NDArray[np.float32] | None]]) -> str:
    """The text of a list of labelled faces, a CSV.

    Args:
        rows: For each photo the path relative to the root, the label, and landmarks (5, 2) or None.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for image, label, landmarks in rows:
        points = [""] * len(POINTS)
        if landmarks is not None:
            points = [f"{value:.2f}" for value in landmarks.reshape(-1)]
        writer.writerow([image, label, *points])
    return text.getvalue()


def _table(file: Path) -> Table:
    table = read_table(file)
    absent = [name for name in COLUMNS if name not in table.names]
    if absent:
        raise DataError(
            f"{file}: column {absent[0]!r} is missing; expected {', '.join(COLUMNS)}",
            hint="`pocketface data glasses` makes such a list of labelled photos",
        )
    return table


def _label(text: str, meant: Mapping[str, int], *, where: str) -> int:
    if text not in meant:
        near = {name.casefold(): name for name in meant}.get(text.casefold(), "OURS")
        raise DataError(
            f"{where}: label {named([text])!r}: expected one of {', '.join(meant)}",
            hint=f"did you mean {FLAG} {shlex.quote(f'{near}={named([text])}')}?" if text else None,
        )
    return meant[text]


def _landmarks(row: dict[str, str], *, comma: bool, where: str) -> NDArray[np.float32]:
    values = [row[name].replace(",", ".") if comma else row[name] for name in POINTS]
    if not any(values):
        return np.full((5, 2), np.nan, np.float32)
    try:
        points = [float(value) for value in values]
    except ValueError:
        points = []
    if not points or not all(-_MAX_SIDE < number < _MAX_SIDE for number in points):  # or NaN
        raise DataError(f"{where}: landmarks: expected ten numbers or none")
    return np.array(points, np.float32).reshape(5, 2)
