"""Whole trainings on the ten airport photos: resume, interruption, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from matplotlib.axes import Axes
from torch import Tensor

import pocketface
from pocketface.data.coco import read_coco
from pocketface.errors import TrainingError, UserError
from pocketface.evaluation.detector import evaluate_detector
from pocketface.files import sha256_file
from pocketface.model_templates.catalogue import template_path
from pocketface.models.weights import read_weights, shipped_weights, write_weights
from pocketface.training import fit as fit_file
from pocketface.training import module as module_file
from pocketface.training.fit import fit
from pocketface.training.receipt import draw_curves


@pytest.fixture
def settings(shared: Path, tiny_template: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "template": tiny_template,
        "train_annotations": [shared / "airport" / "annotation_faces_train.json"],
        "train_roots": [shared / "airport"],
        "output": tmp_path / "out",
        "workers": 0,
        "gpu_num": 0,
        "progress": False,
    }


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return bool(torch.equal(first, second))
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return bool(first == second)


def _train_by(optimizer: str, template: Path) -> None:
    content = yaml.safe_load(template.read_text(encoding="utf-8"))
    content["hyper_parameters"]["optimizer"] |= {"type": optimizer, "muon_factor": 3.0}
    template.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_interrupted_training_resumes_to_the_very_same_end(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    _train_by(optimizer, settings["template"])
    whole = fit(**settings | {"output": tmp_path / "whole"}, epochs=3)

    step = module_file.DetectionModule.training_step

    def interrupted(self: Any, batch: Any) -> Tensor:
        if self.global_step == 3:  # the second of the second epoch's two
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module_file.DetectionModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"latest\.pth"):
            fit(**settings, epochs=3)
    latest = settings["output"] / "latest.pth"
    assert read_weights(latest).epochs == 1

    resumed = fit(**settings, epochs=3, resume_from=latest)

    first = torch.load(whole.latest, weights_only=True)
    second = torch.load(resumed.latest, weights_only=True)
    for key in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        assert _same(first[key], second[key]), key
    assert first["global_step"] == second["global_step"] > 0
    assert read_weights(resumed.latest).epochs == 3


def test_every_epoch_brings_new_samples(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = module_file.DetectionModule.training_step
    seen: dict[int, list[Tensor]] = {0: [], 1: []}

    def remember(self: Any, batch: Any) -> Tensor:
        seen[self.current_epoch].extend(batch[0])
        return step(self, batch)

    monkeypatch.setattr(module_file.DetectionModule, "training_step", remember)
    fit(**settings, epochs=2)
    assert len(seen[0]) == len(seen[1]) == 8
    assert not any(torch.equal(a, b) for a in seen[0] for b in seen[1])


def test_training_changes_the_weights_and_the_average_follows(settings: dict[str, Any]) -> None:
    report = fit(**settings, epochs=1)
    checkpoint = torch.load(report.latest, weights_only=True)
    averaged, current = checkpoint["state_dict"], checkpoint["current_model_state"]
    names = [name for name in current if name.endswith("classes.weight")]
    assert len(names) == 3
    for name in names:
        assert not torch.equal(averaged[name], current[name])
    assert report.best is None
    assert [path.name for path in report.written] == ["latest.pth", "curves.png", "receipt.yaml"]
    assert all(path.stat().st_size > 100 for path in report.written)


def test_best_is_kept_by_the_validation_photos(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([0.2, 0.6, 0.4])
    monkeypatch.setattr(
        module_file, "evaluate_detector", lambda *_: ([], {"ap": 0.1, "ap50": next(figures)})
    )
    photos = {
        "val_annotations": settings["train_annotations"],
        "val_roots": settings["train_roots"],
    }
    report = fit(**settings, **photos, epochs=3)
    assert report.best is not None
    assert report.best_value == pytest.approx(0.6)
    assert read_weights(report.best).epochs == 2
    assert read_weights(report.latest).epochs == 3


def test_best_is_the_average_that_was_measured(settings: dict[str, Any]) -> None:
    (annotations,), (root,) = settings["train_annotations"], settings["train_roots"]
    report = fit(
        **settings,
        load_weights=shipped_weights(template_path("face-detection-n")),
        val_annotations=[annotations],
        val_roots=[root],
        val_every=2,
        base_learning_rate=3e-4,
        epochs=3,
    )
    assert report.best is not None
    # The second by `val_every`, and the third because it is the last.
    log = (settings["output"] / "logs" / "csv" / "version_0" / "metrics.csv").read_text()
    rows = [row for row in csv.DictReader(io.StringIO(log)) if row["val/ap50"]]
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert report.best_value == max(float(row["val/ap50"]) for row in rows) > 0.1
    model = pocketface.load(report.best)
    photos = read_coco([annotations], [root], classes=("face",)).photos
    _, figures = evaluate_detector(partial(model.predict, score_threshold=0.02), photos)
    assert figures["ap50"] == pytest.approx(report.best_value, abs=1e-6)


def test_a_best_of_other_photos_is_none(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([0.9, 0.1, 0.2, 0.3])
    monkeypatch.setattr(
        module_file, "evaluate_detector", lambda *_: ([], {"ap": 0.1, "ap50": next(figures)})
    )
    (annotations,), (root,) = settings["train_annotations"], settings["train_roots"]
    other = tmp_path / "other.json"
    other.write_text(annotations.read_text() + "\n")
    validation = {"val_annotations": [annotations], "val_roots": [root]}
    latest = fit(**settings, **validation, epochs=1).latest
    report = fit(**settings, **validation, epochs=2, resume_from=latest)
    assert report.best_value == pytest.approx(0.9)
    report = fit(**settings, **validation | {"val_annotations": [other]}, epochs=3,
                 resume_from=latest)  # fmt: skip
    assert report.best_value == pytest.approx(0.2)
    output = tmp_path / "elsewhere"
    report = fit(**settings | {"output": output}, **validation, epochs=4, resume_from=latest)
    assert report.best_value == pytest.approx(0.3)
    assert read_weights(output / "best.pth").epochs == 4


def test_a_resumed_training_must_have_the_same_steps(settings: dict[str, Any]) -> None:
    latest = fit(**settings, epochs=1).latest
    with pytest.raises(
        UserError, match=r"latest\.pth: its epochs have 2 steps, these would have 5"
    ):
        fit(**settings, epochs=2, batch_size=2, resume_from=latest)


def test_the_receipt_tells_every_start(settings: dict[str, Any]) -> None:
    latest = fit(**settings, epochs=1, command="pocketface train --epochs 1").latest
    digest = sha256_file(latest)
    fit(**settings, epochs=2, resume_from=latest)
    receipt = yaml.safe_load((settings["output"] / "receipt.yaml").read_text())
    assert (receipt["epochs"], receipt["finished"], receipt["best_ap50"]) == (2, True, None)
    first, second = receipt["starts"]
    assert receipt["hours"] == pytest.approx(first["hours"] + second["hours"])
    assert first["command"] == "pocketface train --epochs 1"
    assert (first["epochs"], second["epochs"]) == (1, 2)
    assert second["files"]["resume_from"] == [{"file": "latest.pth", "sha256": digest}]
    (annotations,) = settings["train_annotations"]
    for start in (first, second):
        assert start["template"]["sha256"] == sha256_file(settings["template"])
        assert start["files"]["train_annotations"][0]["sha256"] == sha256_file(annotations)
        assert start["host"]["pocketface"] == pocketface.__version__


def test_a_rate_is_scaled_to_the_photos_of_a_step(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    latest = fit(**settings, epochs=1, batch_size=1).latest
    group = torch.load(latest, weights_only=True)["lr_schedulers"][0]
    assert group["base_lrs"][0] == pytest.approx(1.5e-3 / 2)  # AdamW: by the root
    assert "learning rate 0.00075 instead of 0.0015: a step takes 1 photos" in caplog.text


def test_a_resumed_training_keeps_rate_and_seed_unless_told(settings: dict[str, Any]) -> None:
    latest = fit(**settings, epochs=1, seed=7, base_learning_rate=1e-4).latest

    def run(**more: Any) -> tuple[Any, ...]:
        fit(**settings, resume_from=latest, **more)
        group = torch.load(latest, weights_only=True)["lr_schedulers"][0]
        return group["base_lrs"][0], read_weights(latest).seed

    assert run(epochs=2, base_learning_rate=3e-5) == (3e-5, 7)
    assert run(epochs=3) == (3e-5, 7)
    assert run(epochs=4, seed=8)[1] == 8
    receipt = yaml.safe_load((settings["output"] / "receipt.yaml").read_text())
    starts = [start["settings"] for start in receipt["starts"]]
    assert [start["base_learning_rate"] for start in starts] == [1e-4, 3e-5, 3e-5, 3e-5]
    assert [start["seed"] for start in starts] == [7, 7, 7, 8]


def test_a_rate_asked_for_reaches_each_part_of_muon(settings: dict[str, Any]) -> None:
    _train_by("muon", settings["template"])
    latest = fit(**settings, epochs=1, base_learning_rate=1e-4).latest

    def rates() -> list[float]:
        return torch.load(latest, weights_only=True)["lr_schedulers"][0]["base_lrs"]

    assert rates() == pytest.approx([1e-4, 1e-4, 3e-4])
    fit(**settings, resume_from=latest, epochs=2, base_learning_rate=2e-5)
    assert rates() == pytest.approx([2e-5, 2e-5, 6e-5])


def test_a_folder_of_another_training_is_left_alone(settings: dict[str, Any]) -> None:
    latest = fit(**settings, epochs=1).latest
    before = latest.read_bytes()
    with pytest.raises(UserError, match=r"--save-checkpoints-to .*: holds a latest\.pth"):
        fit(**settings, epochs=2)
    assert latest.read_bytes() == before


def test_a_damaged_photo_is_left_out_and_named(
    settings: dict[str, Any], shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "photos"
    shutil.copytree(shared / "airport", root)
    (root / "train" / "image_000003.jpg").write_bytes(b"not a photo")
    report = fit(**settings | {"train_roots": [root]}, epochs=1)
    assert "left out 1 photos that cannot be decoded" in caplog.text
    assert "image_000003.jpg" in caplog.text
    assert read_weights(report.latest).epochs == 1


def test_epochs_must_exceed_those_of_the_snapshot(settings: dict[str, Any]) -> None:
    report = fit(**settings, epochs=1)
    with pytest.raises(UserError, match=r"--epochs 1: .*latest.pth has 1 epochs behind it"):
        fit(**settings, epochs=1, resume_from=report.latest)


def test_a_snapshot_without_optimizer_state_goes_on_at_its_epoch(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    step = module_file.DetectionModule.training_step

    def remember(self: Any, batch: Any) -> Tensor:
        seen.extend(image.numpy().tobytes() for image in batch[0])
        return step(self, batch)

    monkeypatch.setattr(module_file.DetectionModule, "training_step", remember)
    weights = read_weights(fit(**settings, epochs=1).latest)
    snapshot = tmp_path / "snapshot.safetensors"
    write_weights(
        snapshot,
        template_text=weights.template_text,
        state_dict=weights.state_dict,
        epochs=weights.epochs,
    )
    output = tmp_path / "more"
    report = fit(**settings | {"output": output}, epochs=2, resume_from=snapshot)
    assert read_weights(report.latest).epochs == 2
    # Not those of the first epoch again.
    assert seen[-8:] != seen[:8]
    # And that run's own checkpoint is resumed in turn.
    again = fit(**settings | {"output": output}, epochs=3, resume_from=report.latest)
    assert read_weights(again.latest).epochs == 3
    drawn: dict[str, list[float]] = {}
    monkeypatch.setattr(
        Axes,
        "plot",
        lambda self, x, y, **k: drawn.setdefault(k["label"], list(x)),  # noqa: ARG005
    )
    draw_curves(output)
    assert drawn["train/loss_epoch"] == [2, 3]


def test_a_loss_that_is_not_finite_names_the_photos(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> dict[str, Tensor]:
        return {"box": torch.tensor(float("nan"), requires_grad=True)}

    monkeypatch.setitem(module_file.LOSSES, "dense", broken)
    with pytest.raises(TrainingError, match=r"loss \(box nan\) is not finite at step 0") as caught:
        fit(**settings, epochs=1)
    # Each of the batch's four by its id and its file.
    named = re.findall(r"(\d+) \(\S+/train/image_0*(\d+)\.jpg\)", str(caught.value))
    assert len(named) == 4
    assert read_weights(settings["output"] / "latest.pth").epochs == 0
    receipt = yaml.safe_load((settings["output"] / "receipt.yaml").read_text())
    assert (receipt["finished"], receipt["epochs"]) == (False, 0)


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(predictions: Any, *_: Any, **__: Any) -> dict[str, Tensor]:
        # 0, and its derivative is infinite times 0.
        return {"class": (predictions.class_logits.sum() * 0).sqrt()}

    monkeypatch.setitem(module_file.LOSSES, "dense", broken)
    with pytest.raises(TrainingError, match=r"the gradient is not finite at step 0.*image_"):
        fit(**settings, epochs=1)
    weights = read_weights(settings["output"] / "latest.pth")
    assert all(tensor.isfinite().all() for tensor in weights.state_dict.values())


def test_weights_of_another_architecture_are_refused(settings: dict[str, Any]) -> None:
    report = fit(**settings, epochs=1)
    other = template_path("face-detection-s")
    with pytest.raises(UserError, match="architecture"):
        fit(**settings | {"template": other}, epochs=2, load_weights=report.latest)


def test_weights_learn_on_by_another_loss(settings: dict[str, Any], tmp_path: Path) -> None:
    quality = fit(**settings, epochs=1)
    text = settings["template"].read_text(encoding="utf-8")
    other = tmp_path / "focal.yaml"
    other.write_text(text.replace("quality_focal", "focal"), encoding="utf-8")
    reports = [
        fit(
            **settings | {"template": template, "output": tmp_path / template.stem},
            epochs=1,
            load_weights=quality.latest,
        )
        for template in (other, settings["template"])
    ]
    ours, theirs = (read_weights(report.latest) for report in reports)
    assert ours.template.architecture.head.loss.classification == "focal"
    name = "backbone.stem.0.weight"
    assert not torch.equal(ours.state_dict[name], theirs.state_dict[name])


def test_a_cpu_training_keeps_freed_memory(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class KeptError(Exception):
        pass

    def keep() -> None:
        raise KeptError

    monkeypatch.setattr(fit_file, "keep_freed_memory", keep)
    with pytest.raises(KeptError):
        fit(**settings | {"gpu_num": 0}, epochs=1)


def test_a_training_does_not_go_on_by_another_loss(settings: dict[str, Any]) -> None:
    report = fit(**settings, epochs=1)
    text = settings["template"].read_text(encoding="utf-8")
    for change in (("quality_focal", "focal"), ("anchor_scale: 3.0", "anchor_scale: 2.0")):
        assert change[0] in text
        settings["template"].write_text(text.replace(*change), encoding="utf-8")
        with pytest.raises(UserError, match=r"latest\.pth: it was trained by other losses"):
            fit(**settings, epochs=2, resume_from=report.latest)


def test_more_gpus_than_there_are(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"--gpu-num 99: this machine has \d+ CUDA GPUs"):
        fit(**settings | {"gpu_num": 99}, epochs=1)


# Workers only in processes of their own: OpenVINO leaves the process that loads it a signal stack
# on which the signal of a worker's end (SIGCHLD) can crash.
def _train_command(settings: dict[str, Any], *, epochs: int) -> list[str]:
    command = ["pocketface", "train", "--template", str(settings["template"])]
    command += ["--train-ann-files", str(settings["train_annotations"][0])]
    command += ["--train-data-roots", str(settings["train_roots"][0])]
    command += ["--save-checkpoints-to", str(settings["output"])]
    return [*command, f"--epochs={epochs}", "--gpu-num=0", "--workers=1"]


def test_a_killed_training_leaves_a_loadable_checkpoint(settings: dict[str, Any]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", *_train_command(settings, epochs=1000)],
        stderr=subprocess.PIPE,
        text=True,
    )
    latest = settings["output"] / "latest.pth"
    try:
        _wait_for_epochs(latest, process, epochs=1)
        time.sleep(random.uniform(0, 1))  # anywhere in an epoch, its saving included
    finally:
        process.kill()
        process.communicate()
    assert read_weights(latest).epochs >= 1


def test_ctrl_c_says_how_to_go_on(settings: dict[str, Any]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", *_train_command(settings, epochs=1000)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    latest = settings["output"] / "latest.pth"
    try:
        _wait_for_epochs(latest, process, epochs=1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == (f"pocketface: interrupted; go on with --resume-from {latest}")
    assert read_weights(latest).epochs >= 1


# Each process tells which photos it saw, and what its weights are in the end.
_TELLING = """
import hashlib, json, os, sys
from pathlib import Path
import torch
from pocketface.cli import main
from pocketface.training.module import DetectionModule

