"""The people of a gallery in photos and frames, where nobody is seen twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..embedding import Embedding
from ..errors import ModelFileError
from ..results import Detections
from ..tasks.model import Model
from ..tasks.parts import Told
from ..tasks.recognition.model import FaceRecognizer
from .gallery import Gallery
from .recognize_calibration import use_calibration
from .recognize_faces import PhotoFaces
from .recognize_find import FoundFace, found_faces, judge_of, said_of, warn_of_many
from .recognize_follow import FollowedFaces
from .recognize_outputs import caption, draw_verdicts
from .recognize_rate import MAX_FMR, check_fmr
from .recognize_verdict import Verdict

_DIGITS = 4
"""Decimals of similarities and probabilities in JSON."""


@dataclass(frozen=True, kw_only=True)
class PeopleRequest:
    """Who may be seen, and what it takes to be taken for somebody.

    Attributes:
        gallery: The gallery's file.
        max_fmr: Largest share of pairs of two people that may be called one person's.
        calibration: File of `recognize calibrate`; None for what the model's own file says.
    """

    gallery: Path
    max_fmr: float = MAX_FMR
    calibration: Path | None = None

    def open(self) -> Gallery:
        """Open the gallery, before any model.

        Raises:
            UserError: The rate is none, or the gallery cannot be used or is empty.
        """
        check_fmr(self.max_fmr)
        gallery = Gallery.open(self.gallery)
        gallery.check_people()
        return gallery


@dataclass(frozen=True)
class SeenPerson:
    """Who a face is.

    Attributes:
        found: Whom it is most alike, and whether it is that person.
        is_second: Whether another face of the picture is more surely that person.
    """

    found: FoundFace
    is_second: bool = False

    @property
    def said(self) -> str:
        """The name, with a question mark where it is not sure; or "unknown"."""
        return "unknown?" if self.is_second else said_of(self.found)

    @property
    def verdict(self) -> Verdict | None:
        """Whether it is the person who is named; None if nobody is."""
        return None if self.is_second or self.found.name is None else self.found.verdict

    def to_dict(self) -> dict[str, Any]:
        """As `recognize find --json` has it."""
        verdict = self.found.verdict
        chance = verdict.probability
        return {
            "answer": self.found.answer,
            "name": self.found.name,
            "similarity": round(verdict.similarity, _DIGITS),
            "probability": None if chance is None else round(chance, _DIGITS),
            "small": verdict.small,
        }


class People:
    """Says who is in pictures, and draws it.

    Args:
        request: What was asked for.
        gallery: The gallery that it opened.
        model: A recogniser.
        frames: Whether the pictures that `name` sees are a video's, one after the other: a face is
            better known then the longer it is seen.

    Raises:
        ModelFileError: The model is of another kind.
        DataError: The gallery or the calibration is another model's.
        UserError: The model's thresholds were never measured, or not for so small a rate.
    """

    def __init__(
        self,
        request: PeopleRequest,
        gallery: Gallery,
        model: Model[Any],
        *,
        frames: bool = False,
    ) -> None:
        if not isinstance(model, FaceRecognizer):
            raise ModelFileError(
                f"--gallery {request.gallery}: {model.path} is for {model.contract.task}; "
                f"expected a {FaceRecognizer.WHAT}"
            )
        gallery.check_recognizer(model)
        if request.calibration is not None:
            use_calibration(request.calibration, model)
        self._gallery = gallery
        self._judge = judge_of(gallery, model, request.max_fmr)
        self._followed = FollowedFaces(alike=self._judge.unsure) if frames else None
        warn_of_many(self._judge)

    def find(self, seen: PhotoFaces) -> tuple[SeenPerson, ...]:
        """Who each face of a picture is; somebody may be two of them, as in a mirror."""
        return tuple(map(SeenPerson, found_faces(seen, self._gallery, self._judge)))

    def name(
        self, image: NDArray[np.uint8], faces: Detections, embeddings: Sequence[Embedding]
    ) -> tuple[SeenPerson, ...]:
        """Who each face of a picture is; nobody is two of them.

        Args:
            image: uint8 (H, W, 3), BGR.
            faces: Its faces, with landmarks.
            embeddings: Of each face.
        """
        seen = PhotoFaces(Path(), image, faces, tuple(embeddings))
        if self._followed is not None:
            seen = replace(seen, embeddings=self._followed.follow(seen))
        return one_each(found_faces(seen, self._gallery, self._judge))

    def draw(
        self, image: NDArray[np.uint8], faces: Detections, people: Sequence[SeenPerson]
    ) -> NDArray[np.uint8]:
        """See `tasks.parts.Draw`."""
        return draw_verdicts(
            PhotoFaces(Path(), image, faces, ()),
            [one.found.verdict for one in people],
            captions=[caption(one.said, one.verdict) for one in people],
        )

    def told(self, answer: SeenPerson) -> Told:
        """See `tasks.parts.Draw`."""
        verdict = answer.verdict
        if verdict is None:
            return Told(answer.said, answer.said)
        chance = "" if verdict.probability is None else f"{verdict.probability:.0%}, "
        return Told(answer.said, f"{answer.said} ({chance}similarity {verdict.similarity:.2f})")


def one_each(faces: Sequence[FoundFace]) -> tuple[SeenPerson, ...]:
    """Leave each name to the face that is most surely that person's; others become unsure.

    Args:
        faces: Who each face of one picture is.
    """
    best: dict[str, FoundFace] = {}
    for face in faces:
        if face.name is not None:
            best.setdefault(face.name, face)
            best[face.name] = max(best[face.name], face, key=lambda one: one.verdict.rank)
    people = []
    for face in faces:
        if face.name is None or face is best[face.name]:
            people.append(SeenPerson(face))
        else:
            unsure = replace(face, verdict=replace(face.verdict, answer="unsure"))
            people.append(SeenPerson(unsure, is_second=True))
    return tuple(people)
