"""Plots of verification: ROC, and histograms of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, MissingPackageError
from ..files import atomic_write
from .verification import BINS, LOWEST, STEP, Counts, accepted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COARSE = 200
"""Bars of a histogram."""


def draw_roc(curves: Mapping[str, tuple[Counts, Counts]], path: Path) -> None:
    """Plot TAR over FAR, whose axis is logarithmic, as a PNG.

    Args:
        curves: For each name genuine and impostor scores.
        path: The file to write.

    Raises:
        DataError: A name has no scores of a kind.
        MissingPackageError: matplotlib is not installed.
    """
    figure, axes = _figure()
    least = 1.0
    for name, (genuine, impostor) in curves.items():
        _check(name, genuine, impostor)
        tar, far = accepted(genuine), accepted(impostor)
        # A FAR below one pair cannot be told.
        known = far > 0
        least = min(least, 1 / float(impostor.sum()))
        axes.plot(far[known], tar[known], label=name, drawstyle="steps-pre")
    axes.set_xscale("log")
    axes.set_xlim(least, 1)
    axes.set_xlabel("FAR: share of pairs of two people that are accepted")
    axes.set_ylabel("TAR: share of pairs of one person that are accepted")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    _save(figure, path)


def draw_scores(
    genuine: Counts, impostor: Counts, path: Path, *, thresholds: Mapping[str, float] | None = None
) -> None:
    """Plot how often pairs of one person and of two have each score, as a PNG.

    Args:
        genuine: Scores of genuine pairs.
        impostor: Scores of impostor pairs.
        path: The file to write.
        thresholds: Scores to mark, by name.

    Raises:
        DataError: There are no scores of a kind.
        MissingPackageError: matplotlib is not installed.
    """
    _check(path.name, genuine, impostor)
    figure, axes = _figure()
    edges = np.linspace(0, BINS, _COARSE + 1).round().astype(int)
    for counts, name in ((impostor, "two people"), (genuine, "one person")):
        share = np.add.reduceat(counts, edges[:-1]) / counts.sum()
        axes.stairs(share, LOWEST + edges * STEP, fill=True, alpha=0.6, label=name)
    there = np.flatnonzero(genuine + impostor)
    axes.set_xlim(LOWEST + there[0] * STEP - 0.02, LOWEST + there[-1] * STEP + 0.02)
    for name, value in (thresholds or {}).items():
        axes.axvline(value, color="black", linestyle=":", linewidth=1)
        axes.annotate(name, (value, 1), xycoords=("data", "axes fraction"), rotation=90, va="top")
    axes.set_xlabel("cosine of two embeddings")
    axes.set_ylabel("share of the pairs of its kind")
    axes.legend()
    _save(figure, path)


def _check(name: str, genuine: Counts, impostor: Counts) -> None:
    if not genuine.sum() or not impostor.sum():
        raise DataError(
            f"{name}: {genuine.sum()} pairs of one person and {impostor.sum()} of two: expected "
            "some of both"
        )


def _figure() -> tuple[Any, Axes]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("matplotlib") from error
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _save(figure: Any, path: Path) -> None:
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)
