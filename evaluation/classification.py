"""Figures of a classifier: accuracy, F1, ROC, calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_BINS = 15


def classification_figures(
    scores: NDArray[np.floating], labels: NDArray[np.integer], *, threshold: float
) -> dict[str, float | None]:
    """Compare scores of the second label with the true labels.

    Args:
        scores: Scores (N,), 0 to 1; NaN without an answer, which counts as wrong, and is left out
            of `roc_auc` and `ece`.
        labels: True labels (N,), 0 or 1.
        threshold: Lowest score that means the second label.

    Returns:
        Fractions of 1: `balanced_accuracy` (mean of both labels' recall), `accuracy`, `f1` (of
        the second label), `roc_auc` (Mann-Whitney; ties count half), `ece` (expected calibration
        error in fifteen bins of the likelier label's score, Guo et al. 2017); `images` and
        `no_face` (NaN scores). Figures that need both labels are None if one is missing.

    Raises:
        DataError: There is nothing to measure.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(labels) == 1
    if not len(scores):
        raise DataError("no labelled face to measure on")
    said = np.isfinite(scores)
    called = np.where(said, scores, 0) >= threshold
    right = said & (called == truth)
    recalls = [right[truth == side].mean() if (truth == side).any() else None for side in (0, 1)]
    hits, alarms = (right & truth).sum(), (said & called & ~truth).sum()
    wanted = 2 * hits + alarms + (truth & ~right).sum()
    return {
        "balanced_accuracy": None if None in recalls else float(np.mean(recalls)),  # type: ignore[arg-type]
        "accuracy": float(right.mean()),
        "f1": float(2 * hits / wanted) if wanted else None,
        "roc_auc": _roc_auc(scores[said], truth[said]),
        "ece": _calibration_error(scores[said], truth[said]),
        "images": float(len(scores)),
        "no_face": float((~said).sum()),
    }


def _roc_auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float | None:
    if truth.all() or not truth.any():
        return None
    negatives, positives = np.sort(scores[~truth]), scores[truth]
    below = np.searchsorted(negatives, positives, side="left")
    up_to = np.searchsorted(negatives, positives, side="right")
    return float((below + up_to).mean() / 2 / len(negatives))


def _calibration_error(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float | None:
    if not len(scores):
        return None
    sure = np.maximum(scores, 1 - scores)
    right = (scores >= 0.5) == truth
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(sure[bins == one].mean() - right[bins == one].mean()) * (bins == one).sum()
        for one in np.unique(bins)
    ]
    return float(np.sum(gaps) / len(scores))
