"""Whole trainings on ten small photos: what they write, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

import pocketface
from pocketface.data.coco import read_coco
from pocketface.errors import DataError, TrainingError, UserError
from pocketface.model_templates.catalogue import shipped_weights, template_path
from pocketface.models.weights import read_weights
from pocketface.tasks.detection import learn, measure
from pocketface.tasks.measuring import Labels, Measured
from pocketface.tasks.templates import open_template
from pocketface.training import module as module_file
from pocketface.training import prepare as prepare_file
from pocketface.training.fit import fit
from pocketface.training.request import Arithmetic, FitRequest

from ..small_training import with_template, write_template


def test_every_epoch_brings_new_samples(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = module_file.TemplateModule.training_step
    seen: dict[int, list[Tensor]] = {0: [], 1: []}

    def remember(self: Any, batch: Any) -> Tensor:
        seen[self.current_epoch].extend(batch[0])
        return step(self, batch)

    monkeypatch.setattr(module_file.TemplateModule, "training_step", remember)
    fit(replace(settings, epochs=2))
    assert len(seen[0]) == len(seen[1]) == 8
    assert not any(torch.equal(a, b) for a in seen[0] for b in seen[1])


def test_training_changes_the_weights_and_the_average_follows(settings: FitRequest) -> None:
    report = fit(replace(settings, epochs=1))
    checkpoint = torch.load(report.latest, weights_only=True)
    averaged, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    names = [name for name in current if name.endswith("classes.weight")]
    assert len(names) == 3
    for name in names:
        assert not torch.equal(averaged[name], current[name])
    assert report.best is None
    assert [path.name for path in report.written] == ["latest.pth", "curves.png", "receipt.yaml"]
    assert all(path.stat().st_size > 100 for path in report.written if path.suffix != ".png")


def test_best_is_kept_by_the_validation_photos(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([0.2, 0.6, 0.4])
    monkeypatch.setattr(measure, "measure", lambda *_: Measured({"ap": 0.1, "ap50": next(figures)}))
    report = fit(replace(settings, val=settings.train, epochs=3))
    assert report.best is not None
    assert report.best_value == pytest.approx(0.6)
    assert read_weights(report.best).epochs == 2
    assert read_weights(report.latest).epochs == 3


def test_best_is_the_average_that_was_measured(
    settings: FitRequest, airport: Labels, tmp_path: Path
) -> None:
    whole = template_path("face-detection-n")
    path = shipped_weights(open_template(whole))
    assert path is not None
    template = open_template(write_template(tmp_path / "n.yaml", network=whole, size=128))
    settings = with_template(
        replace(settings, template=template),
        lambda content: content["input"].update(height=384, width=384),
    )
    report = fit(
        replace(
            settings,
            load_weights=read_weights(path),
            train=airport,
            val=airport,
            val_every=2,
            base_learning_rate=3e-4,
            epochs=3,
        )
    )
    assert report.best is not None
    # The second by `val_every`, and the third because it is the last.
    log = (settings.output / "logs" / "csv" / "version_0" / "metrics.csv").read_text()
    rows = [row for row in csv.DictReader(io.StringIO(log)) if row["val/ap50"]]
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert report.best_value == max(float(row["val/ap50"]) for row in rows) > 0.1
    model = pocketface.load(report.best)
    photos = read_coco(airport.files, airport.roots, classes=("face",)).photos
    figures = measure.find_in(partial(model.predict, score_threshold=0.02), photos).figures
    assert figures["ap50"] == pytest.approx(report.best_value, abs=1e-6)


def test_a_rate_is_scaled_to_the_photos_of_a_step(
    settings: FitRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    latest = fit(replace(settings, epochs=1, batch_size=1)).latest
    group = torch.load(latest, weights_only=True)["lr_schedulers"][0]
    assert group["base_lrs"][0] == pytest.approx(1e-3 / 2)  # Muon: by the root
    assert "learning rate 0.0005 instead of 0.001: a step takes 1 photos" in caplog.text


def test_a_folder_of_another_training_is_left_alone(settings: FitRequest, begun: Path) -> None:
    before = begun.read_bytes()
    with pytest.raises(UserError, match=r"--save-checkpoints-to .*: holds a latest\.pth"):
        fit(replace(settings, epochs=2))
    assert begun.read_bytes() == before


def test_a_damaged_photo_is_left_out_and_named(
    settings: FitRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(settings.train.roots[0], root)
    (root / "train" / "image_000003.jpg").write_bytes(b"not a photo")
    report = fit(replace(settings, train=Labels(settings.train.files, [root]), epochs=1))
    assert "left out 1 photos that cannot be used" in caplog.text
    assert "image_000003.jpg" in caplog.text
    assert read_weights(report.latest).epochs == 1


def test_a_receipt_is_there_before_the_training_ends(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill that no program can catch leaves it."""
    seen = []
    step = module_file.TemplateModule.training_step

    def look(self: Any, batch: Any) -> Tensor:
        receipt = yaml.safe_load((settings.output / "receipt.yaml").read_text())
        seen.append((receipt["epochs"], receipt["finished"]))
        return step(self, batch)

    monkeypatch.setattr(module_file.TemplateModule, "training_step", look)
    fit(replace(settings, epochs=2))
    assert seen == [(0, False), (0, False), (1, False), (1, False)]


