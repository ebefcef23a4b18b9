"""How good a colour model is."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from ...data.align import align_face
from ...data.labelled_faces import LabelledFace
from ...data.read_ahead import decoded
from ...errors import DataError, ImageError, UserError
from ...evaluation.figures import Figure, Figures
from ...model_templates.contract import Contract
from ..measuring import (
    Evaluation,
    Labels,
    Measured,
    Options,
    Progress,
    check_lost,
    files_of,
    flags_given,
    protocol_of,
)
from ..timing import Item
from .model import FaceColour
from .samples import counted, read, truth

_log = logging.getLogger(__name__)

NEAR = 0.02
"""A share counts as right that is at most so far from the truth."""

FIGURES = (
    Figure(
        "right",
        "Faces whose colour is right",
        column="right",
        chart="faces whose colour is right, %",
        budget="min-right",
        decisive=True,
        may_drop=1.0,
        compared=True,
        followed=True,
    ),
)

official_photos = None


def measure(
    model: FaceColour, samples: Sequence[LabelledFace], *, on_progress: Progress | None = None
) -> Measured:
    """See `tasks.parts.Measure`. `verdicts`: 1 where the colour is right, NaN without a photo."""
    faces = counted(samples)
    if not faces:
        raise DataError(f"none of the {len(samples)} photos has landmarks")
    lost: list[str] = []
    verdicts = np.full(len(faces), np.nan)
    images = decoded([face.path for face in faces])
    for index, (face, image) in enumerate(zip(faces, images, strict=True)):
        if isinstance(image, ImageError):
            _log.warning("counted as wrong: %s", image)
            lost.append(str(image))
        else:
            (shares,) = model.predict(image, face.landmarks[None])
            expected = truth(align_face(image, face.landmarks, model.contract.input))
            verdicts[index] = np.abs(shares - expected).max() <= NEAR
        if on_progress is not None:
            on_progress(index + 1, len(faces))
    check_lost(lost, total=len(faces))
    return Measured({"right": float(np.nan_to_num(verdicts).mean())}, verdicts)


def promised(figures: Figures) -> Figures:
    """See `tasks.parts.Measure`."""
    return figures


def protocol(_: Contract) -> str:
    """See `tasks.parts.Measure`."""
    return f"a colour is right within {NEAR:g}"


def evaluate(
    model: FaceColour, labels: Labels, options: Options, *, on_progress: Progress | None = None
) -> Evaluation:
    """See `tasks.parts.Measure`."""
    if given := flags_given(labels, options):
        raise UserError(f"{given[0]}: not for {model.path}, which is for {model.contract.task}")
    faces = read(labels, rules=model.contract.rules)
    found = measure(model, faces, on_progress=on_progress)
    return Evaluation(
        found.figures,
        {"near": NEAR, **protocol_of(model, labels, options)},
        files_of(model, labels.files),
    )


def labels_fit(labels: Labels, _: Contract | None) -> Labels:
    """See `tasks.parts.Measure`: any face will do."""
    return labels


def measured_on(labels: Labels, items: Sequence[Item], *, timed: int) -> str:
    """See `tasks.parts.Measure`."""
    named = ", ".join(file.name for file in labels.files)
    return f"{len(items)} faces of {named}; timed on {timed}"
