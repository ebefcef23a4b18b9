"""What the measurements of all tasks take and give."""

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
"""Called after each sample with the number done and the number of all."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model was found to be worth on some samples.

    Attributes:
        figures: By key of the task's `FIGURES`.
        verdicts: float64 (samples,): what the model says of each, so that two models can be
            compared one by one; NaN where it says nothing. None where a task has no such number.
    """

    figures: Figures
    verdicts: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Labels:
    """What to measure on.

    Attributes:
        files: Annotation files, as the task's `samples.read` takes them.
        roots: The folders of their photos, one each or one for all.
        official: The folder of an official protocol (WIDER FACE's, of a detector).
    """

    files: Sequence[Path] = ()
    roots: Sequence[Path] = ()
    official: Path | None = None


@dataclass(frozen=True)
class Options:
    """What a user may ask of a measurement; each task refuses what is another's.

    Attributes:
        score_threshold: Lowest score that counts.
        nms_iou: Of a detector.
        mistakes: Of a classifier: where to draw the faces with wrong labels, as a PNG.
        runtime: As the user named it, for the protocol.
        quick: Leave out what no table of a benchmark shows.
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
        figures: By key.
        protocol: How they came about, for metrics.yaml.
        files: What they are of: role to file.
    """

    figures: Figures
    protocol: Mapping[str, Any]
    files: Mapping[str, Path]


def protocol_of(model: Model[Any], options: Options) -> dict[str, Any]:
    """What every protocol says of how a model was run."""
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
