"""Which photos make a batch. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from ..learning import EXTRA, EpochSampler, Key
from .crops import PeopleCrops


class PeopleSampler(EpochSampler):
    """Batches of some photos of each of some people, for losses of pairs and triplets.

    Each batch draws people, and of each `crops.together` photos, taken again where a person has
    fewer. Every known person is drawn about as often in an epoch; photos of unknown people never.
    Other arguments: see `EpochSampler`.
    """

    def __init__(self, crops: PeopleCrops, **options: int) -> None:
        super().__init__(crops, **options)
        assert crops.together is not None
        self.together = crops.together
        self.people = [places for places in crops.by_person() if len(places) > 1]

    def __iter__(self) -> Iterator[list[Key]]:
        run = (self.first_epoch + self.epoch) * self.repeats
        rng = np.random.default_rng((self.seed, run))
        wanted = max(2, self.batch_size // self.together)
        queue: list[int] = []
        for batch in range(len(self) * self.world_size):
            while len(queue) < wanted:
                queue += rng.permutation(len(self.people)).tolist()
            chosen, queue = queue[:wanted], queue[wanted:]
            places = [
                int(place)
                for person in chosen
                for place in rng.choice(
                    self.people[person],
                    self.together,
                    replace=len(self.people[person]) < self.together,
                )
            ]
            if batch % self.world_size == self.rank:
                # A photo is cut differently each time that it is taken.
                yield [(run + batch * EXTRA, place) for place in places]


def loader(crops: PeopleCrops, **options: int) -> Sampler[list[Key]]:
    """See `tasks.learning.Loader`."""
    if crops.together is None:
        return EpochSampler(crops, **options)
    return PeopleSampler(crops, **options)
