"""False matches by group: a group without pairs has no rate, and none that is 0."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pocketface.tools.recognition_figures import groups


def test_groups_without_a_pair_have_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    photos: list[Any] = [SimpleNamespace(tags=(f"group={one}",)) for one in "aaab"]
    vectors = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    groups(photos, vectors, 0.5)
    printed = capsys.readouterr().out
    assert "| group a | 3 | 3 | 33.333 % |" in printed
    assert "| group b | 1 | 0 | - |  |\n" in printed
