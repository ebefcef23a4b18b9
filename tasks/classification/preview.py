"""What a classifier says while it learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...data.labelled_faces import LabelledFace
from ...data.read_ahead import decoded
from ...errors import ImageError
from ...evaluation.contact_sheet import contact_sheet
from .model import FaceClassifier


def preview(model: FaceClassifier, samples: Sequence[LabelledFace]) -> NDArray[np.uint8]:
    """See `tasks.parts.Preview`: the network's inputs; labels, and scores of the last label."""
    faces, captions = [], []
    images = decoded([face.path for face in samples])
    for face, image in zip(samples, images, strict=True):
        if isinstance(image, ImageError) or not face.found:  # measuring has warned of the former
            continue
        (cut,) = model.cut(image, face.landmarks[None])
        (answer,) = model.classify([cut])
        faces.append(cut)
        captions.append(f"{model.rules.labels[face.label]}, said {answer.scores[-1]:.2f}")
    return contact_sheet(faces, captions)
