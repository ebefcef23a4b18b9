"""Figures of groups against people, by hand."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "cluster_quality.py"


@pytest.mark.parametrize(
    ("groups", "people", "precision", "recall", "whole"),
    [
        ([0, 0, 1, 1, 2], [5, 5, 6, 6, 7], 1.0, 1.0, 3),
        ([0, 0, 0, 0, 0], [5, 5, 6, 6, 7], 0.2, 1.0, 0),
        ([0, 0, 1, 2, 2], [5, 5, 5, 6, 6], 1.0, 0.5, 1),
        ([0, 0, 1, 1, 1], [5, 6, 5, 6, 6], 0.25, 0.25, 0),
    ],
)
def test_pairs_and_whole_people(
    groups: list[int], people: list[int], precision: float, recall: float, whole: int
) -> None:
    script = runpy.run_path(str(SCRIPT))
    arrays = np.array(groups), np.array(people)
    assert script["quality"](*arrays) == pytest.approx((precision, recall))
    assert script["whole"](*arrays) == whole
