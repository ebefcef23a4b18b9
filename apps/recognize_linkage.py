"""Put faces together that are one person's, without knowing anybody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-6
"""Cosines closer than this are equal; rounding makes them differ by less."""


def average_linkage(embeddings: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """Merge groups as long as the mean cosine between their faces is at least a threshold.

    Agglomerative clustering with average linkage (Sokal and Michener, 1958) by chains of nearest
    neighbours (Benzecri, 1982; Murtagh, 1983), which finds the same groups. The mean cosine of two
    groups is the product of their mean vectors, so that no matrix of all pairs is needed: memory is
    twice that of the embeddings. A group that has no neighbour above the threshold never gets one.

    Args:
        embeddings: Rows of length 1, (N, D).
        threshold: Lowest mean cosine of two groups that are one person's.

    Returns:
        The group of each row, (N,): 0 is the largest; of equal ones that with the first row.
    """
    means = embeddings.astype(np.float32, copy=True)
    members = [[row] for row in range(len(means))]
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
            active = np.ones(left, bool)
        if not chain:
            chain.append(int(active.argmax()))
        tip = chain[-1]
        cosines = means @ means[tip]
        cosines[~active] = -np.inf
        cosines[tip] = -np.inf
        best = int(cosines.argmax())
        if len(chain) > 1 and cosines[chain[-2]] >= cosines[best] - _TIE:
            best = chain[-2]
        elif cosines[best] < threshold:
            # Only the first of a chain has no neighbour: each other one is near the one before.
            groups.append(members[tip])
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
        active[tip] = False
        left -= 1
        del chain[-2:]
    labels = np.empty(len(embeddings), np.int64)
    for number, group in enumerate(sorted(groups, key=lambda rows: (-len(rows), min(rows)))):
        labels[group] = number
    return labels
