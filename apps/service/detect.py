"""The addresses that find a photo's faces, and that hide them."""

from __future__ import annotations

import copy
import io
from typing import Annotated, Final, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from ...data.image_headers import format_of, open_pillow
from ...data.pillow_quiet import pillow_quiet
from ...errors import ImageError
from ...tasks.segmentation.model import FaceSegmenter
from ..blur.cover import GROW, Cover
from ..blur.find import FaceFinder
from ..blur.outline import Shape
from ..blur.photo import PhotoBlurrer
from .answers import FACELESS, FORM, Found, decoded, example, refused
from .bounded_queue import BoundedQueue
from .limits import Limits
from .observed import note
from .uploads import FIELD, read_photo

DETECT: Final = "detect"
BLUR: Final = "blur"
"""Names of the addresses."""

Style = Literal["mosaic", "gaussian", "solid", "emoji"]
"""Of `blur.cover.Style` those that need no second picture."""

MEDIA_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".tif": "image/tiff",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".ppm": "image/x-portable-pixmap",
}
"""Of the suffixes of `blur.photo.SUFFIXES`."""

_Score = Annotated[
    float | None, Query(ge=0, le=1, description="lowest score at which a face counts")
]


class FoundFace(Found):
    """A face and its five points."""

    landmarks: list[list[float]] | None = Field(
        description="x, y in pixels of the photo of both eyes, the nose and both corners of the"
        " mouth; null if the detector finds none"
    )


class FoundFaces(BaseModel):
    """The faces of a photo."""

    model_config = example(
        width=512,
        height=600,
        faces=[
            {
                "box": [183.2, 108.4, 354.0, 333.1],
                "score": 0.93,
                "landmarks": [[222, 196], [304, 199], [259, 248], [224, 281], [296, 283]],
            }
        ],
    )
    width: int = Field(ge=1, description="of the photo as viewers show it")
    height: int = Field(ge=1)
    faces: list[FoundFace] = Field(description="best first")


def add_detect(
    app: FastAPI, finder: FaceFinder, *, score: float, queue: BoundedQueue, limits: Limits
) -> None:
    """Add the address that finds faces.

    Args:
        app: The application.
        finder: Finds them.
        score: Lowest score at which a face counts, if the request names none.
        queue: Of the requests at work and waiting, for all addresses together.
        limits: Of a request's body.
    """

    @app.post(
        f"/{DETECT}/",
        summary="Where are the faces of the photo?",
        description="A photo without a face has an empty list.",
        response_model=FoundFaces,
        responses=FACELESS,
        openapi_extra={"requestBody": FORM},
    )
    async def detect(
        request: Request, lowest: Annotated[_Score, Query(alias="score")] = None
    ) -> FoundFaces:
        at = score if lowest is None else lowest
        _check_score(finder, at)

        def work() -> FoundFaces:
            pixels = decoded(photo)
            faces = finder.find_all(pixels, score=at)
            note(request, faces=len(faces))
            points = [None] * len(faces) if faces.landmarks is None else faces.landmarks.tolist()
            return FoundFaces(
                width=pixels.shape[1],
                height=pixels.shape[0],
                faces=[
                    FoundFace(
                        box=[round(float(one), 1) for one in box],
                        score=round(float(sure), 4),
                        landmarks=marks and [[round(one, 1) for one in mark] for mark in marks],
                    )
                    for box, sure, marks in zip(faces.boxes, faces.scores, points, strict=True)
                ],
            )

        with queue.place():
            photo = await read_photo(request, limits)
            return await queue.run(request, work)


_HIDDEN = {
    "description": "The photo in its own format, upright, without metadata; an animation stays one",
    "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    "headers": {
        "X-Faces-Hidden": {
            "description": "number of faces, of an animation in all frames together",
            "schema": {"type": "integer"},
        }
    },
}


def add_blur(
    app: FastAPI,
    finder: FaceFinder,
    segmenter: FaceSegmenter | None,
    *,
    queue: BoundedQueue,
    limits: Limits,
) -> None:
    """Add the address that hides faces; other arguments as of `add_detect`.

    Args:
        app: The application.
        finder: Finds the faces, at its own lowest score if the request names none.
        segmenter: For the shape `mask`; None for none.
        queue: See `add_detect`.
        limits: See `add_detect`.
    """

    @app.post(
        f"/{BLUR}/",
        summary="The photo with its faces hidden",
        description="A photo without a face comes back written anew, too: without metadata.",
        response_class=Response,
        responses={200: _HIDDEN, **FACELESS},
        openapi_extra={"requestBody": FORM},
    )
    async def blur(
        request: Request,
        style: Annotated[Style, Query(description="what a face is hidden by")] = "mosaic",
        shape: Annotated[
            Shape, Query(description="which pixels; mask needs the service's --segmenter")
        ] = "ellipse",
        grow: Annotated[
            float, Query(ge=1, le=10, description="size relative to the face's box")
        ] = GROW,
        score: _Score = None,
    ) -> Response:
        if shape == "mask" and segmenter is None:
            raise HTTPException(400, "shape: mask needs a service with --segmenter")
        scored = copy.copy(finder)  # shares what is opened
        scored.score = finder.score if score is None else score
        _check_score(finder, scored.score)
        cover = Cover(style=style, shape=shape, grow=grow)
        blurrer = PhotoBlurrer(scored, cover, segmenter=segmenter)

        def work() -> Response:
            try:
                _check_frames(photo, limits.frames)
                made = blurrer.blur(photo, source=FIELD)
            except ImageError as error:
                raise refused(error) from None
            note(request, faces=sum(map(len, made.found)))
            return Response(
                made.content,
                media_type=MEDIA_TYPES[made.suffix],
                headers={"X-Faces-Hidden": str(made.hidden)},
            )

        with queue.place():
            photo = await read_photo(request, limits)
            return await queue.run(request, work)


def _check_score(finder: FaceFinder, score: float) -> None:
    if score < finder.least_score:
        raise HTTPException(
            400, f"score: this detector gives faces from {finder.least_score:g} on, found {score:g}"
        )


def _check_frames(photo: bytes, most: int) -> None:
    """Refuse long animations: each frame takes a photo's time.

    Raises:
        HTTPException: 413.
        ImageError: The file is no photo; others are found when it is decoded.
    """
    kind = format_of(photo[:64], FIELD)
    if kind == "JPEG":  # other pictures in it are previews, which are dropped
        return
    with pillow_quiet():
        try:
            image, _ = open_pillow(io.BytesIO(photo), kind, FIELD)
            frames = getattr(image, "n_frames", 1)
        except ImageError:
            raise
        except Exception:  # of damaged files nearly any; decoding says what is wrong
            return
    if frames > most:
        raise HTTPException(413, f"{FIELD}: {frames} frames, expected at most {most}")
