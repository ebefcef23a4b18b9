"""How good a classifier is on labelled faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.data.labelled_faces import LabelledFace
from pocketface.errors import DataError, InputError
from pocketface.model_templates.contract import Contract
from pocketface.results import Classification
from pocketface.runtimes.session import Outputs, Session
from pocketface.tasks.classification.measure import evaluate, measure, scores_of
from pocketface.tasks.classification.model import FaceClassifier
from pocketface.tasks.classification.rules import ClassificationRules
from pocketface.tasks.measuring import Labels, Options

from ...labelled_lists import write_labelled_faces

POINTS = ((20, 20), (40, 20), (30, 30), (22, 40), (38, 40))
CONTRACT = {
    "name": "grey",
    "task": "face-classification",
    "input": {"shape": (-1, 3, 64, 64), "resize": "align", "points": POINTS},
    "outputs": (
        {"name": "probabilities", "shape": (-1, 2), "meaning": "of labels", "unit": "0-1"},
    ),
    "rules": {"labels": ["no", "yes"], "score_threshold": 0.5, "endpoint": "grey"},
    "provenance": {"template": "grey", "package_version": "0"},
}


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
    with pytest.raises(DataError, match=r"^2 of 3 photos cannot be used: .*broken\.png"):
        scores_of(model, [faces[0], faces[4], faces[4]])


def test_mistakes_are_drawn_the_surest_first(tmp_path: Path) -> None:
    rows = []
    for grey, label in ((140, "no"), (250, "no"), (255, "yes"), (20, "yes")):
        assert cv2.imwrite(str(tmp_path / f"{grey}.png"), np.full((64, 64, 3), grey, np.uint8))
        rows.append((f"{grey}.png", label, np.array(POINTS, np.float32)))
    write_labelled_faces(tmp_path / "faces.csv", rows)
    (tmp_path / "grey.onnx").touch()

    def by_grey(batch: NDArray[np.float32]) -> Outputs:
        share = batch.mean((1, 2, 3)) / 255
        return {"probabilities": np.stack((1 - share, share), axis=1).astype(np.float32)}

    model = FaceClassifier(
        contract=Contract.model_validate(CONTRACT),
        session=Session("onnxruntime", "cpu", None, {}, {}, by_grey),
        path=tmp_path / "grey.onnx",
    )
    labels = Labels([tmp_path / "faces.csv"], [tmp_path])
    for wrong in (50, float("nan"), "0.5"):
        with pytest.raises(InputError, match=r"^score_threshold is .*: expected a number from 0"):
            evaluate(model, labels, Options(score_threshold=wrong))
    found = evaluate(model, labels, Options(mistakes=tmp_path / "mistakes.png"))
    assert found.figures["accuracy"] == 1 / 4
    sheet = cv2.imread(str(tmp_path / "mistakes.png"))
    assert sheet is not None
    assert [int(sheet[100, 140 * column + 70, 0]) for column in range(4)] == [250, 20, 140, 0]
