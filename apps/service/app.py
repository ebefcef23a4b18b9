"""The service's addresses and what they answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from ... import __version__
from ...errors import UserError
from ...tasks.classification.model import FaceClassifier
from ...tasks.detection.model import FaceDetector
from ...tasks.load import load_as
from ...tasks.model import Model
from ...tasks.segmentation.model import FaceSegmenter
from ..blur.find import FaceFinder
from ..classify import NO_FACE, PhotoClassifier
from ..faces import FACE_SCORE, FaceReader
from .answers import FORM, PROBLEMS, Found, check_keys, decoded, example, no_face
from .bounded_queue import BoundedQueue
from .description import describe
from .detect import BLUR, DETECT, add_blur, add_detect
from .kserve import add_kserve
from .limits import Limits
from .metrics import Metrics
from .observed import Observed, note
from .recognize import (
    COMPARE,
    IDENTIFY,
    NO_LIVENESS,
    Recognition,
    RecognitionSettings,
    add_compare,
    add_identify,
)
from .segment import SEGMENT, add_segment
from .targets import AnyTarget
from .token import Guard
from .uploads import read_photo

_PAGE = Path(__file__).parent / "page"
_FIRST = np.zeros((64, 64, 3), np.uint8)


@dataclass(frozen=True)
class Settings:
    """The model files and how to run them; see `PhotoClassifier`.

    Without a segmenter's file there is no address for masks, and without a recogniser's none for
    people. Where there is a token, only who sends it is answered.
    """

    classifier: Path
    detector: Path
    second_opinion: Path | None = None
    segmenter: Path | None = None
    recognition: RecognitionSettings | None = None
    face_score: float = FACE_SCORE
    device: str = "cpu"
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    token: str | None = field(default=None, repr=False)

    def open_finder(self) -> FaceFinder:
        """Load the detector; faces from `blur.find.SCORE` on are hidden, if it finds such.

        Raises:
            UserError: See `tasks.load`.
        """
        finder = FaceFinder(
            self.detector,
            max_side=None,
            second_opinion=self.second_opinion,
            device=self.device,
            threads=self.threads,
        )
        finder.score = max(finder.score, finder.least_score)
        return finder

    def open_classifier(self, detector: FaceDetector) -> PhotoClassifier:
        """Load the classifier.

        Args:
            detector: Finds the faces.

        Raises:
            UserError: See `tasks.load`.
        """
        model = load_as(FaceClassifier, self.classifier, device=self.device, threads=self.threads)
        return PhotoClassifier(model, detector, face_score=self.face_score)

    def open_segmenter(self) -> FaceSegmenter | None:
        """Load the segmenter, if there is one.

        Raises:
            UserError: See `tasks.load`.
        """
        if self.segmenter is None:
            return None
        return load_as(FaceSegmenter, self.segmenter, device=self.device, threads=self.threads)

    def open_recognition(self, detector: FaceDetector) -> Recognition | None:
        """Load the recogniser and the gallery, if there are any.

        Args:
            detector: Finds the faces.

        Raises:
            UserError: See `Recognition`.
        """
        if self.recognition is None:
            return None
        return Recognition(
            self.recognition,
            detector,
            face_score=self.face_score,
            device=self.device,
            threads=self.threads,
        )


class Face(Found):
    """A face and what the classifier says of it."""

    label: str
    label_score: float = Field(ge=0, le=1)


class Answer(BaseModel):
    """What the photo shows."""

    model_config = example(answer="glass")
    answer: str = Field(description="the last label where any face has it, else that of the faces")
    faces: list[Face] | None = Field(default=None, description="with details=true: best first")


def make_app(settings: Settings, *, figures: Path | None = None) -> FastAPI:
    """The ASGI application.

    Args:
        settings: The models and how to run them.
        figures: Folder in which several processes keep their figures together; None for one.

    Raises:
        UserError: A model file cannot be opened; see `tasks.load`.
    """
    # Nonsense from a client is reported in the answer; it need not fill the log.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    finder = settings.open_finder()
    classifier, segmenter = settings.open_classifier(finder.own), settings.open_segmenter()
    recognition = settings.open_recognition(classifier.detector)
    limits = settings.limits
    metrics = Metrics(figures)
    queue = BoundedQueue(at_work=limits.at_work, waiting=limits.waiting, on_change=metrics.queue)
    # The first run of a graph is slow: run it before the first client comes.
    _answer(classifier, _FIRST)
    others = [segmenter, recognition.model if recognition else None]
    models: list[Model[Any]] = [finder.own, classifier.classifier, *filter(None, others)]
    names = ", ".join(model.contract.name for model in models)
    app = FastAPIOffline(
        title="pocketface",
        version=__version__,
        description=f"Photos by {names}. Nothing that is sent here is stored."
        + (f" {NO_LIVENESS}" if recognition else ""),
        redoc_url=None,
        dependencies=[Depends(check_keys)],
    )
    # The last one added comes first to a request.
    if settings.token is not None:
        app.add_middleware(Guard, token=settings.token)
    app.add_middleware(AnyTarget)
    app.add_middleware(Observed, metrics=metrics, routes=app.routes)
    app.add_exception_handler(RequestValidationError, _bad_query)
    app.add_exception_handler(ClientDisconnect, _nobody_there)

    rules = classifier.classifier.rules
    labels = " or ".join(rules.labels)
    photos_of = {rules.endpoint: 1}
    if segmenter is not None:
        segmenter.predict(_FIRST)
        reader = FaceReader(segmenter, classifier.detector, face_score=settings.face_score)
        add_segment(app, reader, queue=queue, limits=limits)
        _add(photos_of, SEGMENT, 1, settings)
    if recognition is not None:
        add_compare(app, recognition, queue=queue, limits=limits)
        _add(photos_of, COMPARE, 2, settings)
        if recognition.people is not None:
            add_identify(app, recognition, recognition.people, queue=queue, limits=limits)
            _add(photos_of, IDENTIFY, 1, settings)
    add_detect(app, finder, score=settings.face_score, queue=queue, limits=limits)
    _add(photos_of, DETECT, 1, settings)
    add_blur(app, finder, segmenter, queue=queue, limits=limits)
    _add(photos_of, BLUR, 1, settings)
    app.state.endpoints = {f"/{name}/": count for name, count in photos_of.items()}

    @app.post(
        f"/{rules.endpoint}/",
        summary=f"What do the faces of the photo show: {labels}?",
        response_model=Answer,
        response_model_exclude_none=True,
        responses=PROBLEMS,
        openapi_extra={"requestBody": FORM},
    )
    async def classify(request: Request, details: bool = False) -> Answer | Response:
        """The last label if any face of the photo has it."""
        with queue.place():
            photo = await read_photo(request, limits)
            answer = await queue.run(request, lambda: _answer_to(classifier, photo))
        note(request, faces=0 if isinstance(answer, Response) else len(answer.faces or ()))
        return answer if details or isinstance(answer, Response) else Answer(answer=answer.answer)

    @app.get("/ping/")
    async def ping() -> dict[str, str]:
        """Is the service there?"""
        return {"status": "ok"}

    @app.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    def figures_now() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    add_kserve(app, models)
    app.mount("/page", StaticFiles(directory=_PAGE))
    page = (_PAGE / "index.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def front() -> HTMLResponse:
        return HTMLResponse(page)

    describe(app, token=settings.token is not None)
    return app


def _add(photos_of: dict[str, int], name: str, photos: int, settings: Settings) -> None:
    """Note an address, which must not be the classifier's own."""
    if name in photos_of:
        raise UserError(
            f"{settings.classifier}: its endpoint is {name}, which is an address of the service's"
        )
    photos_of[name] = photos


def _answer_to(classifier: PhotoClassifier, photo: bytes) -> Answer | Response:
    pixels = decoded(photo)
    found = _answer(classifier, pixels)
    return no_face(pixels) if found.answer == NO_FACE else found


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
