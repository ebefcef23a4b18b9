"""Results of models: frozen dataclasses of numpy arrays, in pixels of the original image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""Order of the five landmarks; left and right as seen in the picture."""


@dataclass(frozen=True, eq=False)
class Detections:
    """Faces found in one image, best first.

    Attributes:
        boxes: float32 (N, 4): x1, y1, x2, y2 in pixels of the original image.
        scores: float32 (N,), 0 to 1, in descending order.
        landmarks: float32 (N, 5, 2) in the order of `LANDMARK_NAMES`, pixels of the original
            image; None if the model has none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score: float) -> Detections:
        """The detections whose score is at least `score`."""
        return self.where(self.scores >= score)

    def where(self, keep: NDArray[np.bool_]) -> Detections:
        """The detections for which `keep`, bool (N,), is true."""
        landmarks = None if self.landmarks is None else self.landmarks[keep]
        return Detections(self.boxes[keep], self.scores[keep], landmarks)


@dataclass(frozen=True, eq=False)
class Classification:
    """A classifier's answer for one face.

    Attributes:
        label: The label of the face, one of the contract's.
        index: Index of that label in the contract.
        score: Probability of that label, 0 to 1.
        scores: Probabilities of all labels in the contract's order, float32 (labels,); their sum
            is 1.
    """

    label: str
    index: int
    score: float
    scores: NDArray[np.float32]


def pairwise_intersection(
    one: NDArray[np.float32], other: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Area of the overlap of boxes (N, 4) and (M, 4), x1 y1 x2 y2: float64 (N, M)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2]).astype(np.float64)
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    return np.asarray((high - low).clip(min=0).prod(2))


def pairwise_iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of boxes (N, 4) and (M, 4), x1 y1 x2 y2: float64 (N, M)."""
    common = pairwise_intersection(one, other)
    areas = [(boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(1) for boxes in (one, other)]
    # `tiny` gives boxes without area an IoU of 0, not NaN.
    union = np.maximum(areas[0][:, None] + areas[1][None] - common, np.finfo(np.float64).tiny)
    return np.asarray(common / union)
