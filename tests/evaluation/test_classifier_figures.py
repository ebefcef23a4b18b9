"""A classifier's figures, against definitions written out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.data.labelled_faces import LabelledFace
from pocketface.errors import DataError
from pocketface.evaluation.classification import (
    classification_figures,
    evaluate_classifier,
)
from pocketface.results import Classification


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


def test_evaluation(tmp_path: Path) -> None:
    """Pictures that say their score by their grey; one is broken, one has no face."""
    faces = []
    for index, (grey, label) in enumerate([(200, 1), (50, 0), (60, 1), (0, 0)]):
        path = tmp_path / f"{index}.png"
        assert cv2.imwrite(str(path), np.full((8, 8, 3), grey, np.uint8))
        landmarks = np.zeros((5, 2), np.float32)
        faces.append(LabelledFace(path, index, label, landmarks))
    faces[3].landmarks[:] = np.nan
    (tmp_path / "broken.png").write_text("text")
    faces.append(LabelledFace(tmp_path / "broken.png", 4, 1, np.zeros((5, 2), np.float32)))
    done: list[tuple[int, int]] = []

    def classify(pixels: np.ndarray, landmarks: np.ndarray) -> list[Classification]:
        assert landmarks.shape == (1, 5, 2)
        share = pixels[0, 0, 0] / 255
        return [Classification("", 0, 0.0, np.array([1 - share, share], np.float32))]

    scores, figures = evaluate_classifier(
        classify, faces, threshold=0.5, on_progress=lambda *one: done.append(one)
    )
    assert done == [(count, 5) for count in range(1, 6)]
    np.testing.assert_allclose(scores, [200 / 255, 50 / 255, 60 / 255, np.nan, np.nan], atol=1e-6)
    assert figures["accuracy"] == pytest.approx(2 / 5)
    assert figures["no_face"] == 2
