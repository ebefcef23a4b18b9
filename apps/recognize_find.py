"""Who is in photos, of the people of a gallery?"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np

from ..errors import DataError
from ..tasks.recognition.model import FaceRecognizer
from .gallery import Gallery
from .outputs import write_photo
from .photo_files import find_photos
from .recognize_faces import PhotoFaces, Recognizer, refuse_videos
from .recognize_outputs import (
    caption,
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

COLUMNS = (
    *("image", "faces", "face", "x1", "y1", "x2", "y2", "face_score"),
    *("answer", "name", "similarity", "probability"),
)

Known = Literal["known", "unsure", "unknown"]
_KNOWN: Final[Mapping[Answer, Known]] = {"yes": "known", "unsure": "unsure", "no": "unknown"}

_TIE = 1e-3
"""Cosines closer than this are equal: photos that are copies differ by less."""


@dataclass(frozen=True)
class FoundFace:
    """Who a face is.

    Attributes:
        nearest: Name of the person whom it is most alike.
        verdict: Whether it is that person.
        rival: Name of another one whom it is as much alike; None if there is none.
    """

    nearest: str
    verdict: Verdict
    rival: str | None = None

    @property
    def answer(self) -> Known:
        """Whether it is a person of the gallery."""
        return _KNOWN[self.verdict.answer]

    @property
    def name(self) -> str | None:
        """Name of the person, or of whom it may be; None if it is unknown, or too small."""
        return None if self.answer == "unknown" or self.verdict.small else self.nearest


@dataclass(frozen=True, eq=False)
class FoundPhoto:
    """Who is in one photo.

    Attributes:
        seen: The photo and its faces.
        people: Who each face is.
    """

    seen: PhotoFaces
    people: tuple[FoundFace, ...]


@dataclass
class FindSummary:
    """Counts of a run: photos read, faces by what is known of them, photos without any.

    Attributes:
        photos: Photos that were read.
        known: Faces of people of the gallery.
        unsure: Faces that may be.
        small: Faces that are too small to tell.
        unknown: All other faces.
        no_face: Photos without a face.
        unreadable: Photos that could not be read.
    """

    photos: int = 0
    known: int = 0
    unsure: int = 0
    small: int = 0
    unknown: int = 0
    no_face: int = 0
    unreadable: int = 0


@dataclass(frozen=True, kw_only=True)
class FindRequest:
    """Photos, and the people who may be in them.

    Attributes:
        gallery: The gallery's file.
        sources: Photos, and folders of photos.
        open: Opens the models, after the request was checked.
        max_fmr: Largest share of pairs of two people that may be called one person's.
        csv: A table to write; `STDOUT` to print it.
        output: Folder of drawn photos; None for none.
        force: Whether an older table and older drawn photos are replaced.
        inputs: Other files that are read, as the models', and never replaced.
        on_seen: Called after each photo.
        on_line: Called with each line of a table that goes to `STDOUT`.
        on_progress: Called with the number of photos done and the total.
    """

    gallery: Path
    sources: Sequence[Path]
    open: Callable[[], Recognizer]
    max_fmr: float = MAX_FMR
    csv: Path | None = None
    output: Path | None = None
    force: bool = False
    inputs: Sequence[Path] = ()
    on_seen: Callable[[FoundPhoto], None] | None = None
    on_line: Callable[[str], None] | None = None
    on_progress: Callable[[int, int], None] | None = None


def find_people(request: FindRequest) -> FindSummary:
    """Look for the people of a gallery in each face of photos.

    A photo that cannot be read is left out, with a warning.

    Raises:
        UserError: A source, the output or a model cannot be used, or the model's thresholds were
            never measured.
        DataError: The gallery cannot be used or is empty, or none of the photos can be read.
    """
    check_fmr(request.max_fmr)
    refuse_videos(request.sources)
    photos = dict(find_photos(request.sources))
    inputs = [request.gallery, *request.inputs]
    check_table(request.csv, inputs=[*inputs, *photos], force=request.force)
    places = drawn_places(
        photos, request.output, given=request.sources, inputs=inputs, force=request.force
    )
    gallery = Gallery.open(request.gallery)
    gallery.check_people()
    recognizer = request.open()
    gallery.check_recognizer(recognizer.model)
    judge = judge_of(gallery, recognizer.model, request.max_fmr)
    warn_of_many(judge)
    summary = FindSummary()

    def on_unreadable(_: Path) -> None:
        summary.unreadable += 1

    with table(request.csv, COLUMNS, request.on_line) as write:
        for seen in recognizer.photos(
            list(photos), on_unreadable=on_unreadable, on_progress=request.on_progress
        ):
            one = FoundPhoto(seen, found_faces(seen, gallery, judge))
            _count(one, summary)
            _warn_of_doubles(one)
            _warn_of_rivals(one)
            for row in _rows(one):
                write(row)
            if seen.path in places:
                captions = [
                    caption(said_of(face), face.verdict if face.name else None)
                    for face in one.people
                ]
                verdicts = [face.verdict for face in one.people]
                drawn = draw_verdicts(seen, verdicts, captions=captions)
                write_photo(places[seen.path], drawn)
            if request.on_seen is not None:
                request.on_seen(one)
        if not summary.photos:
            raise DataError(f"none of the {len(photos)} photos could be read")
    return summary


def judge_of(gallery: Gallery, model: FaceRecognizer, max_fmr: float) -> Judge:
    """The judge of a gallery's people."""
    return Judge(model, max_fmr, people=len(gallery.names), faces=len(gallery))


