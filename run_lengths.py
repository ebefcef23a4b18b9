"""Masks as lengths of runs: COCO's uncompressed RLE (cocodataset.org, "Data format")."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def run_lengths(
    part: NDArray[np.bool_], *, left: int, top: int, shape: tuple[int, int]
) -> list[int]:
    """COCO's uncompressed RLE of a mask: lengths of runs down the columns of a photo.

    The first run is outside the mask, and may have no length.

    Args:
        part: bool (h, w), a rectangle of the photo; all else is outside the mask.
        left: The photo's column where it begins.
        top: Its row.
        shape: Height and width of the photo.
    """
    # A row of outside above and below, so that each run in a column begins and ends there.
    columns = np.pad(part.T, ((0, 0), (1, 1))).astype(np.int8)
    column, row = np.nonzero(np.diff(columns, axis=1))
    bounds = (column + left) * shape[0] + row + top
    # A run that goes on in the next column ends where that begins: such places are no bounds.
    places, times = np.unique(bounds, return_counts=True)
    size = shape[0] * shape[1]
    counts: list[int] = np.diff([0, *places[times == 1], size]).tolist()
    return counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts


def from_run_lengths(counts: Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask, bool (H, W), of `run_lengths`.

    Raises:
        ValueError: The runs are negative, or do not make such a mask.
    """
    runs = np.array([operator.index(count) for count in counts], np.int64)
    if (runs < 0).any() or runs.sum() != shape[0] * shape[1]:
        raise ValueError(f"runs of {runs.sum()} pixels for a mask of {shape[0]}x{shape[1]}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(shape, order="F")
