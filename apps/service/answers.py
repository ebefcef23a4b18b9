"""What the service takes and answers, whichever model is asked."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ...data.images import decode_image
from ...errors import ImageError, ImageTooLargeError
from ..classify import NO_FACE
from .uploads import FIELD


def example(**values: Any) -> ConfigDict:
    """The setting that shows an answer in the service's description."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Found(BaseModel):
    """A face of a photo."""

    box: list[float] = Field(
        min_length=4,
        max_length=4,
        description="x1, y1, x2, y2 in pixels of the photo as viewers show it, turned by its EXIF"
        " orientation; it may reach beyond the photo",
    )
    score: float = Field(ge=0, le=1, description="of there being a face")


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
_UNKNOWN = "A key of the query is unknown, or there twice"
FACELESS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": _UNKNOWN},
    **{code: {"model": Problem, "description": text} for code, text in _REFUSALS.items()},
}
"""Answers other than 200, for the service's description, where photos without a face have one."""

PROBLEMS: dict[int | str, dict[str, Any]] = {
    **FACELESS,
    422: {"model": NoFace | Problem, "description": f"No face in the photo; or: {_UNKNOWN}"},
}
"""The same where they have none."""

_PHOTO = {"type": "string", "format": "binary"}


def _form(content: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": [FIELD], "properties": {FIELD: content}}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


FORM = _form(_PHOTO)
"""The body of a request, for the service's description."""

FORM_OF_TWO = _form({"type": "array", "items": _PHOTO, "minItems": 2, "maxItems": 2})
"""That of a request with two photos."""


def decoded(photo: bytes, *, source: str = FIELD) -> NDArray[np.uint8]:
    """A photo's pixels, uint8 (H, W, 3), BGR.

    Args:
        photo: The file.
        source: What it is called in messages.

    Raises:
        HTTPException: 413 if it has too many pixels, 415 if it is no image.
    """
    try:
        return decode_image(photo, source=source)
    except ImageError as error:
        raise refused(error) from None


def refused(error: ImageError) -> HTTPException:
    """The answer to a file that is no photo (415), or too large (413)."""
    return HTTPException(413 if isinstance(error, ImageTooLargeError) else 415, str(error))


def check_keys(request: Request) -> None:
    """Refuse what a query says that nobody reads: `gorw=2` would leave a face visible.

    Raises:
        HTTPException: 422 if a key is unknown to the address, or there twice.
    """
    route = request.scope["route"]
    if "POST" not in route.methods:  # load balancers and links may add what they like
        return
    known = [field.alias for field in route.dependant.query_params]
    given = [key for key, _ in request.query_params.multi_items()]
    for key in given:
        if key not in known:
            expected = f"expected some of {', '.join(known)}" if known else "expected none"
            raise HTTPException(422, f"{key[:100]!r}: unknown key in the query: {expected}")
        if given.count(key) > 1:
            raise HTTPException(422, f"{key!r}: is there twice in the query: expected one")


def no_face(pixels: NDArray[np.uint8], *, which: str = "photo") -> JSONResponse:
    """The answer to a photo without a face.

    Args:
        pixels: (H, W, 3).
        which: What it is called.
    """
    height, width = pixels.shape[:2]
    said = NoFace(detail=f"no face found in the {which} of {width} x {height} pixels")
    return JSONResponse(said.model_dump(), status_code=422)
