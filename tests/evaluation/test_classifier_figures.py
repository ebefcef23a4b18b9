"""A classifier's figures, against definitions written out."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.errors import DataError
from pocketface.evaluation.classification import classification_figures


def sample(seed: int = 0, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(count) < 0.3).astype(int)
    scores = generator.beta(2, 4, count) * (1 - labels) + generator.beta(4, 2, count) * labels
    return scores.round(2), labels  # rounded: with ties


def test_by_definition() -> None:
    scores, labels = sample()
    figures = classification_figures(scores, labels, threshold=0.4)
    called = scores >= 0.4
    true, false = (called & (labels == 1)).sum(), (called & (labels == 0)).sum()
    missed, right = (~called & (labels == 1)).sum(), (~called & (labels == 0)).sum()
    assert figures["accuracy"] == pytest.approx((true + right) / len(labels))
    recalls = true / (true + missed), right / (right + false)
    assert figures["balanced_accuracy"] == pytest.approx(sum(recalls) / 2)
    precision = true / (true + false)
    assert figures["f1"] == pytest.approx(2 * precision * recalls[0] / (precision + recalls[0]))
    pairs = [
        (scores[labels == 1][:, None] > scores[labels == 0]).mean(),
        (scores[labels == 1][:, None] == scores[labels == 0]).mean(),
    ]
    assert figures["roc_auc"] == pytest.approx(pairs[0] + pairs[1] / 2)
    assert (figures["images"], figures["no_face"]) == (300, 0)


def test_calibration() -> None:
    """Nine of ten right at 0.9 is calibrated; ten of ten at 0.9 is off by 0.1."""
    scores = np.full(100, 0.9)
    labels = np.array([1] * 90 + [0] * 10)
    assert classification_figures(scores, labels, threshold=0.5)["ece"] == pytest.approx(
        0, abs=1e-9
    )
    sure = classification_figures(scores, np.ones(100, int), threshold=0.5)
    assert sure["ece"] == pytest.approx(0.1)
    assert (sure["roc_auc"], sure["balanced_accuracy"]) == (None, None)


def test_a_photo_without_a_face_is_wrong_whatever_its_label() -> None:
    scores, labels = np.array([0.9, 0.1, np.nan, np.nan]), np.array([1, 0, 1, 0])
    figures = classification_figures(scores, labels, threshold=0.5)
    assert figures["accuracy"] == figures["balanced_accuracy"] == 0.5
    assert figures["f1"] == pytest.approx(2 / 3)
    assert (figures["no_face"], figures["roc_auc"]) == (2, 1.0)
    with pytest.raises(DataError, match="no labelled face"):
        classification_figures(np.zeros(0), np.zeros(0, int), threshold=0.5)
