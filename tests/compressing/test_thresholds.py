"""Compressed recognisers: their thresholds are those measured of the file, whatever made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import pocketface
from pocketface.compressing import candidate
from pocketface.compressing.formats import QUANTIZERS
from pocketface.compressing.report import CompressionReport
from pocketface.compressing.run import pruning_for, sparsity_for
from pocketface.errors import UserError
from pocketface.model_templates.contract import Contract
from pocketface.models.network import make_network
from pocketface.models.weights import Weights, read_weights, write_weights
from pocketface.tasks import task_of
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import parse_template

from ..tasks.every_task import LANDMARKS
from ..tasks.recognition.tiny_recognizer import TINY, write_list
from .conftest import fine_tuning, needs_nncf, needs_quantizers, post_training

TRAINED = TINY.replace(
    "inference: {}",
    "inference: {thresholds: [{fmr: 0.1, cosine: 0.25}], calibration: {slope: 10, offset: -4},"
    " measured_on: three photos}",
)
PEOPLE, PHOTOS = 16, 4


@pytest.fixture(autouse=True)
def always_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny network's files are mostly graph."""
    monkeypatch.setattr(candidate, "SMALLER", 1e6)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Photos of people who differ in colour, so that any network tells them apart somewhat."""
    folder = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    photos = []
    for person in range(PEOPLE):
        face = np.kron(random.uniform(0, 255, (4, 6, 3)), np.ones((16, 16, 1)))
        for number in range(PHOTOS):
            name = f"{person}_{number}.png"
            image = (face + random.normal(0, 60, face.shape)).clip(0, 255).astype(np.uint8)
            assert cv2.imwrite(str(folder / name), image)
            photos.append((name, f"person {person}"))
    return Labels([write_list(folder / "all.identities.json", photos, LANDMARKS)], [folder])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Random ones, with thresholds that nobody measured."""
    path = tmp_path_factory.mktemp("weights") / "float.safetensors"
    torch.manual_seed(0)
    network = make_network(parse_template(TRAINED, source="test").architecture)
    for name, parameter in network.head.named_parameters():
        if name.endswith("weight") and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)  # as long as a trained network's vectors
    write_weights(path, template_text=TRAINED, state_dict=network.state_dict(), epochs=1)
    return read_weights(path)


def check(report: CompressionReport, folder: Path, people: Labels) -> list[Contract]:
    """Every file says of itself what measuring it says."""
    assert report.failed == []
    contracts = []
    task = task_of("face-recognition")
    for row in report.rows:
        model = pocketface.load(folder / row.file)
        found = task.measure.measure(model, task.samples.read(people, rules={}))
        assert found.settled["measured_on"] == "64 photos of 16 people"
        assert model.contract.rules == found.settled
        assert len(model.contract.rules["thresholds"]) == 3  # type: ignore[arg-type]
        contracts.append(model.contract)
    return contracts


@needs_quantizers
@pytest.mark.parametrize(
    "formats",
    [["onnx", "openvino"], pytest.param(list(QUANTIZERS), marks=pytest.mark.full)],
    ids=["two", "all"],
)
def test_of_files_quantized_after_training(
    formats: list[str], people: Labels, weights: Weights, tmp_path: Path
) -> None:
    report = post_training(people, tmp_path, weights=weights, formats=formats, max_drop=100)
    contracts = check(report, tmp_path, people)
    assert {one.precision for one in contracts} == {"int8"}
    assert len({str(one.rules) for one in contracts}) > 1  # rounding differs from file to file


@needs_nncf
@pytest.mark.parametrize(("name", "epochs"), [("quantization", 1), ("sparsity", 2), ("pruning", 1)])
def test_of_files_trained_further(
    name: str, epochs: int, people: Labels, weights: Weights, tmp_path: Path
) -> None:
    recipe: Any = {
        "quantization": lambda: True,
        "sparsity": lambda: sparsity_for(weights.template, ratio=0.5, mode=None),
        "pruning": lambda: pruning_for(weights.template, ratio=0.5),
    }[name]()
    report = fine_tuning(
        people, tmp_path, weights=weights, epochs=epochs, max_drop=100, **{name: recipe}
    )
    check(report, tmp_path, people)


@needs_quantizers
def test_of_a_file_whose_cosines_tell_nothing(
    people: Labels, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has none, and not those of the float weights."""
    monkeypatch.setattr(
        "pocketface.tasks.recognition.measure.all_pairs",
        lambda *_: [np.bincount([low] * 1000, minlength=2**18 + 1) for low in (0, 9)],
    )
    post_training(people, tmp_path, weights=weights, max_drop=100)
    rules = pocketface.load(tmp_path / "model_int8.onnx").contract.rules
    assert rules == {"thresholds": [], "calibration": None, "measured_on": None}


@needs_quantizers
@pytest.mark.parametrize("trains", [False, True])
def test_of_too_few_pairs_no_promise_is_made(
    trains: bool,
    people: Labels,
    weights: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And what would be trained is not."""
    monkeypatch.setattr("pocketface.compressing.run._tuned", lambda *_: pytest.fail("trained"))
    if not trains:
        monkeypatch.setattr("pocketface.compressing.run._tuned", lambda *_: None)
    photos = [(f"{person}_{photo}.png", f"{person}") for person in range(4) for photo in range(4)]
    few = Labels([write_list(tmp_path / "few.identities.json", photos, LANDMARKS)], people.roots)
    message = (
        "^--val-ann-files: TAR at FAR 1e-3 cannot be measured on these 16 photos: expected 1,000 "
        "or more pairs of two people$"
    )
    with pytest.raises(UserError, match=message):
        post_training(
            people, tmp_path / "out", weights=weights, validation=few, quantization=trains
        )
    assert not list((tmp_path / "out").glob("*"))
