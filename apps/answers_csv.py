"""Write the answers for photos and their faces as a CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..files import atomic_write
from .classify import PhotoAnswer

COLUMNS = (
    *("image", "answer", "faces", "face", "x1", "y1", "x2", "y2", "face_score", "label", "score"),
)


@contextmanager
def answers_csv(path: Path) -> Iterator[Callable[[PhotoAnswer], None]]:
    """Write a CSV with a row for each face, and one for each photo without a face.

    The file appears when the block ends without an exception.

    Yields:
        A function that writes the rows of the next photo's answer.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_write(path, "w") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        yield lambda one: writer.writerows(_csv_rows(one))


def _csv_rows(one: PhotoAnswer) -> Iterator[list[object]]:
    head = [str(one.path), one.answer, len(one.labels)]
    if not one.labels:
        yield [*head, *[""] * (len(COLUMNS) - len(head))]
    for index, label in enumerate(one.labels):
        box = [f"{value:.1f}" for value in one.faces.boxes[index]]
        face_score, score = one.faces.scores[index], label.score
        yield [*head, index, *box, f"{face_score:.4f}", label.label, f"{score:.4f}"]
