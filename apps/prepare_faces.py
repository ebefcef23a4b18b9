"""Turn labelled photos into lists of labelled faces, with landmarks from a detector."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.glasses import read_glasses, split_people
from ..data.images import read_image
from ..data.labelled_faces import labelled_faces_text
from ..data.photo_paths import find_photo
from ..data.record_set import named
from ..errors import DataError, ImageError, UserError
from ..files import name_in_utf8
from ..places import check_place, write_lists
from ..results import Detections
from ..tasks.detection.model import FaceDetector
from ..tasks.load import load_as
from .faces import check_landmarks

_log = logging.getLogger(__name__)

LABELLED_FACE_SCORE = 0.4
"""Lowest detector score of a face. The detector's own threshold may be higher, but a labelled photo
is known to show a face."""


@dataclass(frozen=True)
class PreparedList:
    """A written list; its numbers of photos, of those without a face, and of unreadable ones."""

    path: Path
    photos: int
    no_face: int
    unreadable: int


def prepare_faces(
    source: Path,
    output: Path,
    *,
    detector: Path,
    test_fraction: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[PreparedList]:
    """Find the face in each labelled photo, and write a list for each part of the data.

    Args:
        source: See `read_glasses`.
        output: Folder for the `<part>.csv` files; made if missing.
        detector: Model file of a detector with landmarks.
        test_fraction: Share of the people for the test part, 0 to 1; see `split_people`.
        on_progress: Called with the number of photos done and the total.

    Raises:
        DataError: The source cannot be read as labels, or has no photo that is there.
        ModelFileError: The detector cannot be used.
        UserError: The source does not say who is in the photos, which `test_fraction` asks for; or
            the output cannot be written, or has a list of another content, which may have
            been corrected by hand.
    """
    check_place(output, "--output", folder=True)
    root, rows = read_glasses(source)
    if test_fraction is not None:
        rows = split_people(rows, test_fraction=test_fraction, source=source)
    absent = [row.image for row in rows if find_photo(root, row.image) is None]
    if absent:
        problem = (
            f"{source}: {len(absent)} of {len(rows)} photos are not in {root}: {named(absent)}"
        )
        if len(absent) == len(rows):
            raise DataError(problem)
        _log.warning("%s", problem)
        gone = set(absent)
        rows = [row for row in rows if row.image not in gone]
    for part in dict.fromkeys(row.part for row in rows):
        if _list_of(output, part).resolve() == source.resolve():
            raise UserError(f"--output {output}: {part}.csv would take the place of {source}")
    find_landmarks = face_finder(detector)
    lists: dict[str, list[tuple[str, str, NDArray[np.float32] | None]]] = {}
    unreadable: Counter[str] = Counter()
    for count, row in enumerate(rows, start=1):
        try:
            if name_in_utf8(row.image) != row.image:
                raise ImageError(f"{root / row.image}: its name is no UTF-8, which lists are")
            image = read_image(root / row.image)
        except ImageError as error:
            _log.warning("left out: %s", error)
            unreadable[row.part] += 1
        else:
            lists.setdefault(row.part, []).append((row.image, row.label, find_landmarks(image)))
        if on_progress is not None:
            on_progress(count, len(rows))
    if not lists:
        raise DataError(f"{source}: none of the {len(rows)} photos can be read")
    write_lists({_list_of(output, part): labelled_faces_text(some) for part, some in lists.items()})
    return [
        PreparedList(
            _list_of(output, part),
            photos=len(some),
            no_face=sum(landmarks is None for _, _, landmarks in some),
            unreadable=unreadable[part],
        )
        for part, some in lists.items()
    ]


def face_finder(detector: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32] | None]:
    """A function that gives the landmarks (5, 2) of the main face in a photo, if it has one.

    Args:
        detector: Model file of a detector with landmarks.

    Raises:
        ModelFileError: The detector cannot be used.
    """
    model = load_as(FaceDetector, detector)
    check_landmarks(model)
    score = model.rules.score_threshold
    if model.rules.nms != "graph":  # NMS in the graph drops fainter faces
        score = min(score, LABELLED_FACE_SCORE)

    def find(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return main_face(model.predict(image, score_threshold=score), image.shape)

    return find


def main_face(found: Detections, shape: Sequence[int]) -> NDArray[np.float32] | None:
    """The landmarks (5, 2) of the main face in a photo of one person: large and central.

    Args:
        found: Faces with landmarks.
        shape: The photo's shape, which begins with height and width.
    """
    if not len(found):
        return None
    assert found.landmarks is not None
    height, width = shape[:2]
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    off = np.linalg.norm(centres / (width, height) - 0.5, axis=1)
    sides = np.sqrt((found.boxes[:, 2:] - found.boxes[:, :2]).prod(1))
    return np.asarray(found.landmarks[int(np.argmax(sides * (1 - off)))])


def _list_of(output: Path, part: str) -> Path:
    return output / f"{part}.csv"
