"""Whole trainings of RetinaNet's head and of two stages."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from pocketface.training.fit import fit
from pocketface.training.module import TemplateModule
from pocketface.training.request import FitRequest
from tests.small_training import Content, with_template
from tests.tiny_network import HEADS

LOSSES = {
    "retina": {"train/class", "train/box"},
    "two_stage": {"train/rpn_objectness", "train/rpn_box", "train/class", "train/box"},
    "probabilistic_two_stage": {
        *(f"train/first_{name}" for name in ("class", "box", "landmark")),
        "train/class",
        "train/box",
    },
}


def _with(head: str, *, twice: bool = False) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        content["architecture"] |= yaml.safe_load(HEADS[head])
        if twice:
            content["hyper_parameters"]["gradient_checkpoints"] = True

    return change


@pytest.mark.parametrize("head", HEADS)
def test_losses_are_logged_and_a_training_goes_on_to_the_very_same_end(
    settings: FitRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    settings = replace(with_template(settings, _with(head)), epochs=2)
    whole = fit(replace(settings, output=tmp_path / "whole")).latest
    step = TemplateModule.training_step

    def interrupted(self: TemplateModule, batch: Any) -> Tensor:
        if self.global_step == 3:  # the second of the second epoch's two
            raise KeyboardInterrupt
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TemplateModule, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(settings)
    log = settings.output / "logs" / "csv" / "version_0" / "metrics.csv"
    with log.open(encoding="utf-8") as rows:
        (row,) = (one for one in csv.DictReader(rows) if one["train/class"])
    assert {name for name in row if name.startswith("train/")} - {"train/loss_step"} >= LOSSES[head]
    assert float(row["train/loss_epoch"]) == pytest.approx(
        sum(float(row[name]) for name in LOSSES[head]), rel=1e-4
    )
    begun = settings.output / "latest.pth"
    ends = [
        torch.load(path, weights_only=True)["state_dict"]
        for path in (whole, fit(replace(settings, resume_from=begun)).latest)
    ]
    assert ends[0].keys() == ends[1].keys()
    for name, tensor in ends[0].items():
        assert torch.equal(tensor, ends[1][name]), name


def test_gradient_checkpoints_change_nothing_that_is_learnt(
    settings: FitRequest, tmp_path: Path
) -> None:
    ends = []
    for twice in (False, True):
        asked = with_template(settings, _with("two_stage", twice=twice))
        report = fit(replace(asked, output=tmp_path / str(twice), epochs=1))
        ends.append(torch.load(report.latest, weights_only=True)["state_dict"])
    for name, tensor in ends[0].items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(ends[1][name], tensor, msg=name)


@pytest.mark.full
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_processes_share_the_work(settings: FitRequest, head: str, twice: bool) -> None:
    """All parameters have a part in the losses, which PyTorch insists on there."""
    settings = with_template(settings, _with(head, twice=twice))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "pocketface", "train", "--template", str(settings.template.path)]
    command += ["--train-ann-files", str(settings.train.files[0])]
    command += ["--train-data-roots", str(settings.train.roots[0])]
    command += ["--save-checkpoints-to", str(settings.output), "--epochs=2", "--batch-size=1"]
    command += ["--gpu-num=0", "--workers=0"]
    result = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    checkpoint = torch.load(settings.output / "latest.pth", weights_only=True)
    assert checkpoint["global_step"] == 10
