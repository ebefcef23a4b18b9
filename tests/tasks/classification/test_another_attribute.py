"""Masks instead of glasses: one template.yaml, one list of photos, and no line of code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import pocketface
from pocketface.errors import DataError
from pocketface.model_templates import template_path
from pocketface.model_templates.strict_yaml import read_yaml
from pocketface.tasks.classification.measure import evaluate
from pocketface.tasks.classification.model import FaceClassifier
from pocketface.tasks.measuring import Labels, Options
from pocketface.tasks.templates import open_template
from pocketface.training.fit import fit
from pocketface.training.report import FitReport
from pocketface.training.request import FitRequest

from ...labelled_lists import write_labelled_faces

LABELS = ["no_mask", "mask"]
POINTS = np.array([[22, 24], [42, 24], [32, 34], [24, 44], [40, 44]], np.float32)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Twenty-four pictures of noise; a pale patch over the mouth is a mask."""
    folder = tmp_path_factory.mktemp("masks")
    generator = np.random.default_rng(0)
    rows: list[tuple[str, str, np.ndarray | None]] = []
    for index in range(24):
        noise = generator.integers(60, 170, (8, 8, 3), dtype=np.uint8)
        picture = cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC)
        if index % 2:
            picture[34:54, 16:48] = 240
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
        rows.append((f"{index}.png", LABELS[index % 2], POINTS))
    write_labelled_faces(folder / "masks.csv", rows)
    return Labels([folder / "masks.csv"], [folder])


@pytest.fixture(scope="module")
def request_(faces: Labels, tmp_path_factory: pytest.TempPathFactory) -> FitRequest:
    folder = tmp_path_factory.mktemp("mask-n")
    content = read_yaml(template_path("glasses-n"))
    content |= {"name": "mask-n", "summary": "Masks.", "initial_weights": None, "metrics": []}
    content["dataset"] = {"classes": LABELS}
    content["inference"] = {"score_threshold": 0.6}
    (folder / "mask-n.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return FitRequest(
        template=open_template(folder / "mask-n.yaml"),
        train=faces,
        val=faces,
        output=folder / "out",
        epochs=1,
        batch_size=8,
        workers=0,
        gpu_num=0,
        progress=False,
    )


@pytest.fixture(scope="module")
def trained(request_: FitRequest) -> FitReport:
    return fit(request_)


@pytest.fixture(scope="module")
def model(trained: FitReport) -> FaceClassifier:
    model = pocketface.load(trained.latest)
    assert isinstance(model, FaceClassifier)
    return model


def test_the_contract_has_its_labels(model: FaceClassifier) -> None:
    contract = model.contract
    assert (contract.name, contract.task) == ("mask-n", "face-classification")
    assert contract.rules == {"labels": LABELS, "score_threshold": 0.6, "endpoint": "mask-n"}
    assert [(output.name, output.shape) for output in contract.outputs] == [
        ("probabilities", (-1, 2))
    ]


def test_it_answers_with_one_of_its_labels(model: FaceClassifier, faces: Labels) -> None:
    (answer,) = model.predict(faces.roots[0] / "1.png", POINTS[None])
    assert answer.label == LABELS[int(answer.scores[1] >= 0.6)]
    assert answer.scores.sum() == pytest.approx(1, abs=1e-6)


def test_it_is_measured(trained: FitReport, model: FaceClassifier, faces: Labels) -> None:
    assert trained.metric_name == "balanced accuracy"
    assert trained.best_value is not None
    assert 0 <= trained.best_value <= 1
    figures = evaluate(model, faces, Options()).figures
    assert figures["balanced_accuracy"] == pytest.approx(trained.best_value, abs=1e-6)
    assert (figures["images"], figures["no_face"]) == (24, 0)


def test_its_curves_are_drawn(trained: FitReport) -> None:
    curves = cv2.imread(str(trained.latest.parent / "curves.png"))
    assert curves is not None
    assert np.ptp(curves) > 200


def test_labels_of_something_else_are_refused(request_: FitRequest, tmp_path: Path) -> None:
    write_labelled_faces(tmp_path / "glasses.csv", [("0.png", "glass", POINTS)])
    other = Labels([tmp_path / "glasses.csv"], request_.train.roots)
    with pytest.raises(DataError, match="glass"):
        fit(replace(request_, train=other, output=tmp_path / "out"))
