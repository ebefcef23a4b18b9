"""Verification: are two faces one person's? Scores of pairs, error rates and thresholds.

Terms are those of ISO/IEC 19795-1:2021. A genuine pair is of one person, an impostor pair of two; a
pair is accepted if its score is the threshold or more. FMR, or FAR, is the share of impostor pairs
accepted, TAR that of genuine ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

STEP = 2.0**-17
"""Distance of the thresholds that are tried, 7.6e-6; float32 cosines are exact to about 1e-6."""

LOWEST = -1.0
"""The first of these thresholds, the smallest cosine."""

BINS = round(2 / STEP) + 1

Counts = NDArray[np.int64]
"""Number of scores between each of the thresholds and the next, (BINS,).

As all thresholds lie on this grid, the rates at them are exact however many pairs there are; only
the best threshold may lie between two of them. Scores within one `STEP` count as tied.
"""

_BLOCK = 512
"""Faces compared with all others at once: 30 MB of scores at 15,000 faces."""


def similarities(
    embeddings: NDArray[np.floating], pairs: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Cosine of pairs, float64 (P,).

    Args:
        embeddings: Rows of length 1, (N, D); NaN where no face was found.
        pairs: Indices of two rows, (P, 2); more columns are ignored.
    """
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), 4096):
        block = pairs[start : start + 4096]
        one, other = (embeddings[block[:, side]].astype(np.float64) for side in (0, 1))
        found[start : start + 4096] = (one * other).sum(axis=1)
    return found


def counted(scores: NDArray[np.floating]) -> Counts:
    """Scores as `Counts`; NaN, of a pair without a face, counts as the lowest: it is refused."""
    filled = np.nan_to_num(np.asarray(scores, np.float64), nan=LOWEST)
    return np.bincount(_places(filled).ravel(), minlength=BINS)


def _places(scores: NDArray[np.floating]) -> NDArray[np.int32]:
    """The place of each score in `Counts`; rounding beyond 1 is cut off."""
    return np.asarray((scores.clip(LOWEST, 1) - LOWEST) / STEP).astype(np.int32)


def all_pairs(
    embeddings: NDArray[np.floating], people: NDArray[np.integer]
) -> tuple[Counts, Counts]:
    """Scores of all pairs of photos: of genuine and of impostor ones.

    Memory does not grow with the number of pairs.

    Args:
        embeddings: Rows of length 1, (N, D); NaN where no face was found.
        people: Index of each row's person, (N,); negative if unknown, which is left out.
    """
    known = people >= 0
    rows, who = embeddings[known].astype(np.float32), people[known]
    genuine, impostor = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        places = _places(np.nan_to_num(block @ rows[start:].T, nan=LOWEST, copy=False))
        # Each pair once, and no photo with itself: the others go to a bin of their own.
        corner = places[:, : len(block)]
        corner[np.tril_indices(len(block))] = BINS
        same = who[start : start + _BLOCK, None] == who[None, start:]
        of_one = np.bincount(places[same], minlength=BINS + 1)[:BINS]
        genuine += of_one
        impostor += np.bincount(places.ravel(), minlength=BINS + 1)[:BINS] - of_one
    return genuine, impostor


def accepted(counts: Counts) -> NDArray[np.float64]:
    """Share of the scores that each threshold accepts, (BINS,); NaN if there are none."""
    total = counts.sum()
    above = np.cumsum(counts[::-1])[::-1]
    return np.asarray(above / total) if total else np.full(BINS, np.nan)


def threshold_at(impostor: Counts, fmr: float) -> float | None:
    """The lowest threshold that accepts at most this share of impostor pairs.

    Args:
        impostor: Scores of impostor pairs.
        fmr: Share of 1.

    Returns:
        The threshold, above every score if need be; None where one false match would already be
        a larger share, as so few pairs cannot tell.
    """
    place = _place_at(impostor, fmr)
    return None if place is None else LOWEST + place * STEP


def _place_at(impostor: Counts, fmr: float) -> int | None:
    most = np.floor(impostor.sum() * fmr + 1e-9)
    if most < 1:
        return None
    above = np.append(np.cumsum(impostor[::-1])[::-1], 0)
    return int(np.argmax(above <= most))


