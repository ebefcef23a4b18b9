"""Trainings that go on: to the same end, with the same settings, and when they may not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from matplotlib.axes import Axes
from torch import Tensor

import pocketface
from pocketface.errors import UserError
from pocketface.files import sha256_file
from pocketface.models.weights import read_weights, write_weights
from pocketface.tasks.detection import measure
from pocketface.tasks.measuring import Labels, Measured
from pocketface.tasks.templates import open_template
from pocketface.training import module as module_file
from pocketface.training.callbacks import Snapshots
from pocketface.training.fit import fit
from pocketface.training.prepare import prepare_training
from pocketface.training.receipt import draw_curves
from pocketface.training.request import FitRequest
from pocketface.training.start import find_start

from ..small_training import Content, with_template


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return bool(torch.equal(first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(first == second)


def _by(optimizer: str, settings: FitRequest) -> FitRequest:
    def change(content: Content) -> None:
        content["hyper_parameters"]["optimizer"]["type"] = optimizer
        if optimizer != "muon":
            content["hyper_parameters"]["optimizer"].pop("muon_factor", None)

    return with_template(settings, change)


@pytest.mark.parametrize(("optimizer", "workers"), [("adamw", 0), ("muon", 1)])
def test_an_interrupted_training_resumes_to_the_very_same_end(
    settings: FitRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    workers: int,
) -> None:
    settings = replace(_by(optimizer, settings), workers=workers)
    whole = fit(replace(settings, output=tmp_path / "whole", epochs=3))

    step = module_file.TemplateModule.training_step

    def interrupted(self: Any, batch: Any) -> Tensor:
        if self.global_step == 3:  # the second of the second epoch's two
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module_file.TemplateModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"latest\.pth"):
            fit(replace(settings, epochs=3))
    latest = settings.output / "latest.pth"
    assert read_weights(latest).epochs == 1

    resumed = fit(replace(settings, epochs=3, resume_from=latest))

    first = torch.load(whole.latest, weights_only=True)
    second = torch.load(resumed.latest, weights_only=True)
    for key in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        assert _same(first[key], second[key]), key
    assert first["global_step"] == second["global_step"] > 0
    assert read_weights(resumed.latest).epochs == 3


def test_an_older_checkpoint_resumes_too(settings: FitRequest, begun: Path, tmp_path: Path) -> None:
    """Its constants of the photometric distortion are those of the module itself."""
    checkpoint = torch.load(begun, weights_only=True)
    for key in ("state_dict", "current_model_state"):
        state = checkpoint[key]
        moved = [name for name in state if name.startswith("learner.photometric.")]
        assert moved
        for name in moved:
            state[name.removeprefix("learner.")] = state.pop(name)
    older = tmp_path / "older.pth"
    torch.save(checkpoint, older)
    ends = [
        fit(replace(settings, output=tmp_path / file.stem, epochs=2, resume_from=file)).latest
        for file in (begun, older)
    ]
    first, second = (read_weights(end).state_dict for end in ends)
    assert _same(first, second)


def _figures(*given: float) -> Callable[[object, object], Measured]:
    """A validation that finds each of these in turn."""
    found = iter(given)
    return lambda *_: Measured({"ap": 0.1, "ap50": next(found)})


def test_a_best_of_other_photos_is_kept_and_none_of_these(
    settings: FitRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(measure, "measure", _figures(0.9, 0.1, 0.2, 0.3))
    (annotations,) = settings.train.files
    other = tmp_path / "other.json"
    other.write_text(annotations.read_text() + "\n")
    settings = replace(settings, val=settings.train)
    latest = fit(replace(settings, epochs=1)).latest
    report = fit(replace(settings, epochs=2, resume_from=latest))
    assert report.best_value == pytest.approx(0.9)
    assert "of other --val-ann-files" not in caplog.text
    others = Labels([other], settings.train.roots)
    report = fit(replace(settings, val=others, epochs=3, resume_from=latest))
    assert report.best_value == pytest.approx(0.2)
    assert read_weights(latest.with_name("best_1.pth")).epochs == 1
    assert "best.pth is of other --val-ann-files, and is best_1.pth now" in caplog.text
    output = tmp_path / "elsewhere"
    report = fit(replace(settings, output=output, epochs=4, resume_from=latest))
    assert report.best_value == pytest.approx(0.3)
    assert read_weights(output / "best.pth").epochs == 4


def test_a_start_without_validation_hands_the_best_on(
    settings: FitRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "measure", _figures(0.9, 0.1))
    (annotations,), roots = settings.train.files, [*settings.train.roots] * 2
    again = tmp_path / "again.json"
    again.write_text(annotations.read_text() + "\n")
    both = Labels([annotations, again], roots)
    latest = fit(replace(settings, val=both, epochs=1)).latest
    fit(replace(settings, epochs=2, resume_from=latest))
    both = Labels([again, annotations], roots)  # the same photos
    report = fit(replace(settings, val=both, epochs=3, resume_from=latest))
    assert report.best_value == pytest.approx(0.9)
    assert [path.name for path in latest.parent.glob("best*")] == ["best.pth"]
    assert read_weights(latest.with_name("best.pth")).epochs == 1


def test_a_resumed_training_must_have_the_same_steps(settings: FitRequest, begun: Path) -> None:
    for batch_size, steps in ((2, 5), (5, 2)):
        message = rf"latest\.pth: .* 2 steps of 4 photos, .* {steps} steps of {batch_size} photos"
        with pytest.raises(UserError, match=message):
            fit(replace(settings, epochs=2, batch_size=batch_size, resume_from=begun))


def test_a_resumed_training_has_the_epochs_and_batches_that_it_was_to_have(
    settings: FitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, output = Snapshots.on_train_epoch_end, settings.output

    def save_and_stop(*given: Any) -> None:
        save(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(Snapshots, "on_train_epoch_end", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        fit(replace(settings, epochs=3, batch_size=5))
    monkeypatch.undo()
    latest = output / "latest.pth"
    assert read_weights(latest).epochs == 1
    report = fit(replace(settings, resume_from=latest))  # the template: 2 epochs of batches of 4
    assert report.epochs == read_weights(latest).epochs == 3
    starts = yaml.safe_load((output / "receipt.yaml").read_text())["starts"]
    assert [start["settings"]["batch_size"] for start in starts] == [5, 5]
    with pytest.raises(UserError, match=r"--epochs 3: .*latest.pth has 3 epochs behind it"):
        fit(replace(settings, resume_from=latest))


def test_what_is_other_than_before_is_told_of(
    settings: FitRequest, begun: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    fit(replace(settings, epochs=2, resume_from=begun))
    assert "latest.pth:" not in caplog.text

    def change(content: Content) -> None:
        recipe = content["hyper_parameters"]
        recipe["augmentation"]["mosaic"] = 0.25
        recipe["schedule"] = {"type": "cosine"}
        recipe["ema_decay"] = 0.5
        recipe["basic"]["base_learning_rate"] = 0.25
        content["input"]["resize"] = "stretch"

    settings = with_template(settings, change)
    fit(replace(settings, epochs=3, resume_from=begun, precision="bf16-mixed"))
    for key in ("augmentation", "schedule", "ema_decay", "input"):
        assert f"latest.pth: other {key} than before" in caplog.text
    assert "and is 0.25 now; it goes on at its own" in caplog.text
    assert "trained with --precision 32-true so far, with bf16-mixed from here on" in caplog.text


def test_other_labels_or_another_seed_are_told(
    settings: FitRequest, begun: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = json.loads(settings.train.files[0].read_text())
    content["annotations"][0]["bbox"][2] += 1
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(content))
    photos = Labels([mended], list(settings.train.roots))
    prepare_training(replace(settings, train=photos, seed=7, epochs=2, resume_from=begun))
    assert "latest.pth: other --train-ann-files than before, of the same photos" in caplog.text
    assert "latest.pth: trained with --seed 0 so far, with 7 from here on" in caplog.text


def test_averaged_weights_are_not_begun_or_ended_in_between(
    settings: FitRequest, begun: Path
) -> None:
    settings = with_template(settings, lambda content: content["hyper_parameters"].pop("ema_decay"))
    with pytest.raises(UserError, match=r"trained with ema_decay 0\.999, .* has None"):
        fit(replace(settings, epochs=2, resume_from=begun))


def test_a_best_of_another_training_is_kept(settings: FitRequest, begun: Path) -> None:
    best = begun.rename(begun.with_name("best.pth"))
    with pytest.raises(UserError, match=r"holds a best\.pth of another training"):
        fit(replace(settings, epochs=1, load_weights=read_weights(best)))
    assert fit(replace(settings, epochs=2, resume_from=best)).epochs == 2


def test_curves_pass_over_folders_that_are_no_log(settings: FitRequest, begun: Path) -> None:
    logs = settings.output / "logs" / "csv"
    shutil.copytree(logs / "version_0", logs / "version_old")
    shutil.copytree(logs / "version_0", logs / "version_7")
    (logs / "version_7" / "hparams.yaml").unlink()
    assert fit(replace(settings, epochs=2, resume_from=begun)).epochs == 2
    curves = draw_curves(settings.output)
    assert curves.stat().st_size > 1000


def test_curves_are_of_the_last_training_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One training of 5 epochs; then another one of 2, which was taken up for 2 more.
    for version, epochs in enumerate([range(5), range(2), range(2, 4)]):
        folder = tmp_path / "logs" / "csv" / f"version_{version}"
        folder.mkdir(parents=True)
        (folder / "hparams.yaml").write_text("first_epoch: 0\n")
        rows = [f"{epoch},{10 * version + epoch}" for epoch in epochs]
        (folder / "metrics.csv").write_text("\n".join(["epoch,train/loss_epoch", *rows]) + "\n")
    drawn: list[list[float]] = []
    monkeypatch.setattr(Axes, "plot", lambda _, *points, **__: drawn.append(list(points)))
    draw_curves(tmp_path)
    assert drawn == [[(1, 2, 3, 4), (10.0, 11.0, 22.0, 23.0)]]


def test_curves_pass_over_what_a_power_cut_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, settings in enumerate(["first_epoch: 0\n", "first_epoch: 2\n", "\0\0", ""]):
        folder = tmp_path / "logs" / "csv" / f"version_{version}"
        folder.mkdir(parents=True)
        (folder / "hparams.yaml").write_text(settings)
        (folder / "metrics.csv").write_text("epoch,train/loss_epoch\n0,5\n1,4\n2,\0\0\0\0")
    drawn: list[list[float]] = []
    monkeypatch.setattr(Axes, "plot", lambda _, *points, **__: drawn.append(list(points)))
    draw_curves(tmp_path)
    assert drawn == [[(1, 2, 3, 4), (5.0, 4.0, 5.0, 4.0)]]


def test_a_resumed_training_must_have_the_same_photos(
    settings: FitRequest, begun: Path, tmp_path: Path
) -> None:
    (annotations,), (root,) = settings.train.files, settings.train.roots
    shutil.copytree(root, tmp_path / "photos")
    content = json.loads(annotations.read_text())
    name = Path(content["images"][0]["file_name"])
    content["images"][0]["file_name"] = str(name.with_stem("other"))
    (tmp_path / "photos" / name).rename((tmp_path / "photos" / name).with_stem("other"))
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    photos = Labels([other], [tmp_path / "photos"])
    with pytest.raises(UserError, match=r"latest\.pth: it was trained on other photos"):
        fit(replace(settings, train=photos, epochs=2, resume_from=begun))


def test_an_older_checkpoint_does_not_replace_a_newer_one(
    settings: FitRequest, begun: Path
) -> None:
    older = begun.with_name("older.pth")
    shutil.copy(begun, older)
    assert fit(replace(settings, epochs=2, resume_from=older)).epochs == 2
    before = begun.read_bytes()
    with pytest.raises(
        UserError, match=r"its latest\.pth has 2 epochs behind it, .*older\.pth has 1"
    ):
        fit(replace(settings, epochs=3, resume_from=older))
    assert begun.read_bytes() == before


def test_a_training_goes_on_with_the_same_teacher(settings: FitRequest) -> None:
    folder = settings.template.path.parent

    def taught(**distillation: Any) -> FitRequest:
        return with_template(
            settings,
            lambda content: content["hyper_parameters"].update(distillation=distillation or None),
        )

    teacher = folder / "teacher.pth"
    shutil.copy(fit(replace(settings, output=folder / "first", epochs=1)).latest, teacher)
    latest = fit(replace(taught(teacher="teacher.pth"), epochs=1)).latest
    with pytest.raises(UserError, match="trained by other losses"):
        fit(replace(taught(), epochs=2, resume_from=latest))
    shutil.copy(latest, teacher)
    with pytest.raises(UserError, match="another teacher, whose file has changed"):
        fit(replace(taught(teacher="teacher.pth"), epochs=2, resume_from=latest))


def test_shipped_weights_bring_their_seed(settings: FitRequest, tmp_path: Path) -> None:
    read = read_weights(fit(replace(settings, epochs=1, seed=5)).latest)
    shipped = tmp_path / "snapshot.safetensors"
    write_weights(
        shipped, template_text=read.template_text, state_dict=read.state_dict, epochs=1, seed=5
    )
    output = tmp_path / "on"
    report = fit(replace(settings, output=output, epochs=2, resume_from=shipped))
    assert read_weights(report.latest).seed == 5


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("type", "adamw", "optimizer type muon, .*template.yaml has adamw"),
        ("weight_decay", 5.0, "optimizer weight_decay 0.01, .*template.yaml has 5.0"),
    ],
)
def test_a_training_does_not_go_on_by_another_optimizer(
    settings: FitRequest, begun: Path, key: str, value: Any, message: str
) -> None:
    settings = _by("muon", settings)
    before = settings.template.spec.hyper_parameters.optimizer.model_dump()
    common = {key: before[key] for key in ("type", "momentum", "weight_decay")}

    def with_optimizer(**optimizer: Any) -> FitRequest:
        return with_template(
            settings, lambda content: content["hyper_parameters"].update(optimizer=optimizer)
        )

    with pytest.raises(UserError, match=rf"--resume-from .*latest\.pth: .*{message}"):
        fit(replace(with_optimizer(**common | {key: value}), epochs=2, resume_from=begun))
    settings = with_optimizer(**before | {"gradient_clip": 5.0})  # which is no part of its state
    assert read_weights(fit(replace(settings, epochs=2, resume_from=begun)).latest).epochs == 2


def test_the_receipt_tells_every_start(settings: FitRequest) -> None:
    latest = fit(replace(settings, epochs=1, command="pocketface train --epochs 1")).latest
    digest = sha256_file(latest)
    fit(replace(settings, epochs=2, resume_from=latest))
    receipt = yaml.safe_load((settings.output / "receipt.yaml").read_text())
    assert (receipt["epochs"], receipt["finished"], receipt["best_ap50"]) == (2, True, None)
    first, second = receipt["starts"]
    assert receipt["hours"] == pytest.approx(first["hours"] + second["hours"])
    assert first["command"] == "pocketface train --epochs 1"
    assert (first["epochs"], second["epochs"]) == (1, 2)
    assert second["files"]["resume_from"] == [{"file": "latest.pth", "sha256": digest}]
    (annotations,) = settings.train.files
    for start in (first, second):
        assert start["template"]["sha256"] == sha256_file(settings.template.path)
        assert start["files"]["train_annotations"][0]["sha256"] == sha256_file(annotations)
        assert start["host"]["pocketface"] == pocketface.__version__


def test_a_checkpoint_whose_name_is_not_utf_8_is_resumed(settings: FitRequest, begun: Path) -> None:
    odd = begun.rename(begun.with_name(os.fsdecode(b"derni\xe8re.pth")))
    assert fit(replace(settings, epochs=2, resume_from=odd)).epochs == 2


def test_the_receipt_has_all_parts_of_weights_that_are_several_files(
    settings: FitRequest, begun: Path, tmp_path: Path
) -> None:
    """The `.xml` of OpenVINO's weights says nothing of their tensors."""
    parts = [tmp_path / "theirs.xml", tmp_path / "theirs.bin"]
    for part in parts:
        part.write_text(part.suffix)
    weights = replace(read_weights(begun), path=parts[0])
    fit(replace(settings, output=tmp_path / "new", epochs=1, load_weights=weights))
    (start,) = yaml.safe_load((tmp_path / "new" / "receipt.yaml").read_text())["starts"]
    assert start["files"]["load_weights"] == [
        {"file": part.name, "sha256": sha256_file(part)} for part in parts
    ]


