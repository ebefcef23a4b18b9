"""The addresses that say whether two photos show one person, and who is in a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from ...files import name_in_utf8
from ...tasks.detection.model import FaceDetector
from ...tasks.load import load_as
from ...tasks.recognition.model import FaceRecognizer
from ..faces import FaceReader
from ..recognize_calibration import use_calibration
from ..recognize_faces import PhotoFaces
from ..recognize_find import Known
from ..recognize_people import People, PeopleRequest
from ..recognize_rate import MAX_FMR, check_fmr
from ..recognize_verdict import Answer, Judge, Verdict
from .answers import FORM, FORM_OF_TWO, PROBLEMS, Found, decoded, example, no_face
from .bounded_queue import BoundedQueue
from .limits import Limits
from .observed import note
from .uploads import FIELD, read_photo, read_photos

COMPARE: Final = "compare"
IDENTIFY: Final = "identify"
"""Names of the addresses."""

NO_LIVENESS = (
    "Nothing looks for life (no liveness detection): a photo of a photo, a screen or a mask passes"
    " for the person. Do not open doors, accounts or telephones by this alone."
)

_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class RecognitionSettings:
    """What recognises people, and whom.

    Attributes:
        recognizer: The recogniser's file.
        gallery: The known people's file; None for none: then photos are only compared.
        max_fmr: Largest share of pairs of two people that may be called one person's.
        calibration: File of `recognize calibrate`; None for what the model's own file says.
    """

    recognizer: Path
    gallery: Path | None = None
    max_fmr: float = MAX_FMR
    calibration: Path | None = None


class Said(BaseModel):
    """What is said of a face."""

    similarity: float = Field(ge=-1, le=1, description="cosine of the embeddings")
    probability: float | None = Field(
        ge=0,
        le=1,
        description="that it is that person, at even odds beforehand; null if a face is too small,"
        " or if it was never measured what similarities mean",
    )
    small: bool = Field(description="a face is too small to tell: the answer is unsure")


class ComparedFace(Found, Said):
    """A face of the second photo."""

    answer: Answer = Field(description="is it the person of the first photo?")


class Comparison(BaseModel):
    """Whether two photos show one person."""

    model_config = example(
        answer="yes",
        similarity=0.61,
        probability=0.98,
        reference={"box": [183.2, 108.4, 354.0, 333.1], "score": 0.93},
        reference_faces=1,
        faces=[
            {
                "box": [170.5, 60.1, 280.9, 205.0],
                "score": 0.91,
                "similarity": 0.61,
                "probability": 0.98,
                "small": False,
                "answer": "yes",
            }
        ],
    )
    answer: Answer = Field(
        description="that of the second photo's most similar face, or, where that is too small to"
        " tell, of one that is surely the person: yes if it is as similar as"
        " strangers are in at most --max-fmr of all pairs, unsure up to ten times as many"
    )
    similarity: float = Field(ge=-1, le=1, description="of that face")
    probability: float | None = Field(ge=0, le=1, description="of that face")
    reference: Found = Field(description="the first photo's largest face, which is compared")
    reference_faces: int = Field(ge=1, description="faces of the first photo")
    faces: list[ComparedFace] = Field(description="of the second photo, best detection first")


class IdentifiedFace(Found, Said):
    """A face and who it is."""

    answer: Known = Field(description="is it a person of the gallery?")
    name: str | None = Field(description="of the person, or of whom it may be; null if unknown")


class Identified(BaseModel):
    """Who is in a photo."""

    model_config = example(
        faces=[
            {
                "box": [183.2, 108.4, 354.0, 333.1],
                "score": 0.93,
                "similarity": 0.61,
                "probability": 0.98,
                "small": False,
                "answer": "known",
                "name": "Grace",
            }
        ]
    )
    faces: list[IdentifiedFace] = Field(description="best detection first")


class Recognition:
    """Sees faces in photos and compares them; may be used by several threads.

    Attributes:
        model: The recogniser.
        people: Whom it knows; None without a gallery.

    Args:
        settings: What recognises people, and whom.
        detector: The model that finds the faces.
        face_score: Lowest detector score, 0 to 1, at which a face counts.
        device: Device of the recogniser, as `tasks.load` takes it.
        threads: Threads for one inference.

    Raises:
        UserError: A file cannot be opened or is of another model, or the model's thresholds were
            never measured.
    """

    def __init__(
        self,
        settings: RecognitionSettings,
        detector: FaceDetector,
        *,
        face_score: float,
        device: str,
        threads: int,
    ) -> None:
        check_fmr(settings.max_fmr)
        asked = gallery = None
        if settings.gallery is not None:
            asked = PeopleRequest(gallery=settings.gallery, max_fmr=settings.max_fmr)
            gallery = asked.open()
        model = load_as(FaceRecognizer, settings.recognizer, device=device, threads=threads)
        if settings.calibration is not None:
            use_calibration(settings.calibration, model)
        self.model = model
        self.people = People(asked, gallery, model) if asked and gallery is not None else None
        self._judge = Judge(model, settings.max_fmr)
        self._reader = FaceReader(model, detector, face_score=face_score)
        # The first run of a graph is slow: run it before the first client comes.
        own = model.contract.input
        noise = np.random.default_rng(0).integers(0, 256, (own.height, own.width, 3), np.uint8)
        model.embed([noise])

    def compare(self, photos: Sequence[bytes]) -> Comparison | Response:
        """Whether the person of the first of two photos is in the second.

        Raises:
            HTTPException: See `decoded`.
        """
        person = self._see(photos[0], "first photo")
        if isinstance(person, Response):
            return person
        chosen = person.largest
        wanted, small = person.embeddings[chosen], person.small[chosen]
        reference, others = _found(person, chosen), len(person.faces)
        del person  # its pixels; the second photo may be as large
        seen = self._see(photos[1], "second photo")
        if isinstance(seen, Response):
            return seen
        verdicts = [
            self._judge(one.similarity(wanted), small=small or is_small)
            for one, is_small in zip(seen.embeddings, seen.small, strict=True)
        ]
        faces = [
            ComparedFace(**_found(seen, index), **_said(verdict), answer=verdict.answer)
            for index, verdict in enumerate(verdicts)
        ]
        best = faces[max(range(len(faces)), key=lambda index: verdicts[index].rank)]
        return Comparison(
            answer=best.answer,
            similarity=best.similarity,
            probability=best.probability,
            reference=Found(**reference),
            reference_faces=others,
            faces=faces,
        )

    def identify(self, people: People, photo: bytes) -> Identified | Response:
        """Who is in a photo.

        Raises:
            HTTPException: See `decoded`.
        """
        seen = self._see(photo, "photo")
        if isinstance(seen, Response):
            return seen
        return Identified(
            faces=[
                IdentifiedFace(
                    **_found(seen, index),
                    **_said(one.found.verdict),
                    answer=one.found.answer,
                    # Names of folders may hold bytes that are no text.
                    name=None if one.found.name is None else name_in_utf8(one.found.name),
                )
                for index, one in enumerate(people.find(seen))
            ]
        )

    def _see(self, photo: bytes, which: str) -> PhotoFaces | Response:
        """The faces of a photo, or the answer where there are none."""
        pixels = decoded(photo, source=which)
        ((faces, embeddings),) = self._reader.read([pixels])
        if not len(faces):
            return no_face(pixels, which=which)
        return PhotoFaces(Path(), pixels, faces, embeddings)


def add_compare(
    app: FastAPI, recognition: Recognition, *, queue: BoundedQueue, limits: Limits
) -> None:
    """Add the address that compares two photos.

    Args:
        app: The application.
        recognition: Compares them.
        queue: Of the requests at work and waiting, for all addresses together.
        limits: Of a request's body.
    """

    @app.post(
        f"/{COMPARE}/",
        summary="Do two photos show the same person?",
        description=f"Two photos in the form, both in the field `{FIELD}`: is the person of the"
        f" first, or of its largest face, in the second? {NO_LIVENESS}",
        response_model=Comparison,
        responses=PROBLEMS,
        openapi_extra={"requestBody": FORM_OF_TWO},
    )
    async def compare(request: Request) -> Comparison | Response:
        with queue.place():
            photos = await read_photos(request, limits, count=2)
            said = await queue.run(request, lambda: recognition.compare(photos))
        if isinstance(said, Comparison):
            note(request, photos=2, faces=said.reference_faces + len(said.faces))
        return said


def add_identify(
    app: FastAPI,
    recognition: Recognition,
    people: People,
    *,
    queue: BoundedQueue,
    limits: Limits,
) -> None:
    """Add the address that says who is in a photo; arguments as of `add_compare`."""

    @app.post(
        f"/{IDENTIFY}/",
        summary="Who is in the photo, of the people of the gallery?",
        description="Each face is compared with everybody in the gallery that the service was"
        f" started with. {NO_LIVENESS}",
        response_model=Identified,
        responses=PROBLEMS,
        openapi_extra={"requestBody": FORM},
    )
    async def identify(request: Request) -> Identified | Response:
        with queue.place():
            photo = await read_photo(request, limits)
            said = await queue.run(request, lambda: recognition.identify(people, photo))
        if isinstance(said, Identified):
            note(request, faces=len(said.faces))
        return said


def _found(seen: PhotoFaces, index: int) -> dict[str, Any]:
    """A face's box and score, as `Found` has them."""
    return {
        "box": [round(float(one), 1) for one in seen.faces.boxes[index]],
        "score": round(float(seen.faces.scores[index]), _DIGITS),
    }


def _said(verdict: Verdict) -> dict[str, Any]:
    """What is said of a face, as `Said` has it."""
    chance = verdict.probability
    return {
        # Two equal vectors in single precision may reach a little more than 1.
        "similarity": round(min(max(verdict.similarity, -1.0), 1.0), _DIGITS),
        "probability": None if chance is None else round(chance, _DIGITS),
        "small": verdict.small,
    }