rank, folder = os.environ["RANK"], Path(sys.argv.pop(1))
step, end = DetectionModule.training_step, DetectionModule.on_train_end
photos = []

def remember(self, batch):
    photos.extend(batch[1].image_ids.tolist())
    return step(self, batch)

def tell(self):
    digest = hashlib.sha256()
    for parameter in self.network.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    told = {"photos": photos, "weights": digest.hexdigest()}
    (folder / f"{rank}.json").write_text(json.dumps(told))

DetectionModule.training_step, DetectionModule.on_train_end = remember, tell
sys.exit(main(sys.argv[1:]))
"""


def test_two_processes_share_the_work_under_torchrun(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "telling.py"
    script.write_text(_TELLING)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc-per-node=2", str(script), str(tmp_path)]
    result = subprocess.run(
        [*launcher, *_train_command(settings, epochs=1)[1:]],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    # Ten photos, two processes, batches of four: one step, where a single process makes two.
    checkpoint = torch.load(settings["output"] / "latest.pth", weights_only=True)
    assert checkpoint["global_step"] == 1
    assert result.stderr.count("epoch 1 of 1: loss") == 1
    assert result.stdout.count("written:") == 3
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert len({*one["photos"], *other["photos"]}) == 8
    # From different photos: they can only be the same if gradients were averaged.
    assert one["weights"] == other["weights"]


def _wait_for_epochs(latest: Path, process: subprocess.Popen[str], *, epochs: int) -> None:
    deadline = time.monotonic() + 300
    while not (latest.exists() and read_weights(latest).epochs >= epochs):
        if process.poll() is not None:
            pytest.fail(f"training ended: {process.communicate()[1]}")
        assert time.monotonic() < deadline
        time.sleep(0.2)
