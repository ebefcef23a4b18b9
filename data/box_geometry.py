"""What all boxes of a COCO file together tell: whether they are x, y, width, height in pixels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

_log = logging.getLogger(__name__)

Numbers = NDArray[np.float64]

_NUMBERS = {int, float}

_FEWEST = 5
"""Number of boxes from which on most of them tell something of the file."""

_BEYOND = 0.1
"""By which share of its own side a box reaches beyond its photo at least, to be counted so."""

_OTHER_AREA = 5
"""How often a box's area holds the record's `area`, or the reverse, at least, to differ from it.

The area of a face's mask is a fifth of its box or more.
"""

_SAME = 0.02
"""Largest difference, as a share, between two areas that are the same but for rounding."""

_FEWEST_IN_A_CORNER = 10


def check_boxes(numbers: Sequence[float], areas: Sequence[object], *, file: Path) -> None:
    """Refuse boxes that cannot be x, y, width, height in pixels; warn if they hardly can.

    Args:
        numbers: For each box x, y, width, height, and the width and height of its photo.
        areas: The `area` that each box's record states, unchecked.
        file: The COCO file, for messages.

    Raises:
        DataError: More than half of five or more boxes reach beyond their photo by more than a
            tenth of their side, or have another area than their record states: by five times, or
            just that of x1, y1, x2, y2.
    """
    if len(areas) < _FEWEST:
        return
    x, y, w, h, width, height = np.array(numbers, np.float64).reshape(-1, 6).T
    beyond = int(
        (
            (np.maximum(-x, x + w - width) > _BEYOND * w)
            | (np.maximum(-y, y + h - height) > _BEYOND * h)
        ).sum()
    )
    if 2 * beyond > len(areas):
        raise DataError(
            f"{file}: {beyond} of {len(areas)} boxes reach beyond their photos: expected x, y, "
            "width, height in pixels (is it x1, y1, x2, y2?)"
        )
    area = np.array([_positive(area) for area in areas])
    # One number for all is not measured, as the 1 that some converters write.
    stated = np.isfinite(area) if len(set(area)) > 1 else np.zeros(len(areas), np.bool_)
    if (total := int(stated.sum())) >= _FEWEST:
        times = _times(w, h, area)[stated]
        differ = abs(times) > math.log(_OTHER_AREA)
        as_corners = (abs(_times(w - x, h - y, area)[stated]) < _SAME) & (abs(times) > _SAME)
        if 2 * (count := int((differ | as_corners).sum())) > total:
            raise DataError(
                f"{file}: {count} of {total} boxes have another area than their `area` says: "
                "expected x, y, width, height in pixels (is it x1, y1, x2, y2?), and an `area` of "
                "the same photo or none"
            )
    if len(areas) >= _FEWEST_IN_A_CORNER and bool(
        ((x + w < width / 2) & (y + h < height / 2)).all()
    ):
        _log.warning(
            "%s: all %d boxes are in the upper left quarter of their photos: are they in pixels "
            "of photos of this size?", file, len(areas),
        )  # fmt: skip


def _times(w: Numbers, h: Numbers, area: Numbers) -> Numbers:
    """Logarithm of w * h / area, without w * h, which may overflow; NaN if w or h is not positive.

    Args:
        w: float64 (N,).
        h: float64 (N,).
        area: float64 (N,), above 0.
    """
    w, h = (np.where(side > 0, side, np.nan) for side in (w, h))
    return np.asarray(np.log(w) + np.log(h) - np.log(area))


def _positive(value: Any) -> float:
    return value if type(value) in _NUMBERS and 0 < value < 1e300 else math.nan