def tar_at_far(genuine: Counts, impostor: Counts, far: float) -> float | None:
    """Share of genuine pairs accepted at `threshold_at` this share of impostors; None without one.

    Args:
        genuine: Scores of genuine pairs.
        impostor: Scores of impostor pairs.
        far: Share of impostor pairs that may be accepted, of 1.
    """
    place = _place_at(impostor, far)
    total = int(genuine.sum())
    if place is None or not total:
        return None
    return float(genuine[place:].sum() / total)


def equal_error_rate(genuine: Counts, impostor: Counts) -> float | None:
    """Where as large a share of impostors is accepted as of genuine pairs refused.

    Between two thresholds both shares are taken for straight lines. None if there are no pairs of
    a kind.
    """
    if not genuine.sum() or not impostor.sum():
        return None
    false = np.append(accepted(impostor), 0.0)
    missed = np.append(1 - accepted(genuine), 1.0)
    after = int(np.argmax(false < missed))  # the last threshold accepts nothing
    before = max(after - 1, 0)
    lead, lag = (false - missed)[[before, after]]
    part = lead / (lead - lag) if after else 0.0
    return float(false[before] + part * (false[after] - false[before]))


def roc_auc(genuine: Counts, impostor: Counts) -> float | None:
    """Share of all (genuine, impostor) where genuine scores higher; ties count half.

    None if there are no pairs of a kind.
    """
    if not genuine.sum() or not impostor.sum():
        return None
    below = np.cumsum(impostor) - impostor / 2
    return float((genuine @ below) / (float(genuine.sum()) * float(impostor.sum())))


@dataclass(frozen=True)
class FoldAccuracy:
    """Accuracy of a protocol of folds, shares of 1.

    Attributes:
        mean: Mean of the folds.
        error: Standard error of the mean; None with one fold.
        folds: Accuracy of each fold, by its number's order.
        thresholds: The threshold of each.
    """

    mean: float
    error: float | None
    folds: tuple[float, ...]
    thresholds: tuple[float, ...]


def fold_accuracy(
    scores: NDArray[np.floating], same: NDArray[np.bool_], folds: NDArray[np.integer]
) -> FoldAccuracy:
    """Accuracy on each fold at the threshold that is best on all others.

    Huang et al., "Labeled Faces in the Wild", 2007. Of thresholds that are as good the middle one
    counts. A pair without a score is wrong, whatever it is.

    Args:
        scores: Scores (P,); NaN without an answer.
        same: Whether each pair is genuine, (P,).
        folds: Number of each pair's fold, (P,).

    Raises:
        DataError: There are fewer than two folds.
    """
    numbers = np.unique(folds)
    if len(numbers) < 2:
        raise DataError(f"pairs of {len(numbers)} folds: expected two or more")
    right, thresholds = [], []
    for number in numbers:
        here = folds == number
        threshold = best_threshold(scores[~here], same[~here])
        said = np.isfinite(scores[here])
        right.append(float((said & ((scores[here] >= threshold) == same[here])).mean()))
        thresholds.append(threshold)
    error = float(np.std(right, ddof=1) / np.sqrt(len(right)))
    return FoldAccuracy(float(np.mean(right)), error, tuple(right), tuple(thresholds))


def best_threshold(scores: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """The threshold of most right answers: half-way between two scores, the middle of the best.

    Args:
        scores: Scores (P,); those that are NaN are ignored.
        same: Whether each pair is genuine, (P,).
    """
    said = np.isfinite(scores)
    values, place = np.unique(np.asarray(scores[said], np.float64), return_inverse=True)
    gain = np.bincount(place, weights=np.where(same[said], 1.0, -1.0), minlength=len(values))
    # What is right with a threshold below each of the values, and with one above all.
    right = np.append(np.cumsum(gain[::-1])[::-1], 0.0)
    edges = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, values[-1:] + STEP])
    best = np.flatnonzero(right == right.max())
    return float(edges[best[len(best) // 2]]) if len(values) else 0.0
