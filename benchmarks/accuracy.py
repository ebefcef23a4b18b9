"""Measure the accuracy of one model on labelled photos, and record the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..evaluation.report import metrics_of, write_metrics
from ..model_templates.contract import Metric
from ..tasks import task_of
from ..tasks.measuring import Labels, Options, Progress
from ..tasks.model import Model


def check_labels(labels: Labels) -> None:
    """Refuse labels that name nothing.

    Raises:
        UserError: They are such.
    """
    if not labels.files and labels.official is None:
        raise UserError(
            "nothing to measure on: expected annotations and photos (--test-ann-files, "
            "--test-data-roots), or --wider-dir"
        )


def measure_accuracy(
    model: Model[Any],
    labels: Labels,
    *,
    options: Options | None = None,
    metrics_file: Path | None = None,
    on_progress: Progress | None = None,
) -> list[Metric]:
    """Measure a model by all figures of its task.

    Args:
        model: A loaded model.
        labels: The labelled photos to measure on.
        options: Thresholds and similar settings; None for the model's own.
        metrics_file: File for the metrics, the protocol and SHA-256s; None writes none.
        on_progress: Called with the number of photos done and the total.

    Returns:
        The figures, each with the protocol in words.

    Raises:
        UserError: There is nothing to measure on, or the labels or options do not fit.
    """
    check_labels(labels)
    measure = task_of(model.contract.task).measure
    found = measure.evaluate(model, labels, options or Options(), on_progress=on_progress)
    further = {figure.key: value for figure, value in found.further.items()}
    metrics = metrics_of([*measure.FIGURES, *found.further], {**found.figures, **further})
    if metrics_file is not None:
        write_metrics(metrics_file, metrics, protocol=found.protocol, files=found.files)
    protocol = _in_words(found.protocol)
    return [metric.model_copy(update={"protocol": protocol}) for metric in metrics]


def _in_words(protocol: Mapping[str, Any]) -> str | None:
    """What a protocol says in single words and numbers."""
    said = [
        f"{key.replace('_', ' ')} {value:g}"
        if isinstance(value, float)
        else f"{key.replace('_', ' ')} {value}"
        for key, value in protocol.items()
        if isinstance(value, str | float | int)
    ]
    return ", ".join(said) or None
