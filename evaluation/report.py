"""metrics.yaml: measured figures with the protocol and the files that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .. import __version__
from ..errors import DataError
from ..files import atomic_write, sha256_file
from ..model_templates.contract import Metric

_FIGURES = {
    "ap": ("AP @ [IoU=0.50:0.95]", "%"),
    "ap50": ("AP @ [IoU=0.50]", "%"),
    "ap75": ("AP @ [IoU=0.75]", "%"),
    "ap_small": ("AP for small faces (area < 32²)", "%"),
    "ap_medium": ("AP for medium faces (32² < area < 96²)", "%"),
    "ap_large": ("AP for large faces (area > 96²)", "%"),
    "ap_over_64": ("AP @ [IoU=0.50] for faces > 64x64", "%"),
    "wider_easy": ("WIDER FACE AP, easy", "%"),
    "wider_medium": ("WIDER FACE AP, medium", "%"),
    "wider_hard": ("WIDER FACE AP, hard", "%"),
    "balanced_accuracy": ("Balanced accuracy", "%"),
    "accuracy": ("Accuracy", "%"),
    "f1": ("F1 of the last label", "%"),
    "roc_auc": ("Area under the ROC curve", "%"),
    "ece": ("Expected calibration error", "%"),
    "best_f1": ("Best F1 of faces from 1/64 of the photo", "%"),
    "best_f1_threshold": ("Score threshold of the best F1", ""),
    "recall_10": ("Faces of 10 to 20 of 640 pixels found at the threshold", "%"),
    "recall_20": ("Faces of 20 to 40 pixels found", "%"),
    "recall_40": ("Faces from 40 pixels found", "%"),
    "false_alarms": ("False faces at the threshold", "per photo"),
    "no_face": ("Photos without a face, counted as wrong", "photos"),
    "images": ("Photos measured", "photos"),
    "wider_images": ("Photos measured for WIDER FACE", "photos"),
    "images_skipped": ("Photos left out, unreadable or not there", "photos"),
}


def metrics_of(figures: Mapping[str, float | None], *, protocol: str | None = None) -> list[Metric]:
    """What the functions of this room measured, named for people.

    Args:
        figures: Their second result; fractions of 1 become percent with two decimals.
        protocol: How it was measured, in a few words, to stand in each metric.

    Raises:
        KeyError: A figure that those functions do not give.
    """
    metrics = []
    for key, value in figures.items():
        name, unit = _FIGURES[key]
        if value is not None:
            value = round(100 * value, 2) if unit == "%" else float(value)
        metrics.append(
            Metric(key=key, display_name=name, value=value, unit=unit, protocol=protocol)
        )
    return metrics


def write_metrics(
    path: Path,
    metrics: Sequence[Metric],
    *,
    protocol: Mapping[str, Any],
    files: Mapping[str, Path],
) -> None:
    """Write metrics.yaml, whole or not at all.

    It holds `metrics` (key, display_name, value, unit, and protocol where a metric has its own),
    `protocol`, `files` (path, sha256, role) and `pocketface`, the version that measured.

    Args:
        path: The file to write; missing parent folders are made.
        metrics: Values of unit "%" are percent and written with two decimals; None becomes null.
        protocol: How it was measured: images, input rule, score floor, NMS IoU, …, as plain text,
            numbers, lists and mappings.
        files: What was measured: role (model, weights, annotations, …) to file.

    Raises:
        DataError: One of the files cannot be read, or `path` cannot be written.
    """
    content = {
        "metrics": [_entry(metric) for metric in metrics],
        "protocol": dict(protocol),
        "files": [
            {"path": file.as_posix(), "sha256": _sha256(file), "role": role}
            for role, file in files.items()
        ],
        "pocketface": __version__,
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    try:
        with atomic_write(path, "w") as handle:
            handle.write(text)
    except OSError as error:
        raise DataError(f"{path}: metrics cannot be written: {error.strerror}") from error


def _entry(metric: Metric) -> dict[str, Any]:
    value = metric.value
    if value is not None:
        if metric.unit == "%":
            value = round(value, 2)
        elif value.is_integer():  # a count, as a count
            value = int(value)
    entry = {
        "key": metric.key,
        "display_name": metric.display_name,
        "value": value,
        "unit": metric.unit,
    }
    return entry if metric.protocol is None else entry | {"protocol": metric.protocol}


def _sha256(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
