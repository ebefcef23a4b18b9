"""Is the person of one photo in others?"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..data.images import read_image
from ..embedding import Embedding
from ..errors import DataError, UserError
from .outputs import write_photo
from .photo_files import find_photos
from .recognize_faces import PhotoFaces, Recognizer, refuse_videos
from .recognize_outputs import (
    cells,
    check_table,
    draw_verdicts,
    drawn_places,
    table,
    verdict_cells,
)
from .recognize_rate import MAX_FMR, check_fmr
from .recognize_verdict import MANY, Answer, Judge, Verdict, advised_fmr, taken

_log = logging.getLogger(__name__)

NO_FACE: Final = "no_face"

COLUMNS = (
    *("image", "answer", "faces", "face", "x1", "y1", "x2", "y2", "face_score"),
    *("face_answer", "similarity", "probability"),
)


@dataclass(frozen=True, eq=False)
class Reference:
    """The face that others are compared with.

    Attributes:
        path: Its photo.
        number: Its number among the photo's faces, from left to right.
        faces: How many faces the photo has.
        embedding: Of the face.
        crop: The aligned face, uint8 (H, W, 3), BGR.
    """

    path: Path
    number: int
    faces: int
    embedding: Embedding
    crop: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Compared:
    """What is said of one photo.

    Attributes:
        seen: The photo and its faces.
        verdicts: Of each face.
    """

    seen: PhotoFaces
    verdicts: tuple[Verdict, ...]

    @property
    def best(self) -> int | None:
        """Index of the face that counts, see `Verdict.rank`; None without a face."""
        ranks = [verdict.rank for verdict in self.verdicts]
        return ranks.index(max(ranks)) if ranks else None

    @property
    def answer(self) -> Answer | Literal["no_face"]:
        """That of its best face."""
        return NO_FACE if self.best is None else self.verdicts[self.best].answer


@dataclass
class CompareSummary:
    """Counts of a run: photos of each answer, and those that could not be read."""

    yes: int = 0
    unsure: int = 0
    no: int = 0
    no_face: int = 0
    unreadable: int = 0


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """One photo of a person, and others.

    Attributes:
        reference: The photo of the person.
        sources: Photos, and folders of photos.
        open: Opens the models, after the request was checked.
        face: Number of the person's face in the reference, from 1 from left to right; None for the
            largest.
        max_fmr: Largest share of pairs of two people that may be called one person's.
        csv: A table to write; `STDOUT` to print it.
        output: Folder of drawn photos; None for none.
        force: Whether an older table and older drawn photos are replaced.
        inputs: Other files that are read, as the models', and never replaced.
        on_reference: Called with the face that others are compared with.
        on_seen: Called after each photo.
        on_line: Called with each line of a table that goes to `STDOUT`.
        on_progress: Called with the number of photos done and the total.
    """

    reference: Path
    sources: Sequence[Path]
    open: Callable[[], Recognizer]
    face: int | None = None
    max_fmr: float = MAX_FMR
    csv: Path | None = None
    output: Path | None = None
    force: bool = False
    inputs: Sequence[Path] = ()
    on_reference: Callable[[Reference], None] | None = None
    on_seen: Callable[[Compared], None] | None = None
    on_line: Callable[[str], None] | None = None
    on_progress: Callable[[int, int], None] | None = None


def compare(request: CompareRequest) -> CompareSummary:
    """Compare the faces of photos with one person's.

    The answer for a photo is that of its most similar face, or of one that is surely the person's
    where that one is too small to tell. A photo that cannot be read is left out, with a warning.

    Raises:
        UserError: A source, the output or a model cannot be used, or the model's thresholds were
            never measured.
        DataError: The reference has no face, or none of the photos can be read.
    """
    check_fmr(request.max_fmr)
    refuse_videos([request.reference, *request.sources])
    photos = dict(find_photos(request.sources))
    inputs = [request.reference, *request.inputs]
    check_table(request.csv, inputs=[*inputs, *photos], force=request.force)
    places = drawn_places(
        photos, request.output, given=request.sources, inputs=inputs, force=request.force
    )
    image = read_image(request.reference)
    recognizer = request.open()
    judge = Judge(recognizer.model, request.max_fmr)
    reference = reference_of(recognizer, recognizer.see(request.reference, image), request.face)
    if request.on_reference is not None:
        request.on_reference(reference)
    summary = CompareSummary()

    def on_unreadable(_: Path) -> None:
        summary.unreadable += 1

    with table(request.csv, COLUMNS, request.on_line) as write:
        for seen in recognizer.photos(
            list(photos), on_unreadable=on_unreadable, on_progress=request.on_progress
        ):
            one = compared(seen, reference.embedding, judge)
            setattr(summary, one.answer, getattr(summary, one.answer) + 1)
            _warn_of_doubles(one)
            _warn_of_many(one, judge)
            for row in _rows(one):
                write(row)
            if seen.path in places:
                drawn = draw_verdicts(seen, one.verdicts, reference=reference.crop)
                write_photo(places[seen.path], drawn)
            if request.on_seen is not None:
                request.on_seen(one)
        if summary.unreadable == len(photos):
            raise DataError(f"none of the {len(photos)} photos could be read")
    return summary


def compared(seen: PhotoFaces, person: Embedding, judge: Judge) -> Compared:
    """Compare each face of a photo with a person's.

    Args:
        seen: The photo.
        person: Embedding of the person's face.
        judge: Says what a cosine means.
    """
    faces = zip(seen.embeddings, seen.small, strict=True)
    return Compared(seen, tuple(judge(one.similarity(person), small=small) for one, small in faces))


def reference_of(recognizer: Recognizer, seen: PhotoFaces, number: int | None) -> Reference:
    """The face of a photo that others are compared with.

    Args:
        recognizer: Saw the photo.
        seen: The photo.
        number: Number of the face; None for the largest, with a warning if there are several.

    Raises:
        DataError: There is no face, or it is too small.
        UserError: There is no face of this number.
    """
    count = len(seen.faces)
    if not count:
        raise DataError(
            f"{seen.path}: no face in the photo to compare with",
            hint="take one in which the whole face is to be seen, upright and not too small",
        )
    if number is not None and number > count:
        faces = "1 face" if count == 1 else f"{count} faces"
        raise UserError(
            f"--face {number}: {seen.path} has {faces}: expected a number from 1, the leftmost, "
            f"to {count}"
        )
    chosen = seen.largest if number is None else seen.numbers.index(number)
    if number is None and count > 1:
        _log.warning(
            "%s: %d faces: the largest is taken, number %d from the left; --face N takes another",
            seen.path,
            count,
            seen.numbers[chosen],
        )
    if seen.small[chosen]:
        raise DataError(f"{seen.path}: the face is too small to be compared with others")
    assert seen.faces.landmarks is not None
    (crop,) = recognizer.model.cut(seen.image, seen.faces.landmarks[chosen][None])
    return Reference(seen.path, seen.numbers[chosen], count, seen.embeddings[chosen], crop)


def _warn_of_doubles(one: Compared) -> None:
    sure = sum(verdict.answer == "yes" for verdict in one.verdicts)
    if sure > 1:
        _log.warning(
            "%s: %d faces are taken for the same person: a mirror or a collage, or one is wrong",
            one.seen.path,
            sure,
        )


def _warn_of_many(one: Compared, judge: Judge) -> None:
    """Each face of a photo may be mistaken, so that of many one often is."""
    faces = sum(not verdict.small for verdict in one.verdicts)
    share = taken(judge.max_fmr, faces)
    if one.answer == "yes" and share > MANY:
        better, _ = advised_fmr(judge.model, MANY / faces)
        advice = "no smaller rate was measured"
        if better < judge.max_fmr:
            advice = f"--max-fmr {better:g} makes that {100 * taken(better, faces):.0f} %"
        _log.warning(
            "%s: %d faces at --max-fmr %g: in up to %.0f %% of such photos of strangers one is "
            "taken for the person; %s",
            one.seen.path,
            faces,
            judge.max_fmr,
            100 * share,
            advice,
        )


def _rows(one: Compared) -> list[list[object]]:
    head: list[object] = [str(one.seen.path), one.answer, len(one.verdicts)]
    if not one.verdicts:
        return [[*head, *[""] * (len(COLUMNS) - len(head))]]
    return [
        [*head, *cells(one.seen, index), verdict.answer, *verdict_cells(verdict)]
        for index, verdict in enumerate(one.verdicts)
    ]
