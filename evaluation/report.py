"""metrics.yaml: measured figures with their protocol and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .. import __version__
from ..errors import DataError, UserError
from ..files import atomic_write, reading, sha256_file
from ..model_templates.contract import Metric
from .figures import Figure

_BEGINS = b"metrics:"
"""How files of metrics begin."""


def metrics_of(
    known: Sequence[Figure], figures: Mapping[str, float | None], *, protocol: str | None = None
) -> list[Metric]:
    """Turn measured figures into metrics with readable names.

    Args:
        known: All figures of the task.
        figures: The measured values; those with unit "%" become percent with two decimals.
        protocol: How they were measured, in a few words, for each metric.

    Raises:
        KeyError: The task does not have such a figure.
    """
    by_key = {figure.key: figure for figure in known}
    metrics = []
    for key, value in figures.items():
        figure = by_key[key]
        if value is not None:
            value = round(100 * value, 2) if figure.unit == "%" else float(value)
        metrics.append(
            Metric(
                key=key,
                display_name=figure.title,
                value=value,
                unit=figure.unit,
                protocol=protocol,
            )
        )
    return metrics


def check_replaced(path: Path, flag: str) -> None:
    """Refuse to write metrics over a file that holds none: older ones alone are replaced.

    Args:
        path: The file to write later.
        flag: The command-line flag that named the path.

    Raises:
        UserError: There is another file.
    """
    if not path.is_file():
        return
    with reading(path, UserError), path.open("rb") as handle:
        if handle.read(len(_BEGINS)) not in (_BEGINS, b""):
            raise UserError(
                f"{flag} {path}: is there already, and holds no metrics; expected a new file"
            )


def write_metrics(
    path: Path,
    metrics: Sequence[Metric],
    *,
    protocol: Mapping[str, Any],
    files: Mapping[str, Path],
) -> None:
    """Write metrics.yaml atomically.

    It holds `metrics` (key, display_name, value, unit, and protocol if a metric has its own),
    `protocol`, `files` (path, sha256, role) and `pocketface`, the version that measured.

    Args:
        path: The file to write; missing parent folders are made.
        metrics: Values with unit "%" are percent, written with two decimals; None becomes null.
        protocol: How they were measured: images, input rule, score floor, NMS IoU, …, as plain
            text, numbers, lists and mappings.
        files: Files by role (model, weights, annotations, …).

    Raises:
        DataError: One of the files cannot be read.
        OSError: `path` cannot be written.
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
    with atomic_write(path, "w") as handle:
        handle.write(text)


def _entry(metric: Metric) -> dict[str, Any]:
    value = metric.value
    if value is not None:
        if metric.unit == "%":
            value = round(value, 2)
        elif value.is_integer():  # counts are written without decimals
            value = int(value)
    entry = {
        "key": metric.key,
        "display_name": metric.display_name,
        "value": value,
        "unit": metric.unit,
    }
    return entry if metric.protocol is None else entry | {"protocol": metric.protocol}


def _sha256(file: Path) -> str:
    with reading(file, DataError):
        return sha256_file(file)
