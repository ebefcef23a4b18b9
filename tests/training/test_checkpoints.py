"""Checkpoints are whole, whatever happens while they are written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightning
import pytest
import torch

from pocketface.errors import TrainingError
from pocketface.models.weights import read_weights
from pocketface.training import callbacks
from pocketface.training.callbacks import AtomicCheckpointIO, weight_averaging
from pocketface.training.fit import fit
from pocketface.training.request import FitRequest

from ..full_disk import full_disk


class _Interrupted:
    """A file whose fourth write is cut by Ctrl-C."""

    def __init__(self, file: object) -> None:
        self._file = file
        self._writes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        self._writes += 1
        if self._writes == 4:
            raise KeyboardInterrupt
        return self._file.write(data)  # type: ignore[attr-defined, no-any-return]


def test_ctrl_c_while_saving_stays_a_ctrl_c_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "latest.pth"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    save = torch.save
    monkeypatch.setattr(
        callbacks.torch, "save", lambda content, file: save(content, _Interrupted(file))
    )
    with pytest.raises(KeyboardInterrupt):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2, "x": torch.zeros(10_000)}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_averaging_remembers_longer_the_longer_it_runs() -> None:
    average = weight_averaging(0.5)._kwargs["multi_avg_fn"]
    for count, expected in ((0, 0.9), (2, 0.75), (1000, 0.5)):
        old = [torch.zeros(1), torch.zeros(2)]
        average(old, [torch.ones(1), torch.ones(2)], torch.tensor(count))
        assert torch.cat(old).tolist() == pytest.approx([expected] * 3)
    counter = [torch.tensor(3)]
    average(counter, [torch.tensor(7)], 5)
    assert counter == [torch.tensor(7)]


def test_the_average_is_kept_where_the_network_will_be() -> None:
    # "meta" stands for a GPU, to which the network has not moved yet when Lightning asks.
    averaging = weight_averaging(0.5, device="meta")
    module = lightning.LightningModule()
    module.layer = torch.nn.Linear(2, 2)
    averaging.setup(lightning.Trainer(logger=False, barebones=True), module, "fit")
    assert averaging._average_model is not None
    assert {p.device.type for p in averaging._average_model.parameters()} == {"meta"}


def test_a_training_whose_disk_runs_full_goes_on_later(
    settings: FitRequest, tmp_path: Path
) -> None:
    whole = fit(replace(settings, output=tmp_path / "whole", epochs=1)).latest
    # Room for the checkpoint of the start, which has no optimizer's state yet.
    room = whole.stat().st_size - 1000
    with (
        full_disk(room),
        pytest.raises(TrainingError, match=r"latest\.pth: File too large") as caught,
    ):
        fit(replace(settings, epochs=1))
    latest = settings.output / "latest.pth"
    assert caught.value.hint == f"{latest} is whole: go on with it by --resume-from"
    assert fit(replace(settings, resume_from=latest, epochs=1)).latest == latest
    assert read_weights(latest).epochs == 1
