"""Epochs of a given number of steps, for recipes that count steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import Sampler


class FixedSteps(Sampler[Any]):
    """The batches of a sampler's epochs one after the other, so many of them in each epoch.

    Args:
        sampler: Gives whole batches; has `set_epoch` and a length.
        steps: Batches of an epoch.
        first_epoch: Epochs before Lightning began to count.
    """

    def __init__(self, sampler: Any, *, steps: int, first_epoch: int) -> None:
        self.sampler = sampler
        self.steps = steps
        self.first_epoch = first_epoch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this at the start of each, also when resumed."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        begin = (self.first_epoch + self.epoch) * self.steps
        place, end = begin, begin + self.steps
        while place < end:
            run, inside = divmod(place, len(self.sampler))
            self.sampler.set_epoch(run)
            for batch in islice(self.sampler, inside, inside + end - place):
                yield batch
                place += 1
