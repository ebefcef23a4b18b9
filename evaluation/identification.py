"""Identification: who is it, among people with photos in a gallery?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_BLOCK = 512
"""Faces compared with all others at once: 30 MB of scores at 15,000 faces."""


def rank_one(embeddings: NDArray[np.floating], people: NDArray[np.integer]) -> float | None:
    """Share of photos whose closest other photo is of the same person.

    Each photo is left out once and looked for among all others. Photos of people with one photo,
    or of unknown people, are looked among but not for. A tie with another person is wrong, and so
    is a photo without a face.

    Args:
        embeddings: Rows of length 1, (N, D); NaN where no face was found.
        people: Index of each row's person, (N,); negative if unknown.

    Returns:
        The share; None if nobody has two photos.
    """
    rows = np.asarray(embeddings, np.float32)
    right = total = 0
    for start in range(0, len(rows), _BLOCK):
        scores = np.nan_to_num(rows[start : start + _BLOCK] @ rows.T, nan=-np.inf)
        own = people[start : start + _BLOCK, None]
        itself = np.arange(start, start + len(own))[:, None] == np.arange(len(rows))
        same = (own == people) & (own >= 0) & ~itself
        asked = same.any(axis=1)
        best = np.where(same, scores, -np.inf).max(axis=1)
        others = np.where(same | itself, -np.inf, scores).max(axis=1)
        right += int((asked & (best > others)).sum())
        total += int(asked.sum())
    return right / total if total else None


@dataclass(frozen=True)
class OpenSet:
    """Figures of a search among people of whom some are not in the gallery; shares of 1.

    Attributes:
        rate: For each FAR the detection and identification rate (DIR): the share of probes of
            people in the gallery that are found at rank 1 with a score of the threshold or more.
            None where strangers are too few for that FAR.
        thresholds: The threshold at each FAR, likewise.
        people: Number of people in the gallery.
        known: Number of probes of these.
        strangers: Number of probes of others.
    """

    rate: tuple[float | None, ...]
    thresholds: tuple[float | None, ...]
    people: int
    known: int
    strangers: int


def open_set(
    embeddings: NDArray[np.floating],
    people: NDArray[np.integer],
    fars: Sequence[float],
    *,
    gallery: int = 1,
    seed: int = 0,
) -> OpenSet:
    """Search for known people and strangers in a gallery of half of the people.

    FAR is the share of strangers' photos that any photo of the gallery matches with a score of the
    threshold or more. A person's score is the highest of their photos. Phillips, Grother, Micheals,
    "Evaluation Methods in Face Recognition", 2011; FAR is the FPIR of ISO/IEC 19795-1:2021.

    Args:
        embeddings: Rows of length 1, (N, D); NaN where no face was found: never matched.
        people: Index of each row's person, (N,); negative if unknown, which is left out.
        fars: Shares of strangers' photos that may be matched, of 1.
        gallery: Photos of each person in the gallery; the others are probes.
        seed: Seed of the choice of people and of photos.

    Raises:
        DataError: There are fewer than two people, or nobody has more than `gallery` photos.
    """
    rng = np.random.default_rng(seed)
    rows = np.nan_to_num(np.asarray(embeddings, np.float32), nan=0.0)
    is_face = np.isfinite(embeddings).all(axis=1)
    by_person = [np.flatnonzero(people == one) for one in np.unique(people[people >= 0])]
    enough = [place for place, some in enumerate(by_person) if len(some) > gallery]
    half = min(len(by_person) // 2, len(enough))
    if not half:
        raise DataError(
            f"{len(by_person)} people, {len(enough)} of them with more than {gallery} photos: "
            "expected two or more people, one with that many"
        )
    chosen = set(rng.permutation(enough)[:half].tolist())
    kept, known, strangers = [], [], []
    for place, some in enumerate(by_person):
        if place in chosen:
            mixed = rng.permutation(some)
            kept.append(mixed[:gallery])
            known.append(mixed[gallery:])
        else:
            strangers.append(some)
    stored, mated, others = (np.concatenate(some) for some in (kept, known, strangers))
    stored = stored[is_face[stored]]
    best, found = _search(rows, is_face, mated, stored)
    found_right = np.zeros(len(mated), bool) if not len(stored) else people[found] == people[mated]
    alarms = np.sort(_search(rows, is_face, others, stored)[0])[::-1]
    rates: list[float | None] = []
    thresholds: list[float | None] = []
    for far in fars:
        most = int(np.floor(len(others) * far + 1e-9))
        if most < 1:
            rates.append(None)
            thresholds.append(None)
            continue
        # Just above the best score that may not be matched.
        above = float(alarms[most]) if most < len(alarms) else -np.inf
        rates.append(float((found_right & (best > above)).mean()))
        thresholds.append(float(np.nextafter(np.float32(above), np.float32(np.inf))))
    return OpenSet(tuple(rates), tuple(thresholds), half, len(mated), len(others))


def _search(
    rows: NDArray[np.float32],
    is_face: NDArray[np.bool_],
    probes: NDArray[np.int64],
    stored: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best score of each probe, -inf without a face, and the row that it is of."""
    scores = np.full(len(probes), -np.inf, np.float32)
    found = np.zeros(len(probes), np.int64)
    if len(stored):
        for start in range(0, len(probes), _BLOCK):
            some = probes[start : start + _BLOCK]
            each = rows[some] @ rows[stored].T
            found[start : start + _BLOCK] = stored[each.argmax(axis=1)]
            scores[start : start + _BLOCK] = each.max(axis=1)
    scores[~is_face[probes]] = -np.inf
    return scores, found