def test_half_precision_is_for_gpus(settings: FitRequest) -> None:
    with pytest.raises(UserError, match="--precision 16-mixed: for GPUs alone"):
        fit(replace(settings, epochs=1, precision="16-mixed"))
    assert not settings.output.exists()


@pytest.mark.parametrize(
    ("able", "precision", "said"),
    [
        ({"avx512_bf16": False, "amx_bf16": False}, "bf16-mixed", True),
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed", False),
        ({"arm_bf16": True}, "bf16-mixed", False),
        ({"avx512_bf16": False, "amx_bf16": False}, "32-true", False),
    ],
)
def test_arithmetic_that_a_processor_lacks_is_said(
    able: dict[str, bool],
    precision: Arithmetic,
    said: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    prepare_file.check_arithmetic(precision)
    assert ("this processor has no such arithmetic" in caplog.text) == said


def changed(labels: Path, target: Path, **fields: Any) -> Path:
    """The labels with these fields in each annotation, and with these in each image."""
    content = json.loads(labels.read_text(encoding="utf-8"))
    for part in ("annotations", "images"):
        content[part] = [one | fields.get(part, {}) for one in content[part]]
    target.write_text(json.dumps(content), encoding="utf-8")
    return target


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"annotations": {"iscrowd": 1}}, "none of the 10 photos has a face to be found"),
        (
            {"images": {"height": 199}},
            "none of the 10 photos can be used: .*labelled as 160x199",
        ),
    ],
)
def test_validation_photos_that_measure_nothing(
    settings: FitRequest, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    (labels,), roots = settings.train.files, settings.train.roots
    useless = changed(labels, tmp_path / "useless.json", **fields)
    with pytest.raises(DataError, match=f"--val-ann-files: {message}"):
        fit(replace(settings, val=Labels([useless], roots), epochs=1))
    assert not settings.output.exists()


def test_landmarks_that_nothing_is_known_of(
    settings: FitRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(replace(settings, epochs=1))
    assert "no training face has landmarks" in caplog.text
    caplog.clear()
    (labels,), roots = settings.train.files, settings.train.roots
    points = {"annotations": {"landmarks_pseudo": [10, 10, 20, 10, 15, 15, 10, 20, 20, 20]}}
    known = changed(labels, tmp_path / "known.json", **points)
    fit(replace(settings, train=Labels([known], roots), output=tmp_path / "known", epochs=1))
    assert "landmarks" not in caplog.text


def test_a_loss_that_is_not_finite_names_the_photos(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> dict[str, Tensor]:
        return {"box": torch.tensor(float("nan"), requires_grad=True)}

    monkeypatch.setitem(learn.LOSSES, "dense", broken)
    with pytest.raises(TrainingError, match=r"loss \(box nan\) is not finite at step 0") as caught:
        fit(replace(settings, epochs=1))
    # Each of the batch's four by its id and its file.
    named = re.findall(r"(\d+) \(\S+/train/image_0*(\d+)\.jpg\)", str(caught.value))
    assert len(named) == 4
    assert read_weights(settings.output / "latest.pth").epochs == 0
    receipt = yaml.safe_load((settings.output / "receipt.yaml").read_text())
    assert (receipt["finished"], receipt["epochs"]) == (False, 0)


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(predictions: Any, *_: Any, **__: Any) -> dict[str, Tensor]:
        # 0, and its derivative is infinite times 0.
        return {"class": (predictions.class_logits.sum() * 0).sqrt()}

    monkeypatch.setitem(learn.LOSSES, "dense", broken)
    with pytest.raises(TrainingError, match=r"the gradient is not finite at step 0.*image_"):
        fit(replace(settings, epochs=1))
    weights = read_weights(settings.output / "latest.pth")
    assert all(tensor.isfinite().all() for tensor in weights.state_dict.values())


def test_weights_of_another_architecture_are_refused(settings: FitRequest, begun: Path) -> None:
    weights = read_weights(begun)
    other = open_template("face-detection-s")
    with pytest.raises(UserError, match="architecture"):
        fit(replace(settings, template=other, epochs=2, load_weights=weights))


def test_weights_learn_on_by_another_loss(
    settings: FitRequest, begun: Path, tmp_path: Path
) -> None:
    quality = read_weights(begun)
    text = settings.template.path.read_text(encoding="utf-8")
    other = tmp_path / "focal.yaml"
    other.write_text(text.replace("quality_focal", "focal"), encoding="utf-8")
    reports = [
        fit(
            replace(
                settings,
                template=open_template(template),
                output=tmp_path / template.stem,
                epochs=1,
                load_weights=quality,
            )
        )
        for template in (other, settings.template.path)
    ]
    ours, theirs = (read_weights(report.latest) for report in reports)
    assert ours.template.architecture.head.loss.classification == "focal"
    name = "backbone.stem.0.weight"
    assert not torch.equal(ours.state_dict[name], theirs.state_dict[name])


def test_a_cpu_training_keeps_freed_memory(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KeptError(Exception):
        pass

    def keep() -> None:
        raise KeptError

    monkeypatch.setattr(prepare_file, "keep_freed_memory", keep)
    with pytest.raises(KeptError):
        fit(replace(settings, gpu_num=0, epochs=1))


@pytest.mark.parametrize("left", [[], [{"iscrowd": 1}]], ids=["none", "ignored"])
def test_photos_without_a_face_to_learn_are_refused(
    settings: FitRequest, tmp_path: Path, left: list[dict[str, int]]
) -> None:
    (annotations,), roots = settings.train.files, settings.train.roots
    content = json.loads(annotations.read_text(encoding="utf-8"))
    content["annotations"] = [one | flag for one in content["annotations"] for flag in left]
    faceless = tmp_path / "faceless.json"
    faceless.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match="--train-ann-files: none of the 10 photos has a face"):
        fit(replace(settings, train=Labels([faceless], roots), epochs=1))
    assert not settings.output.exists()


def test_more_gpus_than_there_are(settings: FitRequest) -> None:
    with pytest.raises(UserError, match=r"--gpu-num 99: this machine has \d+ CUDA GPUs"):
        fit(replace(settings, gpu_num=99, epochs=1))


def test_a_name_that_is_no_utf_8(settings: FitRequest, tmp_path: Path) -> None:
    (annotations,), roots = settings.train.files, settings.train.roots
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/faces\xff.json"))
    shutil.copy(annotations, odd)
    report = fit(replace(settings, train=Labels([odd], roots), epochs=1))
    assert pocketface.load(report.latest).contract.provenance.data == "faces?.json"
