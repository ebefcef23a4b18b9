"""Which photos make a batch. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

from ...errors import DataError, UserError
from ..learning import EXTRA, EpochSampler, Key
from .crops import PeopleCrops


class PeopleSampler(EpochSampler):
    """Batches of some photos of each of some people, for losses of pairs and triplets.

    Each batch draws people, and of each `crops.together` photos, taken again where a person has
    fewer. Everybody who has two photos is drawn about as often in an epoch; people with one photo
    never, nor photos of unknown people. Other arguments: see `EpochSampler`.

    Raises:
        DataError: Fewer than two people have two photos, so that batches would lack pairs of two.
        UserError: The batch is too small for two people.
    """

    def __init__(self, crops: PeopleCrops, **options: int) -> None:
        super().__init__(crops, **options)
        assert crops.together is not None
        self.together = crops.together
        self.people = [places for places in crops.by_person() if len(places) > 1]
        if len(self.people) < 2:
            raise DataError(
                f"{len(self.people)} people have two or more training photos that can be used: "
                "expected two or more people for a loss of pairs or triplets"
            )
        if self.batch_size < 2 * self.together:
            raise UserError(
                f"--batch-size {self.batch_size}: expected {2 * self.together} or more, as the "
                f"loss takes {self.together} photos of each of two people or more"
            )

    def __iter__(self) -> Iterator[list[Key]]:
        run = (self.first_epoch + self.epoch) * self.repeats
        rng = np.random.default_rng((self.seed, run))
        wanted = self.batch_size // self.together
        queue: list[int] = []
        for batch in range(len(self) * self.world_size):
            while len(queue) < wanted:
                drawn = rng.permutation(len(self.people)).tolist()
                # Nobody is twice in a batch as long as there are others.
                queue += sorted(drawn, key=set(queue).__contains__)
            chosen, queue = queue[:wanted], queue[wanted:]
            places = [
                int(place)
                for person in chosen
                for place in np.resize(rng.permutation(self.people[person]), self.together)
            ]
            if batch % self.world_size == self.rank:
                # A photo is cut differently each time that it is taken, also within a batch.
                first = batch * wanted * self.together
                yield [(run + (first + n) * EXTRA, place) for n, place in enumerate(places)]


def loader(crops: PeopleCrops, **options: int) -> Sampler[list[Key]]:
    """See `tasks.learning.Loader`.

    Raises:
        UserError: Batches have one photo; or see `PeopleSampler`.
        DataError: See `PeopleSampler`.
    """
    if crops.together is not None:
        return PeopleSampler(crops, **options)
    if options["batch_size"] < 2:
        raise UserError(
            f"--batch-size {options['batch_size']}: expected 2 or more, as the head's norm learns "
            "from the spread of several faces"
        )
    return EpochSampler(crops, **options)
