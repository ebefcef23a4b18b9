"""Measure a classifier, and draw the faces that it gets wrong."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.align import align_face
from ...data.class_names import FLAG
from ...data.images import read_image
from ...data.labelled_faces import LabelledFace, labels_in, read_labelled_faces
from ...data.pairs import paired
from ...data.read_ahead import decoded
from ...errors import ImageError, UserError
from ...evaluation.classification import classification_figures
from ...evaluation.contact_sheet import contact_sheet
from ...evaluation.figures import Figure, Figures
from ...files import atomic_write, sha256_file
from ...model_templates.contract import Contract
from ...places import check_not_read
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
from ..model import fraction
from ..timing import Item
from .model import FaceClassifier
from .rules import classification_rules
from .samples import read

_log = logging.getLogger(__name__)

FIGURES = (
    Figure(
        "balanced_accuracy",
        "Balanced accuracy",
        column="balanced accuracy",
        chart="balanced accuracy, %",
        budget="min-accuracy",
        decisive=True,
        may_drop=1.0,
        compared=True,
        followed=True,
    ),
    Figure("accuracy", "Accuracy"),
    Figure("f1", "F1 of the last label", column="F1", compared=True),
    Figure("roc_auc", "Area under the ROC curve", followed=True),
    Figure("ece", "Expected calibration error"),
    Figure("images", "Photos measured", unit="photos"),
    Figure("no_face", "Photos without a face, counted as wrong", unit="photos"),
)

official_photos = None


def measure(
    model: FaceClassifier,
    samples: Sequence[LabelledFace],
    *,
    on_progress: Progress | None = None,
) -> Measured:
    """See `tasks.parts.Measure`. `verdicts`: 1 for the last label, 0 for the other."""
    threshold = model.rules.score_threshold
    scores = scores_of(model, samples, on_progress=on_progress)
    figures = classification_figures(scores, _truth(samples), threshold=threshold)
    return Measured(figures, np.where(np.isfinite(scores), scores >= threshold, np.nan))


def promised(figures: Figures) -> Figures:
    """See `tasks.parts.Measure`; if only one label occurs, its recall."""
    if figures["balanced_accuracy"] is None:
        return {**figures, "balanced_accuracy": figures["accuracy"]}
    return figures


def protocol(_: Contract) -> str:
    """See `tasks.parts.Measure`."""
    return ""


def scores_of(
    model: FaceClassifier,
    faces: Sequence[LabelledFace],
    *,
    on_progress: Progress | None = None,
) -> NDArray[np.float64]:
    """The last label's score for each face, float64 (faces,); NaN if there is none.

    Photos that cannot be read, or in which no face was found, have none and count as wrong.

    Raises:
        DataError: More than half of the photos cannot be read.
    """
    lost: list[str] = []
    scores = np.full(len(faces), np.nan)
    images = decoded([face.path for face in faces])
    for index, (face, image) in enumerate(zip(faces, images, strict=True)):
        if isinstance(image, ImageError):
            _log.warning("counted as wrong: %s", image)
            lost.append(str(image))
        elif face.found:
            (answer,) = model.predict(image, face.landmarks[None])
            scores[index] = answer.scores[-1]
        if on_progress is not None:
            on_progress(index + 1, len(faces))
    check_lost(lost, total=len(faces))
    return scores


def evaluate(
    model: FaceClassifier,
    labels: Labels,
    options: Options,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """See `tasks.parts.Measure`."""
    contract = model.contract
    for flag in flags_given(labels, options):
        if flag not in ("--mistakes-to", "--score-threshold"):
            raise UserError(f"{flag}: {model.path} is for {contract.task}, not a detector")
    threshold = fraction("score_threshold", options.score_threshold, model.rules.score_threshold)
    faces = read(labels, rules=contract.rules)
    if options.mistakes is not None:
        check_not_read(options.mistakes, "--mistakes-to", (face.path for face in faces))
    scores = scores_of(model, faces, on_progress=on_progress)
    figures = classification_figures(scores, _truth(faces), threshold=threshold)
    if options.mistakes is not None:
        _draw_mistakes(model, faces, scores, threshold, options.mistakes)
    said: dict[str, Any] = {
        "input": f"faces aligned to {contract.input.width}x{contract.input.height}",
        "score_threshold": threshold,
        **protocol_of(model, labels, options),
    }
    return Evaluation(figures, said, files_of(model, labels.files))


def labels_fit(labels: Labels, contract: Contract | None) -> Labels:
    """See `tasks.parts.Measure`; lists with labels that the contract lacks are left out."""
    if contract is None or not labels.files:
        return labels
    known = classification_rules(contract).labels
    labels = labels.fitting(known, name=contract.name)
    meant = labels.classes.by_theirs(known)
    kept = []
    for file, root in paired(labels.files, labels.roots):
        strange = [label for label in labels_in(file) if label not in meant]
        if strange:
            _log.warning("%s: not for %s, which has no label %r", file, contract.name, strange[0])
        else:
            kept.append((file, root))
    return replace(labels, files=[file for file, _ in kept], roots=[root for _, root in kept])


def measured_on(labels: Labels, _: Sequence[Item], *, timed: int) -> str:
    """See `tasks.parts.Measure`; faces that nobody found count too."""
    named = ", ".join(f"{file.name} {sha256_file(file)[:12]}" for file in labels.files)
    count = len(read_labelled_faces(labels.files, labels.roots, classes=None))
    if labels.classes:
        named += f", {FLAG} {labels.classes}"
    return f"{count} faces ({named}); timed on {timed}, one face in each photo, landmarks known"


def _truth(faces: Sequence[LabelledFace]) -> NDArray[np.intp]:
    return np.array([face.label for face in faces], np.intp)


def _draw_mistakes(
    model: FaceClassifier,
    faces: Sequence[LabelledFace],
    scores: NDArray[np.float64],
    threshold: float,
    path: Path,
) -> None:
    """Draw the wrongly labelled faces as the network saw them, the surest mistake first."""
    spec, labels = model.contract.input, model.rules.labels
    pictures, captions = [], []
    truth = _truth(faces)
    wrong = np.flatnonzero((scores >= threshold) != (truth == 1))
    for index in wrong[np.argsort(-np.abs(scores[wrong] - truth[wrong]), kind="stable")]:
        face = faces[index]
        if np.isfinite(scores[index]):
            try:
                image = read_image(face.path)
            except ImageError as error:  # it could be read before
                _log.warning("left out of the mistakes: %s", error)
                continue
            pictures.append(align_face(image, face.landmarks, spec))
            captions.append(f"{labels[face.label]}, said {scores[index]:.2f}")
    _, buffer = cv2.imencode(".png", contact_sheet(pictures, captions))
    with atomic_write(path) as handle:
        handle.write(buffer.tobytes())
