"""Which samples come in which step, whatever the task."""

from __future__ import annotations

import pytest

from pocketface.tasks.learning import EpochSampler


def test_an_epoch_visits_every_photo_as_often_as_asked_in_shares() -> None:
    def keys(epoch: int, rank: int = 0, world: int = 1) -> list[tuple[int, int]]:
        sampler = EpochSampler(
            range(12), batch_size=2, repeats=2, seed=5, rank=rank, world_size=world
        )
        sampler.set_epoch(epoch)
        assert len(list(sampler)) == len(sampler)
        return [key for batch in sampler for key in batch]

    whole = keys(0)
    assert sorted(whole) == sorted((run, i) for run in (0, 1) for i in range(12))
    assert sorted(keys(0, 0, 2) + keys(0, 1, 2)) == sorted(whole)
    assert not set(keys(1)) & set(whole)
    assert whole != sorted(whole)


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("processes", [1, 4])
def test_fewer_photos_than_a_batch_still_make_one(repeats: int, processes: int) -> None:
    batches = [
        batch
        for rank in range(processes)
        for batch in EpochSampler(
            range(3), batch_size=8, repeats=repeats, seed=0, rank=rank, world_size=processes
        )
    ]
    assert [len(batch) for batch in batches] == [8] * processes
    keys = [key for batch in batches for key in batch]
    assert len(set(keys)) == 8 * processes
    assert {index for _, index in keys} == {0, 1, 2}
