"""The service's addresses and what they answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from ... import __version__
from ...data.images import decode_image
from ...errors import ImageError, ImageTooLargeError
from ..classify import NO_FACE, PhotoClassifier
from ..faces import FACE_SCORE
from .bounded_queue import BoundedQueue
from .targets import AnyTarget
from .uploads import FIELD, read_photo


@dataclass(frozen=True)
class Limits:
    """Limits of one process.

    Attributes:
        at_work: Number of photos processed at once.
        waiting: Number of further requests that may wait; any more get 503.
        body_bytes: Largest body of a request, in bytes; a larger one gets 413.
        body_seconds: Seconds in which a body must arrive; else 408.
        connection_seconds: Age in seconds at which a connection is closed, after the answer that it
            waits for; three times as much, and it is cut.
    """

    at_work: int = 1
    waiting: int = 64
    body_bytes: int = 10_000_000
    body_seconds: float = 30
    connection_seconds: float = 60


@dataclass(frozen=True)
class Settings:
    """The model files and how to run them; see `PhotoClassifier`."""

    classifier: Path
    detector: Path
    face_score: float = FACE_SCORE
    device: str = "cpu"
    threads: int = 1
    limits: Limits = field(default_factory=Limits)

    def open(self) -> PhotoClassifier:
        """Load both files.

        Raises:
            UserError: See `tasks.load`.
        """
        return PhotoClassifier.open(
            self.classifier,
            self.detector,
            face_score=self.face_score,
            device=self.device,
            threads=self.threads,
        )


class Face(BaseModel):
    """One face of a photo."""

    box: list[float] = Field(
        min_length=4,
        max_length=4,
        description="x1, y1, x2, y2 in pixels of the photo as viewers show it, turned by its EXIF"
        " orientation; it may reach beyond the photo",
    )
    score: float = Field(ge=0, le=1, description="of there being a face")
    label: str
    label_score: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """What the photo shows."""

    answer: str = Field(description="the last label where any face has it, else that of the faces")
    faces: list[Face] | None = Field(default=None, description="with details=true: best first")


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


class NoFace(Problem):
    """There is nobody to answer for."""

    answer: Literal["no_face"] = NO_FACE


_REFUSALS = {
    400: "No photo in the form",
    408: "The photo came too slowly",
    413: "More than 10 MB, or than 64 million pixels",
    415: "Not an image, or not a form",
    503: "All places are taken; try again after Retry-After seconds",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {"model": NoFace, "description": "No face in the photo"},
    **{code: {"model": Problem, "description": text} for code, text in _REFUSALS.items()},
}
_FORM_SCHEMA = {
    "type": "object",
    "required": [FIELD],
    "properties": {FIELD: {"type": "string", "format": "binary"}},
}
_FORM = {"required": True, "content": {"multipart/form-data": {"schema": _FORM_SCHEMA}}}


def make_app(settings: Settings) -> FastAPI:
    """The ASGI application.

    Raises:
        UserError: A model file cannot be opened; see `tasks.load`.
    """
    # Nonsense from a client is reported in the answer; it need not fill the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    classifier = settings.open()
    limits = settings.limits
    queue = BoundedQueue(at_work=limits.at_work, waiting=limits.waiting)
    # The first run of a graph is slow: run it before the first client comes.
    _answer(classifier, np.zeros((64, 64, 3), np.uint8))
    app = FastAPIOffline(
        title="pocketface",
        version=__version__,
        description=f"Photos by {classifier.detector.contract.name} and "
        f"{classifier.classifier.contract.name}. Nothing that is sent here is stored.",
        redoc_url=None,
    )
    app.add_middleware(AnyTarget)
    app.add_exception_handler(RequestValidationError, _bad_query)
    app.add_exception_handler(ClientDisconnect, _nobody_there)

    rules = classifier.classifier.rules
    labels = " or ".join(rules.labels)
    app.state.endpoint = f"/{rules.endpoint}/"

    @app.post(
        app.state.endpoint,
        summary=f"What do the faces of the photo show: {labels}?",
        response_model=Answer,
        response_model_exclude_none=True,
        responses=_PROBLEMS,
        openapi_extra={"requestBody": _FORM},
    )
    async def classify(request: Request, details: bool = False) -> Answer | Response:
        """The last label if any face of the photo has it."""
        with queue.place():
            photo = await read_photo(
                request, max_bytes=limits.body_bytes, max_seconds=limits.body_seconds
            )
            answer = await queue.run(request, lambda: _answer_to(classifier, photo))
        if isinstance(answer, NoFace):
            return JSONResponse(answer.model_dump(), status_code=422)
        return answer if details else Answer(answer=answer.answer)

    @app.get("/ping/")
    async def ping() -> dict[str, str]:
        """Is the service there?"""
        return {"status": "ok"}

    (docs,) = (route for route in app.routes if isinstance(route, Route) and route.path == "/docs")
    app.add_route("/", docs.endpoint, include_in_schema=False)
    return app


def _answer_to(classifier: PhotoClassifier, photo: bytes) -> Answer | NoFace:
    try:
        pixels = decode_image(photo, source=FIELD)
    except ImageError as error:
        code = 413 if isinstance(error, ImageTooLargeError) else 415
        raise HTTPException(code, str(error)) from None
    found = _answer(classifier, pixels)
    if found.answer == NO_FACE:
        height, width = pixels.shape[:2]
        return NoFace(detail=f"no face found in the photo of {width} x {height} pixels")
    return found


def _answer(classifier: PhotoClassifier, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Answer:
    ((answer, faces, labels),) = classifier.answer([pixels])
    return Answer(
        answer=answer,
        faces=[
            Face(
                box=[round(float(one), 1) for one in box],
                score=round(float(score), 4),
                label=label.label,
                label_score=round(label.score, 4),
            )
            for box, score, label in zip(faces.boxes, faces.scores, labels, strict=True)
        ],
    )


async def _bad_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    text = f"{first['loc'][-1]}: {first['msg']}, found {first['input']!r}"
    return JSONResponse({"detail": text}, status_code=400)


async def _nobody_there(_: Request, __: Exception) -> Response:
    # Nobody receives it; 499 is the code that other servers log here.
    return Response(status_code=499)
