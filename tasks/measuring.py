"""Arguments and results of all tasks' measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.figures import Figures
from ..runtimes.seal import model_files
from .model import Model

Progress = Callable[[int, int], None]
"""Called after each sample with the number done and the total."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A model's accuracy on some samples.

    Attributes:
        figures: Figures by key of the task's `FIGURES`.
        verdicts: The model's answer to each sample, float64 (samples,), to compare two models one
            by one; NaN without an answer. None if the task has no such number.
    """

    figures: Figures
    verdicts: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Labels:
    """Labelled photos to measure on.

    Attributes:
        files: Annotation files, as the task's `samples.read` takes them.
        roots: Folders of the photos, one for each file or one for all.
        official: Folder of an official protocol (for a detector, WIDER FACE's).
    """

    files: Sequence[Path] = ()
    roots: Sequence[Path] = ()
    official: Path | None = None


@dataclass(frozen=True)
class Options:
    """Options of a measurement; each task refuses those of other tasks.

    Attributes:
        score_threshold: Lowest score that counts.
        nms_iou: For a detector, the IoU threshold of NMS.
        mistakes: For a classifier, a PNG file to draw the wrongly labelled faces into.
        runtime: The runtime as the user named it, for the protocol.
        quick: Whether to leave out figures that no table of a benchmark shows.
    """

    score_threshold: float | None = None
    nms_iou: float | None = None
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
    """

    figures: Figures
    protocol: Mapping[str, Any]
    files: Mapping[str, Path]


def protocol_of(model: Model[Any], options: Options) -> dict[str, Any]:
    """The part of every protocol that says how a model was run."""
    return {
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