def test_a_resumed_training_keeps_rate_and_seed_unless_told(settings: FitRequest) -> None:
    latest = fit(replace(settings, epochs=1, seed=7, base_learning_rate=1e-4)).latest

    def run(**more: Any) -> tuple[Any, ...]:
        fit(replace(settings, resume_from=latest, **more))
        group = torch.load(latest, weights_only=True)["lr_schedulers"][0]
        return group["base_lrs"][0], read_weights(latest).seed

    assert run(epochs=2, base_learning_rate=3e-5) == (3e-5, 7)
    assert run(epochs=3) == (3e-5, 7)
    assert run(epochs=4, seed=8)[1] == 8
    receipt = yaml.safe_load((settings.output / "receipt.yaml").read_text())
    starts = [start["settings"] for start in receipt["starts"]]
    assert [start["base_learning_rate"] for start in starts] == [1e-4, 3e-5, 3e-5, 3e-5]
    assert [start["seed"] for start in starts] == [7, 7, 7, 8]


def test_a_rate_asked_for_reaches_each_part_of_muon(settings: FitRequest) -> None:
    settings = _by("muon", settings)
    latest = fit(replace(settings, epochs=1, base_learning_rate=1e-4)).latest

    def rates() -> list[float]:
        return torch.load(latest, weights_only=True)["lr_schedulers"][0]["base_lrs"]

    assert rates() == pytest.approx([1e-4, 1e-4, 6e-4])
    fit(replace(settings, resume_from=latest, epochs=2, base_learning_rate=2e-5))
    assert rates() == pytest.approx([2e-5, 2e-5, 12e-5])


