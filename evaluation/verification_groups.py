"""False matches among strangers of one group of people, and how much groups differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .verification import STEP, all_pairs


@dataclass(frozen=True)
class GroupMatches:
    """False matches among photos of one group.

    Attributes:
        group: Its name.
        photos: Number of its photos.
        pairs: Number of pairs of two people.
        matched: Number of these that the threshold accepts.
    """

    group: str
    photos: int
    pairs: int
    matched: int

    @property
    def fmr(self) -> float | None:
        """Share of the pairs that is accepted; None without pairs."""
        return self.matched / self.pairs if self.pairs else None


def false_matches(
    embeddings: NDArray[np.floating],
    people: NDArray[np.integer],
    groups: Sequence[str | None],
    *,
    threshold: float,
) -> list[GroupMatches]:
    """Count the pairs of two people of the same group that a threshold accepts, by group.

    Grother, Ngan, Hanaoka, "Face Recognition Vendor Test Part 3: Demographic Effects", NISTIR 8280,
    2019; ISO/IEC 19795-10:2024.

    Args:
        embeddings: Rows of length 1, (N, D); NaN where no face was found: never matched.
        people: Index of each row's person, (N,); one whose person is unknown, negative, counts as
            a person of its own, so that strangers are compared who may be one person.
        groups: Name of each row's group, (N,); None is in no group.
        threshold: Lowest score accepted; rounded to a `STEP`.
    """
    unknown = people < 0
    alone = people.max(initial=-1) + 1 + np.arange(len(people))
    who = np.where(unknown, alone, people)
    place = round((threshold + 1) / STEP)
    found = []
    for group in sorted({name for name in groups if name is not None}):
        rows = np.array([name == group for name in groups])
        _, impostor = all_pairs(embeddings[rows], who[rows])
        matched, pairs = int(impostor[place:].sum()), int(impostor.sum())
        found.append(GroupMatches(group, int(rows.sum()), pairs, matched))
    return found


def differential(groups: Sequence[GroupMatches]) -> float | None:
    """The highest FMR of a group divided by the lowest: 1 if all are alike.

    The ratio of maximum to minimum of NISTIR 8429, "Summarizing Demographic Differentials", 2022.

    Returns:
        The ratio; None where fewer than two groups have pairs, or one has no false match, so that
        its FMR is not known.
    """
    rates = [one.fmr for one in groups if one.fmr is not None]
    if len(rates) < 2 or not min(rates):
        return None
    return max(rates) / min(rates)
