"""Put faces together that are one person's, without knowing anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TIE = 1e-6
"""Cosines closer than this are equal; rounding makes them differ by less."""


def average_linkage(
    embeddings: NDArray[np.float32], threshold: float, *, photo_of: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Merge groups as long as the mean cosine between their faces is at least a threshold.

    Agglomerative clustering with average linkage (Sokal and Michener, 1958) by chains of nearest
    neighbours (Benzecri, 1982; Murtagh, 1983), which finds the same groups. The mean cosine of two
    groups is the product of their mean vectors, so that no matrix of all pairs is needed: memory is
    twice that of the embeddings. A group that has no neighbour above the threshold never gets one.

    Two faces of one photo are hardly ever one person's, but in mirrors and collages they are: to be
    merged, groups with faces of one photo have to be halfway from the threshold to equality.

    Args:
        embeddings: Rows of length 1, (N, D).
        threshold: Lowest mean cosine of two groups that are one person's.
        photo_of: Which photo each face is in, (N,); None if no two are in one.

    Returns:
        The group of each row, (N,): 0 is the largest; of equal ones that with the first row.
    """
    means = embeddings.astype(np.float32, copy=True)
    members = [[row] for row in range(len(means))]
    photos = _Photos([] if photo_of is None else np.asarray(photo_of).tolist())
    penalty = max(0.0, (1 - threshold) / 2)
    active = np.ones(len(means), bool)
    chain: list[int] = []
    groups: list[list[int]] = []
    left = len(means)
    while left:
        if left < len(means) // 2:
            keep = np.flatnonzero(active)
            place = np.cumsum(active) - 1
            means, chain = means[keep], [int(place[one]) for one in chain]
            members = [members[one] for one in keep]
            photos.renumber(place)
            active = np.ones(left, bool)
        if not chain:
            chain.append(int(active.argmax()))
        tip = chain[-1]
        cosines = means @ means[tip]
        cosines[photos.sharing(tip)] -= penalty
        cosines[~active] = -np.inf
        cosines[tip] = -np.inf
        best = int(cosines.argmax())
        if len(chain) > 1 and cosines[chain[-2]] >= cosines[best] - _TIE:
            best = chain[-2]
        elif cosines[best] < threshold:
            # Only the first of a chain has no neighbour: each other one is near the one before.
            groups.append(members[tip])
            photos.drop(tip)
            active[tip] = False
            chain.clear()
            left -= 1
            continue
        if len(chain) == 1 or best != chain[-2]:
            chain.append(best)
            continue
        ours, theirs = len(members[best]), len(members[tip])
        means[best] = (ours * means[best] + theirs * means[tip]) / (ours + theirs)
        members[best] += members[tip]
        photos.merge(tip, best)
        active[tip] = False
        left -= 1
        del chain[-2:]
    labels = np.empty(len(embeddings), np.int64)
    for number, group in enumerate(sorted(groups, key=lambda rows: (-len(rows), min(rows)))):
        labels[group] = number
    return labels


class _Photos:
    """Which groups have faces of one photo.

    Args:
        photo_of: The photo of each group, which is one face yet.
    """

    def __init__(self, photo_of: Sequence[int]) -> None:
        counts = Counter(photo_of)
        self._photos = {group: {photo} for group, photo in enumerate(photo_of) if counts[photo] > 1}
        self._groups: dict[int, set[int]] = {}
        for group, photos in self._photos.items():
            for photo in photos:
                self._groups.setdefault(photo, set()).add(group)

    def sharing(self, group: int) -> list[int]:
        """The other groups with a face of a photo that this one has a face of."""
        photos = self._photos.get(group, ())
        return list({other for photo in photos for other in self._groups[photo]} - {group})

    def merge(self, group: int, into: int) -> None:
        """Put a group's faces into another one."""
        photos = self.drop(group)
        if photos:
            self._photos.setdefault(into, set()).update(photos)
            for photo in photos:
                self._groups[photo].add(into)

    def drop(self, group: int) -> set[int]:
        """Forget a group; returns its photos."""
        photos = self._photos.pop(group, set())
        for photo in photos:
            self._groups[photo].discard(group)
        return photos

    def renumber(self, place: NDArray[np.int64]) -> None:
        """Give each group its new number."""
        self._photos = {int(place[group]): photos for group, photos in self._photos.items()}
        self._groups = {
            photo: {int(place[group]) for group in groups} for photo, groups in self._groups.items()
        }
