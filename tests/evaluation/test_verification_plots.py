"""Plots of verification."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.errors import DataError
from pocketface.evaluation.verification import Counts, counted
from pocketface.evaluation.verification_plots import draw_roc, draw_scores


@pytest.fixture
def scores() -> tuple[Counts, Counts]:
    rng = np.random.default_rng(0)
    return counted(rng.normal(0.6, 0.1, 500).clip(-1, 1)), counted(rng.normal(0, 0.1, 5000))


def test_roc(scores: tuple[Counts, Counts], tmp_path: Path) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    draw_roc({"ours": scores}, one)
    worse = scores[0] + scores[1] // 20, scores[1]
    draw_roc({"ours": scores, "theirs": worse}, two)
    first, second = (cv2.imread(str(path)) for path in (one, two))
    assert first is not None
    assert second is not None
    assert first.shape == second.shape == (500, 700, 3)
    assert (first != second).any()


def test_scores(scores: tuple[Counts, Counts], tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain.png", tmp_path / "marked.png"
    draw_scores(*scores, plain)
    draw_scores(*scores, marked, thresholds={"FMR 1e-3": 0.3})
    first, second = (cv2.imread(str(path)) for path in (plain, marked))
    assert first is not None
    assert second is not None
    assert (first != second).any()


def test_nothing_to_draw(scores: tuple[Counts, Counts], tmp_path: Path) -> None:
    none = np.zeros_like(scores[0])
    with pytest.raises(DataError, match=r"ours: 500 pairs of one person and 0 of two"):
        draw_roc({"ours": (scores[0], none)}, tmp_path / "roc.png")
    with pytest.raises(DataError, match=r"a\.png: 0 pairs of one person"):
        draw_scores(none, scores[1], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
