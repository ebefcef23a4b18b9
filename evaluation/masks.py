"""How well masks agree with the truth: Dice, IoU, boundary F."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from .figures import Figures

Pixels = NDArray[np.uint8]

BOUNDARY_PIXELS = 2.0
"""How far a border may be off, in pixels of a picture of `BOUNDARY_SIDE`."""

BOUNDARY_SIDE = 256

_LEAST = 1e-7
"""The least probability that counts in the loss, as float32 has no logarithm of 0."""


@dataclass
class MaskFigures:
    """Sums over many masks, each added by `add`.

    Dice and IoU are of the pixels of all pictures together, as in the VOC challenge (Everingham et
    al. 2010); of several classes they are the means over classes, the background among them.
    Boundary F is the mean over pictures of F1 of the borders (Csurka et al. 2013).

    Args:
        classes: Number of planes: 1, or one for each class.

    Attributes:
        pictures: Number of those that were added.
        lost: Number of those without an answer.
    """

    classes: int
    pictures: int = field(default=0, init=False)
    lost: int = field(default=0, init=False)
    _common: NDArray[np.float64] = field(init=False)
    _found: NDArray[np.float64] = field(init=False)
    _true: NDArray[np.float64] = field(init=False)
    _soft: NDArray[np.float64] = field(init=False)
    _boundaries: list[float] = field(default_factory=list, init=False)
    _each: list[float] = field(default_factory=list, init=False)
    _loss: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._common, self._found, self._true = (np.zeros(self.classes) for _ in range(3))
        self._soft = np.zeros((2, self.classes))

    def add(self, shares: NDArray[np.float32], found: Pixels, truth: Pixels) -> float:
        """Count one picture.

        Args:
            shares: Probabilities, (classes, H, W).
            found: uint8 (H, W): 0 or 1 for one class, or the index of each.
            truth: The same, as it should be.

        Returns:
            IoU of this picture, 0 to 1.
        """
        planes, wanted = planes_of(found, self.classes), planes_of(truth, self.classes)
        common, made, true = (
            array.sum((1, 2)).astype(np.float64) for array in (planes & wanted, planes, wanted)
        )
        self._common += common
        self._found += made
        self._true += true
        self._soft[0] += (shares * wanted).sum((1, 2), dtype=np.float64)
        self._soft[1] += shares.sum((1, 2), dtype=np.float64) + true
        right = (
            np.where(truth, shares[0], 1 - shares[0])
            if self.classes == 1
            else np.take_along_axis(shares, truth[None].astype(np.intp), 0)[0]
        )
        self._loss -= float(np.log(right.clip(_LEAST)).mean(dtype=np.float64))
        own = slice(0 if self.classes == 1 else 1, None)
        borders = [
            boundary_f(one, other)
            for one, other in zip(planes[own], wanted[own], strict=True)
            if one.any() or other.any()
        ]
        self._boundaries.append(float(np.mean(borders)) if borders else 1.0)
        iou = _mean(_ratio(common, made + true - common))
        self._each.append(1.0 if iou is None else iou)
        self.pictures += 1
        return self._each[-1]

    def add_lost(self, truth: Pixels | None) -> None:
        """Count a picture without an answer, as one in which nothing was found.

        Args:
            truth: What should have been found; None if that is unknown, too.
        """
        self.lost += 1
        if truth is not None:
            nothing = np.zeros_like(truth)
            shares = planes_of(nothing, self.classes).astype(np.float32)
            self.add(shares, nothing, truth)

    def figures(self) -> Figures:
        """All figures by key; None for what there is nothing of."""
        sizes = self._found + self._true
        count = self.pictures
        return {
            "iou": _mean(_ratio(self._common, sizes - self._common)),
            "dice": _mean(_ratio(2 * self._common, sizes)),
            "soft_dice": _mean(_ratio(2 * self._soft[0], self._soft[1])),
            "boundary_f": float(np.mean(self._boundaries)) if count else None,
            "mean_iou": float(np.mean(self._each)) if count else None,
            "worst_tenth": float(np.quantile(self._each, 0.1)) if count else None,
            "loss": self._loss / count if count else None,
            "images": float(count),
            "unreadable": float(self.lost),
        }

    def by_class(self) -> list[float | None]:
        """IoU of each class; None for one that is neither there nor found."""
        ratios = _ratio(self._common, self._found + self._true - self._common)
        return [None if np.isnan(one) else float(one) for one in ratios]


def boundary_f(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """F1 of the borders of two masks, bool (H, W), which may be `BOUNDARY_PIXELS` apart."""
    reach = BOUNDARY_PIXELS * max(truth.shape) / BOUNDARY_SIDE
    one, other = _border(found), _border(truth)
    if not one.any() or not other.any():  # of a mask that is empty, or all of the picture
        return float((found == truth).all())
    precision = float(_near(other, reach)[one].mean())
    recall = float(_near(one, reach)[other].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask's own pixels beside others; the picture's edge is no border."""
    whole = mask.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inside = cv2.erode(whole, cross, borderType=cv2.BORDER_REPLICATE)
    border: NDArray[np.bool_] = mask & (np.asarray(inside) == 0)
    return border


def _near(border: NDArray[np.bool_], reach: float) -> NDArray[np.bool_]:
    """Which pixels are at most `reach` pixels from a border."""
    aside = np.arange(-int(reach), int(reach) + 1) ** 2
    disc = (aside[:, None] + aside <= reach**2).astype(np.uint8)
    return np.asarray(cv2.dilate(border.astype(np.uint8), disc)) > 0


def planes_of(classes: Pixels, count: int) -> NDArray[np.bool_]:
    """A plane of each class, bool (count, H, W).

    Args:
        classes: uint8 (H, W): 0 or 1 for one class, or the index of each.
        count: Number of classes; of one its pixels alone are a plane.
    """
    indices = np.arange(count, dtype=np.uint8) if count > 1 else np.ones(1, np.uint8)
    planes: NDArray[np.bool_] = classes[None] == indices[:, None, None]
    return planes


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of what is there."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
