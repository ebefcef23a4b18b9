"""A whole training of a recogniser: it goes on where it stopped, and settles its thresholds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pocketface.errors import UserError
from pocketface.model_templates.schema import TemplateFile
from pocketface.models.weights import read_weights
from pocketface.tasks.load import load_as
from pocketface.tasks.measuring import Labels
from pocketface.tasks.recognition.model import FaceRecognizer
from pocketface.tasks.templates import parse_template
from pocketface.training.fit import fit
from pocketface.training.module import TemplateModule
from pocketface.training.prepare import prepare_training
from pocketface.training.report import EpochReport
from pocketface.training.request import FitRequest

from .test_distillation import POINTS, SIDE
from .tiny_recognizer import TINY, write_list

MEASURED = "inference: {thresholds: [{fmr: 0.1, cosine: 0.123}], measured_on: other weights}\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Four photos each of six people: of a colour each, with noise."""
    folder = tmp_path_factory.mktemp("people")
    generator = np.random.default_rng(0)
    names = []
    for person in range(6):
        colour = generator.integers(40, 216, 3)
        for index in range(4):
            image = (colour + generator.normal(0, 20, (SIDE, SIDE, 3))).clip(0, 255)
            name = f"{person}_{index}.png"
            assert cv2.imwrite(str(folder / name), image.astype(np.uint8))
            names.append((name, f"person {person}"))
    return Labels([write_list(folder / "all.identities.json", names, POINTS)], [folder])


@pytest.fixture
def request_of(people: Labels, tmp_path: Path) -> FitRequest:
    text = TINY.replace("inference: {}\n", MEASURED)
    path = tmp_path / "template.yaml"
    path.write_text(text, encoding="utf-8")
    template = TemplateFile(path, text, parse_template(text, source="test"))
    return FitRequest(
        template=template,
        train=people,
        output=tmp_path / "run",
        epochs=2,
        gpu_num=0,
        progress=False,
    )


def test_it_resumes_to_the_very_same_end(
    request_of: FitRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(replace(request_of, output=tmp_path / "whole")).latest
    step = TemplateModule.training_step

    def interrupted(self: TemplateModule, batch: Any) -> torch.Tensor:
        if self.global_step == 8:  # the third of the second epoch's six
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TemplateModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(request_of)
    resumed = fit(replace(request_of, resume_from=request_of.output / "latest.pth")).latest
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in (whole, resumed))
    assert "learner.loss.weight" in first
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_without_validation_it_leaves_thresholds_of_other_weights_out(
    request_of: FitRequest,
) -> None:
    model = load_as(FaceRecognizer, fit(replace(request_of, epochs=1)).latest)
    assert model.rules.thresholds == ()
    assert model.rules.measured_on is None


def test_its_last_validation_settles_what_cosines_mean(
    request_of: FitRequest, people: Labels
) -> None:
    report = fit(replace(request_of, val=people))
    assert report.best is not None
    for path in (report.latest, report.best):
        model = load_as(FaceRecognizer, path)
        assert model.rules.measured_on == "24 photos of 6 people"
        assert [point.fmr for point in model.rules.thresholds] == [0.3]  # of 240 pairs
        assert model.rules.thresholds[0].cosine != 0.123
    assert read_weights(report.best).template.inference["measured_on"] == "24 photos of 6 people"


def test_where_too_few_pairs_tell_which_epoch_is_best_the_last_one_is(
    request_of: FitRequest, people: Labels, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[EpochReport] = []
    report = fit(replace(request_of, val=people, on_epoch=told.append))
    assert report.best is not None
    assert report.best_value is None
    assert read_weights(report.best).epochs == 2
    assert [one.is_best for one in told] == [True, True]
    assert 0 <= told[-1].figures["eer"] <= 1
    assert caplog.text.count("--val-ann-files: TAR at FAR 1e-3 cannot be measured on these") == 1
    assert "expected 1,000 or more pairs of two people; best.pth is of the last" in caplog.text


def test_an_epoch_without_validation_has_no_thresholds_of_the_one_before(
    request_of: FitRequest, people: Labels
) -> None:
    rules = {}

    def on_epoch(report: EpochReport) -> None:
        found = read_weights(request_of.output / "latest.pth").template.inference
        rules[report.epoch] = bool(found.get("thresholds"))

    fit(replace(request_of, val=people, val_every=2, epochs=4, on_epoch=on_epoch))
    assert rules == {1: False, 2: True, 3: False, 4: True}


def test_a_training_that_is_stopped_before_it_learns_keeps_its_thresholds(
    request_of: FitRequest, people: Labels, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_of = replace(request_of, val=people, workers=0)
    latest = fit(replace(request_of, epochs=1)).latest
    before = load_as(FaceRecognizer, latest).rules
    assert before.thresholds

    def interrupted(*_: Any) -> torch.Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(TemplateModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(replace(request_of, resume_from=latest))
    assert load_as(FaceRecognizer, latest).rules == before


def test_the_share_that_is_done_grows_to_the_end_where_epochs_have_a_number_of_steps(
    request_of: FitRequest, people: Labels, tmp_path: Path
) -> None:
    """It is of the samples that there are: of 24 photos 15 have no face, and 9 make two batches."""
    content = json.loads(people.files[0].read_text())
    for photo in content["photos"][9:]:
        photo["landmarks"] = None
    (tmp_path / "few.identities.json").write_text(json.dumps(content))
    text = request_of.template.text.replace("epochs: 1}", "epochs: 1, iterations_per_epoch: 4}")
    template = replace(request_of.template, text=text, spec=parse_template(text, source="test"))
    few = replace(people, files=[tmp_path / "few.identities.json"])
    made = prepare_training(replace(request_of, template=template, train=few, epochs=5))
    loader = made.data._sampler(rank=0, processes=1)
    shares = []
    for epoch in range(5):
        loader.set_epoch(epoch)
        shares += [made.data.crops[keys][0][2] for keys in loader]
    assert shares == [step // 2 / 10 for step in range(20)]


def test_what_is_trained_and_validated_on_is_told_of(
    request_of: FitRequest,
    people: Labels,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    photos = json.loads(people.files[0].read_text())["photos"]
    files = []
    for place, some in enumerate([photos[:10], photos[8:], photos[12:]]):  # of persons 0 to 5
        files.append(tmp_path / f"{place}.identities.json")
        files[-1].write_text(json.dumps({"photos": some}))
    train, val, others = (replace(people, files=[file]) for file in files)
    prepare_training(replace(request_of, train=train, val=others))
    assert "trained on too" not in caplog.text
    prepare_training(replace(request_of, train=train, val=val))
    assert "--val-ann-files: 2 of its 16 photos are trained on too" in caplog.text
    assert "--val-ann-files: 1 of its 4 people are trained on too" in caplog.text


@pytest.mark.parametrize("name", ["zoe", "person 1"])
def test_it_does_not_go_on_with_other_people(
    request_of: FitRequest, people: Labels, tmp_path: Path, name: str
) -> None:
    latest = fit(replace(request_of, epochs=1)).latest
    renamed = tmp_path / "all.identities.json"
    renamed.write_text(people.files[0].read_text().replace("person 0", name))
    train = replace(people, files=[renamed])
    with pytest.raises(UserError, match=r"latest.pth: it learnt to tell others apart") as caught:
        fit(replace(request_of, train=train, resume_from=latest, epochs=2))
    assert "--load-weights" in str(caught.value.hint)
