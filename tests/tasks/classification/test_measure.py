"""How good a classifier is on labelled faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.data.labelled_faces import LabelledFace
from pocketface.results import Classification
from pocketface.tasks.classification.measure import measure, scores_of
from pocketface.tasks.classification.rules import ClassificationRules


def test_each_face_is_measured_in_order(tmp_path: Path) -> None:
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

    class ByGrey:
        rules = ClassificationRules(labels=("no", "yes"), score_threshold=0.5, endpoint="grey")

        def predict(self, pixels: NDArray[np.uint8], points: NDArray[np.float32]) -> Any:
            assert points.shape == (1, 5, 2)
            share = pixels[0, 0, 0] / 255
            return [Classification("", 0, 0.0, np.array([1 - share, share], np.float32))]

    model: Any = ByGrey()
    found = measure(model, faces, on_progress=lambda *one: done.append(one))
    assert done == [(count, 5) for count in range(1, 6)]
    assert found.figures["accuracy"] == pytest.approx(2 / 5)
    assert found.figures["no_face"] == 2
    np.testing.assert_array_equal(found.verdicts, [1, 0, 0, np.nan, np.nan])
    np.testing.assert_allclose(
        scores_of(model, faces), [200 / 255, 50 / 255, 60 / 255, np.nan, np.nan], atol=1e-6
    )
