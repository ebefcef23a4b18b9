"""What a detector finds while it learns."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.coco import Photo
from ...data.read_ahead import decoded
from ...errors import ImageError
from ...evaluation.contact_sheet import contact_sheet
from .draw import draw
from .model import FaceDetector

_COLUMNS, _SIDE = 4, 320

_LABELLED = (255, 255, 255)


def preview(model: FaceDetector, samples: Sequence[Photo]) -> NDArray[np.uint8]:
    """See `tasks.parts.Preview`: labelled boxes in white, found ones in colour."""
    pictures, captions = [], []
    images = decoded([photo.path for photo in samples])
    for photo, image in zip(samples, images, strict=True):
        try:
            if isinstance(image, ImageError):
                raise image
            scale = np.tile(photo.scale_to(*image.shape[:2]), 2)
        except ImageError:  # measuring has warned of it
            continue
        faces = model.predict(image)
        labelled = photo.boxes[~photo.ignore]
        line = max(1, round(max(image.shape[:2]) / _SIDE))
        for left, top, right, bottom in np.rint(labelled * scale).astype(int).tolist():
            cv2.rectangle(image, (left, top), (right, bottom), _LABELLED, line)
        pictures.append(draw(image, faces))
        captions.append(f"{len(labelled)} labelled, {len(faces)} found")
    return contact_sheet(pictures, captions, columns=_COLUMNS, side=_SIDE)
