"""Read photos from a form that a client sends, within limits and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .limits import Limits

FIELD = "image"
"""Name of the form's fields that hold photos."""

_FORM = "multipart/form-data"
_HOW = {
    1: f"send a form with a photo, as `curl -F {FIELD}=@photo.jpg` does",
    2: f"send a form with two photos, as `curl -F {FIELD}=@one.jpg -F {FIELD}=@other.jpg` does",
}
_FILES = {1: "one file", 2: "two files"}
_MAX_OTHER_FIELDS = 10


class _InMemoryParser(MultiPartParser):
    # Larger than any body accepted here, as Starlette writes larger files to disk.
    spool_max_size = 2**31


async def read_photo(request: Request, limits: Limits) -> bytes:
    """The content of the form's only field `FIELD`; see `read_photos`."""
    (photo,) = await read_photos(request, limits, count=1)
    return photo


async def read_photos(request: Request, limits: Limits, *, count: int) -> list[bytes]:
    """The contents of the form's fields `FIELD`. The client's file names and types are ignored.

    Args:
        request: `multipart/form-data`, with or without a Content-Length.
        limits: Of its body.
        count: Number of photos, 1 or 2.

    Raises:
        HTTPException: 400 if the form has more or fewer such files; 408 if it takes too long;
            413 if it is too large; 415 if the body is not a form; 422 if it holds what belongs into
            the query, where it would be ignored.
        ClientDisconnect: The client went away.
    """
    how = _HOW[count]
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HTTPException(415, f"the body is no {_FORM}: {how}")
    max_bytes, max_seconds = limits.body_bytes, limits.body_seconds
    # If the client states the size, refuse before any of it is read.
    if int(request.headers.get("content-length", 0)) > max_bytes:
        raise _too_large(max_bytes)
    keys = {field.alias for field in request.scope["route"].dependant.query_params}
    parser = _InMemoryParser(
        request.headers, _limited(request, max_bytes), max_files=count, max_fields=_MAX_OTHER_FIELDS
    )
    try:
        async with asyncio.timeout(max_seconds):
            form = await parser.parse()
    except TimeoutError:
        raise HTTPException(
            408, f"the photo was not here whole within {max_seconds:g} seconds"
        ) from None
    except UnicodeError:  # the client's charset does not fit a name
        raise HTTPException(400, f"the form's names cannot be read: {how}") from None
    except MultiPartException as error:
        raise HTTPException(400, f"{error.message.rstrip('.')}: {how}") from None
    try:
        for name in form:
            if name in keys:
                raise HTTPException(
                    422, f"{name!r}: is a key of the query, as /?{name}=…: found it in the form"
                )
        photos = [photo for photo in form.getlist(FIELD) if isinstance(photo, UploadFile)]
        if len(photos) != count or len(form.getlist(FIELD)) != count:
            raise HTTPException(400, f"expected {_FILES[count]} in the field {FIELD}: {how}")
        return [await photo.read() for photo in photos]
    finally:
        await form.close()


async def _limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {max_bytes / 1e6:g} MB")
