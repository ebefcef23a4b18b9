"""Arguments and results of all tasks' measurements."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ..data.class_names import FLAG, OWN_NAMES, ClassNames
from ..errors import DataError
from ..evaluation.figures import Figure, Figures
from ..runtimes.seal import model_files
from .model import Model

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], object]
"""Called after each sample, or whatever is counted, with the number done and the total."""


def check_lost(lost: Sequence[str], *, total: int) -> None:
    """Refuse photos of which more than half cannot be used.

    Args:
        lost: Why each of those cannot be used.
        total: Number of all photos.

    Raises:
        DataError: They are more than half; the message has the first of them.
    """
    if 2 * len(lost) > total:
        raise DataError(f"{len(lost)} of {total} photos cannot be used: {lost[0]}")


def flags_given(labels: Labels, options: Options) -> list[str]:
    """The flags of `eval` that were given and that some tasks do not have."""
    values = {
        "--wider-dir": labels.official,
        "--nms-iou": options.nms_iou,
        "--max-detections": options.max_detections,
        "--mistakes-to": options.mistakes,
        "--score-threshold": options.score_threshold,
    }
    return [flag for flag, value in values.items() if value is not None]


@dataclass(frozen=True, eq=False)
class Measured:
    """A model's accuracy on some samples.

    Attributes:
        figures: Figures by key of the task's `FIGURES`.
        verdicts: The model's answer to each sample, float64 (samples,), to compare two models one
            by one; NaN without an answer. None if the task has no such number.
        settled: Values that follow, for the template's `inference` and the contract's `rules`: all
            of `tasks.parts.Rules.SETTLED`.
    """

    figures: Figures
    verdicts: NDArray[np.float64] | None = None
    settled: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """Labelled photos to train or to measure on.

    Attributes:
        files: Annotation files, as the task's `samples.read` takes them.
        roots: Folders of the photos, one for each file or one for all.
        official: Folder of an official protocol (for a detector, WIDER FACE's).
        classes: What the annotation files call the classes.
    """

    files: Sequence[Path] = ()
    roots: Sequence[Path] = ()
    official: Path | None = None
    classes: ClassNames = OWN_NAMES

    def fitting(self, known: Collection[str], *, name: str) -> Labels:
        """The same, where `classes` has nothing but classes that a model knows.

        Args:
            known: The classes of the model.
            name: Its name, for the warning about the others.
        """
        strange = [ours for ours, _ in self.classes.pairs if ours not in known]
        if strange:
            _log.warning("%s %s: not for %s, which has no such class", FLAG, strange[0], name)
        return replace(self, classes=self.classes.of(known))


@dataclass(frozen=True)
class Options:
    """Options of a measurement; each task refuses those of other tasks.

    Attributes:
        score_threshold: Lowest score that counts.
        nms_iou: For a detector, the IoU threshold of NMS.
        max_detections: For a detector, the most faces of a photo that count, the best ones.
        mistakes: For a classifier, a PNG file to draw the wrongly labelled faces into.
        runtime: The runtime as the user named it, for the protocol.
        quick: Whether to leave out figures that no table of a benchmark shows.
    """

    score_threshold: float | None = None
    nms_iou: float | None = None
    max_detections: int | None = None
    mistakes: Path | None = None
    runtime: str | None = None
    quick: bool = False


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All figures of a model on labelled photos.

    Attributes:
        figures: Figures by key.
        protocol: How they were measured, for metrics.yaml.
        files: The files that they belong to, by role.
        further: Figures beside those of the task, such as of some of the photos.
    """

    figures: Figures
    protocol: Mapping[str, Any]
    files: Mapping[str, Path]
    further: Mapping[Figure, float | None] = field(default_factory=dict)


def protocol_of(model: Model[Any], labels: Labels, options: Options) -> dict[str, Any]:
    """The part of every protocol that says how a model was run, and what classes are called."""
    return {
        **({"classes": str(labels.classes)} if labels.classes else {}),
        "runtime": options.runtime or model.session.runtime,
        "precision": model.contract.precision,
        "device": model.session.device,
    }


def files_of(model: Model[Any], annotations: Sequence[Path]) -> dict[str, Path]:
    """The model's files and the annotations, by role."""
    model_file, *others = model_files(model.path)
    parts = {"weights" if part.suffix == ".bin" else part.name: part for part in others}
    named = {f"annotations {n}": path for n, path in enumerate(annotations, 1)}
    if len(annotations) == 1:
        named = {"annotations": annotations[0]}
    return {"model": model_file, **parts, **named}
