"""Embeddings of the faces in labelled photos."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...data.identities import IdentityPhoto
from ...data.read_ahead import decoded
from ...errors import ImageError
from ..measuring import Progress, check_lost
from .foreign import ForeignRecognizer
from .model import FaceRecognizer

_log = logging.getLogger(__name__)

_AT_ONCE = 32

Embedder = FaceRecognizer | ForeignRecognizer


def embeddings_of(
    embedder: Embedder, photos: Sequence[IdentityPhoto], *, on_progress: Progress | None = None
) -> NDArray[np.float32]:
    """Embeddings of the face in each photo, float32 (photos, size); NaN where there is none.

    Photos in which no face was found have none, nor have those that cannot be read, which a warning
    names.

    Raises:
        DataError: More than half of the photos cannot be read.
    """
    vectors = np.full((len(photos), embedder.size), np.nan, np.float32)
    lost: list[str] = []
    faces: dict[int, NDArray[np.uint8]] = {}

    def flush() -> None:
        if faces:
            vectors[list(faces)] = [one.vector for one in embedder.embed(list(faces.values()))]
            faces.clear()

    images = decoded([photo.path for photo in photos])
    for index, (photo, image) in enumerate(zip(photos, images, strict=True)):
        if isinstance(image, ImageError):
            _log.warning("has no embedding: %s", image)
            lost.append(str(image))
        elif photo.landmarks is not None:
            (faces[index],) = embedder.cut(image, photo.landmarks[None])
        if len(faces) == _AT_ONCE:
            flush()
        if on_progress is not None:
            on_progress(index + 1, len(photos))
    flush()
    check_lost(lost, total=len(photos))
    return vectors
