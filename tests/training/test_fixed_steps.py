"""Epochs of a given number of steps."""

from __future__ import annotations

from pocketface.tasks.learning import EpochSampler
from pocketface.training.fixed_steps import FixedSteps


class _Photos:
    def __len__(self) -> int:
        return 5


def batches(steps: int | None, epoch: int, *, first_epoch: int = 0) -> list[list[tuple[int, int]]]:
    sampler = EpochSampler(_Photos(), batch_size=2, repeats=1, seed=3)  # type: ignore[arg-type]
    if steps is None:
        sampler.set_epoch(epoch)
        return list(sampler)
    fixed = FixedSteps(sampler, steps=steps, first_epoch=first_epoch)
    fixed.set_epoch(epoch)
    assert len(fixed) == steps
    return list(fixed)


def test_epochs_have_the_steps_asked_for_and_go_on_where_they_ended() -> None:
    passes = [batch for epoch in range(6) for batch in batches(None, epoch)]
    assert len(batches(None, 0)) == 2
    steps = [batch for epoch in range(4) for batch in batches(3, epoch)]
    assert steps == passes[:12]


def test_a_resumed_training_goes_on_with_its_own_batches() -> None:
    assert batches(3, 0, first_epoch=2) == batches(3, 2)


def test_an_epoch_may_be_less_than_one_pass() -> None:
    assert [batches(1, epoch) for epoch in range(2)] == [[one] for one in batches(None, 0)]