def test_epochs_must_exceed_those_of_the_snapshot(settings: FitRequest, begun: Path) -> None:
    with pytest.raises(UserError, match=r"--epochs 1: .*latest.pth has 1 epochs behind it"):
        fit(replace(settings, epochs=1, resume_from=begun))


def test_a_snapshot_without_optimizer_state_goes_on_at_its_epoch(
    settings: FitRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    step = module_file.TemplateModule.training_step

    def remember(self: Any, batch: Any) -> Tensor:
        seen.extend(image.numpy().tobytes() for image in batch[0])
        return step(self, batch)

    monkeypatch.setattr(module_file.TemplateModule, "training_step", remember)
    weights = read_weights(fit(replace(settings, epochs=1)).latest)
    snapshot = tmp_path / "snapshot.safetensors"
    write_weights(
        snapshot,
        template_text=weights.template_text,
        state_dict=weights.state_dict,
        epochs=weights.epochs,
    )
    output = tmp_path / "more"
    report = fit(replace(settings, output=output, epochs=2, resume_from=snapshot))
    assert read_weights(report.latest).epochs == 2
    # Not those of the first epoch again.
    assert seen[-8:] != seen[:8]
    # And that run's own checkpoint is resumed in turn.
    again = fit(replace(settings, output=output, epochs=3, resume_from=report.latest))
    assert read_weights(again.latest).epochs == 3
    drawn: dict[str, list[float]] = {}
    monkeypatch.setattr(
        Axes,
        "plot",
        lambda self, x, y, **k: drawn.setdefault(k["label"], list(x)),  # noqa: ARG005
    )
    draw_curves(output)
    assert drawn["train/loss_epoch"] == [2, 3]


def test_fine_tuning_on_few_photos(settings: FitRequest, tmp_path: Path) -> None:
    """Ten photos: ten steps an epoch, no photo twice in a step, and statistics as they are."""

    def change(content: Content) -> None:
        content["hyper_parameters"]["basic"]["batch_size"] = 16

    settings = with_template(settings, change)
    begun = read_weights(fit(replace(settings, epochs=1)).latest)
    snapshot = tmp_path / "snapshot.safetensors"
    write_weights(
        snapshot, template_text=begun.template_text, state_dict=begun.state_dict, epochs=1
    )
    output = tmp_path / "more"
    latest = snapshot
    for epochs in (2, 3):  # the second one has the optimizer's state
        latest = fit(replace(settings, output=output, epochs=epochs, resume_from=latest)).latest
        state = read_weights(latest).state_dict
        kept = [name for name in state if "running_" in name]
        assert kept
        assert all(torch.equal(state[name], begun.state_dict[name]) for name in kept)
        assert not _same(state, begun.state_dict)
        run = torch.load(latest, weights_only=True)["pocketface_run"]
        assert (run["batch_size"], run["steps_per_epoch"]) == (10, 10)
    # Everything else learns its statistics, and takes the steps that the template means.
    other = read_weights(
        fit(replace(settings, output=tmp_path / "anew", load_weights=begun)).latest
    )
    assert not any(torch.equal(other.state_dict[name], begun.state_dict[name]) for name in kept)


@pytest.mark.parametrize("resumed", [False, True])
def test_far_too_many_epochs_are_told_of(
    settings: FitRequest, begun: Path, caplog: pytest.LogCaptureFixture, resumed: bool
) -> None:
    start = begun if resumed else None
    for epochs, told in ((19, False), (20, True)):
        caplog.clear()
        find_start(settings.template, None, start, epochs=epochs, base_learning_rate=None)
        assert ("is 10 times the template's 2: was 2 meant?" in caplog.text) == told


def test_a_training_does_not_go_on_by_another_loss(settings: FitRequest, begun: Path) -> None:
    text = settings.template.path.read_text(encoding="utf-8")
    for change in (("quality_focal", "focal"), ("anchor_scale: 3.0", "anchor_scale: 2.0")):
        assert change[0] in text
        settings.template.path.write_text(text.replace(*change), encoding="utf-8")
        other = replace(settings, template=open_template(settings.template.path))
        with pytest.raises(UserError, match=r"latest\.pth: it was trained by other losses"):
            fit(replace(other, epochs=2, resume_from=begun))
