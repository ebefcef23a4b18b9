"""The address that answers with the masks of a photo's faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from ...errors import PocketfaceError
from ...mask import Mask
from ...results import Detections
from ..faces import FaceReader
from ..mask_files import Kind, picture_of
from .answers import FORM, PROBLEMS, Found, decoded, example, no_face
from .bounded_queue import BoundedQueue
from .limits import Limits
from .observed import note
from .uploads import read_photo

SEGMENT = "segment"
"""Name of the address."""


class RunLengths(BaseModel):
    """COCO's uncompressed RLE: runs down the columns of the photo, the first one outside."""

    size: list[int] = Field(min_length=2, max_length=2, description="height and width of the photo")
    counts: list[int]


class FaceMask(BaseModel):
    """What `Mask.to_dict` gives."""

    classes: list[str] = Field(description="the first of several is the background")
    threshold: float = Field(ge=0, le=1, description="lowest probability of an only class")
    area: int = Field(ge=0, description="pixels of the face")
    box: list[float] | None = Field(
        description="x1, y1, x2, y2 around them; null if there are none"
    )
    region: list[int] = Field(
        min_length=4, max_length=4, description="x1, y1, x2, y2 of what the network saw"
    )
    masks: dict[str, RunLengths] = Field(description="by class, without the background")


class MaskedFace(Found):
    """A face and its mask."""

    mask: FaceMask


class Masks(BaseModel):
    """The masks of a photo's faces; no pixel is of two."""

    model_config = example(
        faces=[
            {
                "box": [1.0, 1.0, 3.0, 4.0],
                "score": 0.93,
                "mask": {
                    "classes": ["face"],
                    "threshold": 0.5,
                    "area": 6,
                    "box": [1.0, 1.0, 3.0, 4.0],
                    "region": [0, 0, 4, 5],
                    "masks": {"face": {"size": [5, 4], "counts": [6, 3, 2, 3, 6]}},
                },
            }
        ]
    )

    faces: list[MaskedFace] = Field(description="best first")


_PICTURE = {
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    "description": "The masks, or with `as` a picture of the photo's size",
}


def add_segment(app: FastAPI, reader: FaceReader, *, queue: BoundedQueue, limits: Limits) -> None:
    """Add the address to the application.

    Args:
        app: The application.
        reader: Finds faces, and segments them.
        queue: Of the requests at work and waiting, for all addresses together.
        limits: Of a request's body.
    """

    @app.post(
        f"/{SEGMENT}/",
        summary="Which pixels of the photo are of its faces?",
        response_model=Masks,
        responses={200: _PICTURE, **PROBLEMS},
        openapi_extra={"requestBody": FORM},
    )
    async def segment(
        request: Request,
        form: Annotated[
            Kind,
            Query(
                alias="as",
                description="json; or a PNG of the photo's size: mask, grey, 255 in the faces (of"
                " several classes each pixel has its class's number); cutout, the faces alone, all"
                " else transparent; overlay, the photo with masks and boxes drawn into it",
            ),
        ] = "json",
    ) -> Response:
        """A mask for each face of the photo, or one picture of all of them."""
        with queue.place():
            photo = await read_photo(request, limits)
            return await queue.run(request, lambda: _answer(request, reader, photo, form))


def _answer(request: Request, reader: FaceReader, photo: bytes, form: Kind) -> Response:
    pixels = decoded(photo)
    ((faces, masks),) = reader.read([pixels])
    note(request, faces=len(faces))
    if not len(faces):
        return no_face(pixels)
    if form == "json":
        # Made here, in the thread of this photo: others are answered meanwhile.
        return Response(_as_json(faces, masks), media_type="application/json")
    picture = picture_of(pixels, masks, kind=form, faces=faces)
    return Response(_png(picture), media_type="image/png")


def _as_json(faces: Detections, masks: Sequence[Mask]) -> str:
    found = [
        MaskedFace(
            box=[round(float(one), 1) for one in box],
            score=round(float(score), 4),
            mask=FaceMask.model_validate(mask.to_dict()),
        )
        for box, score, mask in zip(faces.boxes, faces.scores, masks, strict=True)
    ]
    return Masks(faces=found).model_dump_json()


def _png(picture: NDArray[np.uint8]) -> bytes:
    done, content = cv2.imencode(".png", picture)
    if not done:
        raise PocketfaceError(f"a picture of {picture.shape} pixels could not be written as PNG")
    return content.tobytes()