def found_faces(seen: PhotoFaces, gallery: Gallery, judge: Judge) -> tuple[FoundFace, ...]:
    """Who each face of a photo is.

    Args:
        seen: The photo.
        gallery: Somebody at least.
        judge: Says what a cosine means.
    """
    found = []
    for embedding, small in zip(seen.embeddings, seen.small, strict=True):
        cosines = gallery.similarities(embedding)
        best = int(cosines.argmax())
        others = np.delete(cosines, best)
        verdict = judge(float(cosines[best]), small=small, others=others)
        rival = None
        if len(others) and verdict.answer == "yes" and cosines[best] - others.max() < _TIE:
            rival = [*gallery.names[:best], *gallery.names[best + 1 :]][int(others.argmax())]
        found.append(FoundFace(gallery.names[best], verdict, rival))
    return tuple(found)


def said_of(face: FoundFace) -> str:
    """The name, with a question mark where it is not sure; "unknown", or "?" if it is too small."""
    if face.answer == "unsure":
        return f"{face.name or ''}?"
    return face.name or "unknown"


def _count(one: FoundPhoto, summary: FindSummary) -> None:
    summary.photos += 1
    summary.no_face += not one.people
    answers = Counter(face.answer for face in one.people)
    summary.known += answers["known"]
    small = sum(face.verdict.small for face in one.people)
    summary.small += small
    summary.unsure += answers["unsure"] - small
    summary.unknown += answers["unknown"]


def warn_of_many(judge: Judge) -> None:
    """Warn where a stranger, who is compared with everybody, is often taken for somebody.

    Args:
        judge: Of the people of a gallery.
    """
    faces, max_fmr = judge.faces, judge.max_fmr
    share = taken(max_fmr, faces)
    if share <= MANY:
        return
    better, is_enough = advised_fmr(judge.model, MANY / faces)
    advice = f"--max-fmr {better:g} makes that {100 * MANY:.0f} %"
    if not is_enough:
        advice = "that is the smallest rate that was measured: a smaller gallery helps"
        if better < max_fmr:
            advice = (
                f"--max-fmr {better:g}, the smallest that was measured, makes that "
                f"{100 * taken(better, faces):.0f} %"
            )
        advice += ", or `recognize calibrate` on photos of more people"
    _log.warning(
        "%d faces of %d people at --max-fmr %g: up to %.0f %% of strangers will be taken for one "
        "of them; %s",
        faces,
        judge.people,
        max_fmr,
        100 * share,
        advice,
    )


def _warn_of_rivals(one: FoundPhoto) -> None:
    for face in one.people:
        if face.rival is not None:
            _log.warning(
                "%s: a face is as much like %s as like %s: is a photo enrolled under both names?",
                one.seen.path,
                face.rival,
                face.nearest,
            )


def _warn_of_doubles(one: FoundPhoto) -> None:
    for name, count in Counter(
        face.nearest for face in one.people if face.answer == "known"
    ).items():
        if count > 1:
            _log.warning(
                "%s: %d faces are taken for %s: a mirror or a collage, or one is wrong",
                one.seen.path,
                count,
                name,
            )


def _rows(one: FoundPhoto) -> list[list[object]]:
    head: list[object] = [str(one.seen.path), len(one.people)]
    if not one.people:
        return [[*head, *[""] * (len(COLUMNS) - len(head))]]
    return [
        [
            *head,
            *cells(one.seen, index),
            face.answer,
            face.name or "",
            *verdict_cells(face.verdict),
        ]
        for index, face in enumerate(one.people)
    ]
