"""Lists of labelled faces with landmarks, as CSV written by `pocketface data glasses`."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files import atomic_write
from ..results import LANDMARK_NAMES
from .pairs import paired
from .table import read_table

_log = logging.getLogger(__name__)

POINTS = tuple(f"{axis}_{name}" for name in LANDMARK_NAMES for axis in "xy")
COLUMNS = ("image", "label", *POINTS)
"""`image` is relative to the root; landmarks are in pixels, empty if no face was found."""

_MAX_NAMED = 5


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
    files: Sequence[Path], roots: Sequence[Path], *, classes: Sequence[str] | None
) -> tuple[LabelledFace, ...]:
    """Read lists of labelled faces.

    Args:
        files: CSV files with `COLUMNS`.
        roots: Folders of the photos, one for each file or one for all.
        classes: The labels in the template's order; None takes any label, with index 0.

    Raises:
        DataError: A file or root cannot be read, a column or photo is missing, a row does not
            fit, or nothing is left.
    """
    faces: list[LabelledFace] = []
    for file, root in paired(files, roots):
        if not root.is_dir():
            raise DataError(f"{root}: no such folder of photos")
        before = len(faces)
        missing: list[str] = []
        for line, row in _rows(file):
            path = root / row["image"]
            if not path.is_file():
                missing.append(row["image"])
                continue
            label = 0
            if classes is not None:
                label = _label(row["label"], classes, where=f"{file}:{line}")
            landmarks = _landmarks(row, where=f"{file}:{line}")
            faces.append(LabelledFace(path, len(faces), label, landmarks))
        if missing:
            named = ", ".join(missing[:_MAX_NAMED])
            text = f"{file}: {len(missing)} photos are not in {root}: {named}"
            if len(faces) == before:
                raise DataError(text)
            _log.warning("%s", text)
    if not faces:
        raise DataError(f"{', '.join(map(str, files))}: no labelled face")
    return tuple(faces)


def labels_in(file: Path) -> list[str]:
    """The label of each row of a list, unchecked.

    Raises:
        DataError: The file cannot be read, or is not a list of labelled faces.
    """
    return [row["label"] for _, row in _rows(file)]


def write_labelled_faces(
    path: Path, rows: Sequence[tuple[str, str, NDArray[np.float32] | None]]
) -> None:
    """Write a list of labelled faces atomically.

    Args:
        path: The CSV file to write.
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
    with atomic_write(path, "w") as handle:
        handle.write(text.getvalue())


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    names, rows = read_table(file)
    absent = [name for name in COLUMNS if name not in names]
    if absent:
        raise DataError(
            f"{file}: column {absent[0]!r} is missing; expected {', '.join(COLUMNS)}",
            hint="`pocketface data glasses` makes such a list of labelled photos",
        )
    return rows


def _label(text: str, classes: Sequence[str], *, where: str) -> int:
    if text not in classes:
        raise DataError(f"{where}: label {text!r}: expected one of {', '.join(classes)}")
    return list(classes).index(text)


def _landmarks(row: dict[str, str], *, where: str) -> NDArray[np.float32]:
    values = [row[name] for name in POINTS]
    if not any(values):
        return np.full((5, 2), np.nan, np.float32)
    try:
        points = np.array([float(value) for value in values], np.float32).reshape(5, 2)
    except ValueError as error:
        raise DataError(f"{where}: landmarks: expected ten numbers or none") from error
    if not np.isfinite(points).all():
        raise DataError(f"{where}: landmarks: expected ten numbers or none")
    return points
