"""Which faces a recogniser finds alike while it learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...data.identities import IdentityPhoto
from ...data.read_ahead import decoded
from ...errors import ImageError
from ...evaluation.contact_sheet import contact_sheet
from .model import FaceRecognizer


def preview(model: FaceRecognizer, samples: Sequence[IdentityPhoto]) -> NDArray[np.uint8]:
    """See `tasks.parts.Preview`: the network's inputs, and how alike each is to the first."""
    faces, names = [], []
    for photo, image in zip(samples, decoded([one.path for one in samples]), strict=True):
        if isinstance(image, ImageError) or photo.landmarks is None:  # measuring has warned
            continue
        faces += model.cut(image, photo.landmarks[None])
        names.append(photo.person or "?")
    found = model.embed(faces)
    captions = [
        f"{name}: {found[0].similarity(one):.2f}" for name, one in zip(names, found, strict=True)
    ]
    return contact_sheet(faces, captions)
