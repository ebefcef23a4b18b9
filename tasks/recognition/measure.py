"""Measure a recogniser on photos of people."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ...data.identities import IdentityPhoto, read_identities, read_list
from ...errors import DataError, UserError
from ...evaluation.figures import Figure, Figures
from ...evaluation.identification import rank_one
from ...evaluation.verification import (
    Counts,
    all_pairs,
    counted,
    equal_error_rate,
    fold_accuracy,
    roc_auc,
    similarities,
    tar_at_far,
)
from ...files import sha256_file
from ...model_templates.contract import Contract
from ..measuring import (
    Evaluation,
    Labels,
    Measured,
    Options,
    Progress,
    files_of,
    flags_given,
    protocol_of,
)
from ..timing import Item
from .embeddings import embeddings_of
from .model import FaceRecognizer
from .rules import RecognitionRules
from .settling import rules_of

_log = logging.getLogger(__name__)

FAR = {"1e-1": 1e-1, "1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}
"""Rates at which true accepts are measured."""

FIGURES = (
    Figure(
        "tar_1e-3",
        "TAR at FAR 1e-3",
        column="TAR@1e-3",
        chart="TAR at FAR 1e-3, %",
        budget="min-tar",
        decisive=True,
        may_drop=1.0,
        compared=True,
        followed=True,
        needs="1,000 or more pairs of two people",
    ),
    Figure(
        "fold_accuracy",
        "Accuracy, mean of the protocol's folds",
        column="accuracy",
    ),
    Figure("fold_error", "Its standard error"),
    Figure("tar_1e-1", "TAR at FAR 1e-1"),
    Figure("tar_1e-2", "TAR at FAR 1e-2", followed=True),
    Figure("tar_1e-4", "TAR at FAR 1e-4"),
    Figure("eer", "Equal error rate", followed=True),
    Figure("roc_auc", "Area under the ROC curve"),
    Figure("rank_1", "Nearest other photo is of the same person", compared=True, followed=True),
    Figure("images", "Photos measured", unit="photos"),
    Figure("people", "People in them", unit="people"),
    Figure("no_face", "Photos without a face, unlike all others", unit="photos"),
)

official_photos = None


def measure(
    model: FaceRecognizer,
    samples: Sequence[IdentityPhoto],
    *,
    on_progress: Progress | None = None,
) -> Measured:
    """See `tasks.parts.Measure`; figures of rates that too few pairs can tell are None."""
    people = people_of(samples)
    vectors = embeddings_of(model, samples, on_progress=on_progress)
    figures = _figures(*all_pairs(vectors, people)) | _counts(vectors, people)
    return Measured(figures, settled=settled(vectors, people))


def settled(vectors: NDArray[np.float32], people: NDArray[np.int64]) -> dict[str, JsonValue]:
    """What cosines of a model mean, as `inference` and `rules` have it; empty if they tell nothing.

    A photo without a face has no cosine, and counts for nothing here.

    Args:
        vectors: Rows of length 1, (N, D); NaN where no face was found.
        people: Index of each row's person, (N,); negative if unknown.
    """
    seen = np.isfinite(vectors[:, 0]) & (people >= 0)
    where = f"{seen.sum()} photos of {len(np.unique(people[seen]))} people"
    try:
        rules = rules_of(*all_pairs(vectors[seen], people[seen]), measured_on=where)
    except DataError as error:
        _log.warning("what cosines mean is not known: %s", error)
        rules = RecognitionRules()
    return rules.model_dump(mode="json")


def people_of(samples: Sequence[IdentityPhoto]) -> NDArray[np.int64]:
    """Index of each photo's person, (photos,); -1 where it is unknown."""
    known = dict.fromkeys(one.person for one in samples if one.person is not None)
    index = {name: place for place, name in enumerate(known)}
    return np.array([-1 if s.person is None else index[s.person] for s in samples], np.int64)


def promised(figures: Figures) -> Figures:
    """See `tasks.parts.Measure`."""
    return figures


def protocol(_: Contract) -> str:
    """See `tasks.parts.Measure`."""
    return "all pairs of photos"


def evaluate(
    model: FaceRecognizer,
    labels: Labels,
    options: Options,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """See `tasks.parts.Measure`; where the lists have a protocol's pairs, figures are of these."""
    contract = model.contract
    if given := flags_given(labels, options):
        raise UserError(f"{given[0]}: not for {model.path}, which is for {contract.task}")
    content = read_identities(labels.files, labels.roots)
    people = people_of(content.photos)
    vectors = embeddings_of(model, content.photos, on_progress=on_progress)
    figures: Figures = {}
    if len(content.pairs):
        one, other, folds = content.pairs.T
        same = people[one] == people[other]
        scores = similarities(vectors, content.pairs[:, :2])
        figures |= _figures(counted(scores[same]), counted(scores[~same]))
        if len(np.unique(folds)) > 1:
            found = fold_accuracy(scores, same, folds)
            figures |= {"fold_accuracy": found.mean, "fold_error": found.error}
    else:
        figures |= _figures(*all_pairs(vectors, people))
    figures |= _counts(vectors, people)
    said: dict[str, Any] = {
        "input": f"faces aligned to {contract.input.width}x{contract.input.height}",
        "pairs": f"{len(content.pairs)} of the protocol" if len(content.pairs) else "all",
        **protocol_of(model, labels, options),
    }
    ordered = {figure.key: figures.get(figure.key) for figure in FIGURES}
    return Evaluation(ordered, said, files_of(model, labels.files))


def labels_fit(labels: Labels, contract: Contract | None) -> Labels:  # noqa: ARG001
    """See `tasks.parts.Measure`; people have no classes."""
    return labels.fitting((), name="a recogniser") if labels.classes else labels


def measured_on(labels: Labels, _: Sequence[Item], *, timed: int) -> str:
    """See `tasks.parts.Measure`."""
    named = ", ".join(f"{file.name} {sha256_file(file)[:12]}" for file in labels.files)
    count = sum(len(read_list(file).photos) for file in labels.files)
    return f"{count} faces ({named}); timed on {timed}, one face in each photo, landmarks known"


def _figures(genuine: Counts, impostor: Counts) -> Figures:
    tars = {f"tar_{name}": tar_at_far(genuine, impostor, far) for name, far in FAR.items()}
    return {
        **tars,
        "eer": equal_error_rate(genuine, impostor),
        "roc_auc": roc_auc(genuine, impostor),
    }


def _counts(vectors: NDArray[np.float32], people: NDArray[np.int64]) -> Figures:
    return {
        "rank_1": rank_one(vectors, people),
        "images": float(len(people)),
        "people": float(len(np.unique(people[people >= 0]))),
        "no_face": float(np.isnan(vectors[:, 0]).sum()),
    }
