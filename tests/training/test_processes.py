"""Trainings as processes: killed, interrupted, and two that share the work."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

from pocketface.models.weights import read_weights
from pocketface.training.fit import fit
from pocketface.training.request import FitRequest


# Workers only in processes of their own: OpenVINO leaves the process that loads it a signal stack
# on which the signal of a worker's end (SIGCHLD) can crash.
def _train_command(settings: FitRequest, *, epochs: int) -> list[str]:
    command = ["pocketface", "train", "--template", str(settings.template.path)]
    command += ["--train-ann-files", str(settings.train.files[0])]
    command += ["--train-data-roots", str(settings.train.roots[0])]
    command += ["--save-checkpoints-to", str(settings.output)]
    return [*command, f"--epochs={epochs}", "--gpu-num=0", "--workers=1"]


# That files are whole at every moment is also seen in test_checkpoints.py, without a process.
@pytest.mark.full
def test_a_killed_training_leaves_a_loadable_checkpoint(settings: FitRequest) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", *_train_command(settings, epochs=1000)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_for_epoch(process)
    finally:
        process.kill()
        process.communicate()
    assert read_weights(settings.output / "latest.pth").epochs >= 1


def test_ctrl_c_says_how_to_go_on(settings: FitRequest) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", *_train_command(settings, epochs=1000)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    latest = settings.output / "latest.pth"
    try:
        _wait_for_epoch(process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    epochs = read_weights(latest).epochs
    assert epochs >= 1
    again = f"epoch {epochs + 1} of 1000 begins again with --resume-from {latest}"
    assert said.splitlines()[-1] == f"pocketface: interrupted; {again}"


# Each process tells which photos it saw, and what its weights are in the end.
_TELLING = """
import hashlib, json, os, sys
from pathlib import Path
import torch
from pocketface.cli import main
from pocketface.training.module import TemplateModule

rank, folder = os.environ["RANK"], Path(sys.argv.pop(1))
step, end = TemplateModule.training_step, TemplateModule.on_train_end
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

TemplateModule.training_step, TemplateModule.on_train_end = remember, tell
sys.exit(main(sys.argv[1:]))
"""


def test_two_processes_share_the_work_under_torchrun(settings: FitRequest, tmp_path: Path) -> None:
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
    checkpoint = torch.load(settings.output / "latest.pth", weights_only=True)
    assert checkpoint["global_step"] == 1
    assert result.stderr.count("epoch 1 of 1: loss") == 1
    assert result.stdout.count("written:") == 3
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert len({*one["photos"], *other["photos"]}) == 8
    # From different photos: they can only be the same if gradients were averaged.
    assert one["weights"] == other["weights"]


def _wait_for_epoch(process: subprocess.Popen[str]) -> None:
    """Until the process says that one is over."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if "epoch 1 of 1000: loss" in line:
            return
        said.append(line)
    pytest.fail(f"training ended: {''.join(said)}")


def test_ctrl_c_after_the_last_epoch(settings: FitRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = lightning.Trainer.fit

    def interrupted(trainer: lightning.Trainer, *arguments: Any, **options: Any) -> None:
        whole(trainer, *arguments, **options)
        raise SystemExit(130)  # as Lightning does

    monkeypatch.setattr(lightning.Trainer, "fit", interrupted)
    latest = settings.output / "latest.pth"
    with pytest.raises(KeyboardInterrupt, match=f"all 2 epochs are in {re.escape(str(latest))}"):
        fit(settings)
    assert read_weights(latest).epochs == 2
