"""Photos a second, and the share of the time that was spent waiting for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pocketface.training import pace
from pocketface.training.pace import PHOTOS_PER_SECOND, WAITING, Pace


def test_of_every_epoch_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 4 in each of 2 processes: 5 s for the first; then 1 s of waiting, 3 s of work."""
    clock = 100.0
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock))
    logged: dict[str, float] = {}
    module: Any = SimpleNamespace(log=lambda key, value, **_: logged.update({key: value}))
    trainer: Any = SimpleNamespace(world_size=2)
    callback = Pace()
    batch = (torch.zeros(4, 3, 8, 8), None)
    for waiting, working in ((1.0, 3.0), (0.0, 2.0)):
        logged.clear()
        callback.on_train_epoch_start(trainer, module)
        clock += 5.0
        for index in range(3):
            clock += waiting if index else 7.0  # processes start
            callback.on_train_batch_start(trainer, module, batch, index)
            clock += working
            callback.on_train_batch_end(trainer, module, None, batch, index)
        callback.on_train_epoch_end(trainer, module)
        assert logged == {
            PHOTOS_PER_SECOND: pytest.approx(2 * 8 / (2 * (waiting + working))),
            WAITING: pytest.approx(waiting / (waiting + working)),
        }


def test_nothing_of_a_single_batch() -> None:
    module: Any = SimpleNamespace(log=pytest.fail)
    trainer: Any = SimpleNamespace(world_size=1)
    callback = Pace()
    callback.on_train_epoch_start(trainer, module)
    callback.on_train_batch_start(trainer, module, None, 0)
    callback.on_train_batch_end(trainer, module, None, (torch.zeros(4), None), 0)
    callback.on_train_epoch_end(trainer, module)
