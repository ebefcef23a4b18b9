"""What is promised of a compressed file, and how much of it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..data.coco import Photo
from ..data.labelled_faces import LabelledFace
from ..evaluation.classifier import evaluate_classifier
from ..evaluation.detector import evaluate_detector, score_floor
from ..model_templates.contract import Contract
from ..runtimes.classifier import FaceClassifier
from ..runtimes.detector import FaceDetector
from ..runtimes.model import Model
from .calibration import Sample

_LIMITS = {
    "face-detection": {"ap50": 1.0, "ap_over_64": 2.0},
    "glasses-classification": {"balanced_accuracy": 1.0},
}
"""What may drop, and by how many times the points asked for; the first is the metric.

Most faces of a crowd are small: int8 can lose the large ones, for which boxes need the widest
range, and AP50 hardly tell. They are fewer, so that their own figure is less certain.
"""

_FIGURES = {
    "face-detection": ("ap50", "ap_small", "ap_medium", "ap_large", "ap_over_64"),
    "glasses-classification": ("balanced_accuracy", "f1"),
}

Figures = dict[str, float | None]
"""Shares of 1, by key."""


@dataclass(frozen=True)
class Loss:
    """The figure of which the largest part of what may be lost is lost.

    Attributes:
        figure: Its key.
        points: Lost.
        allowed: That may be lost.
    """

    figure: str
    points: float
    allowed: float

    @property
    def share(self) -> float:
        """Of what may be lost; above 1 a promise is broken."""
        return self.points / self.allowed


@dataclass(frozen=True, eq=False)
class Promise:
    """Of all compressed files of one network.

    Attributes:
        contract: Of its float files.
        validation: What is measured on.
        max_drop: Points of the metric that may be lost, 0 to 100.
    """

    contract: Contract
    validation: Sequence[Sample]
    max_drop: float

    @property
    def metric(self) -> str:
        """Key of the figure that it is about first of all."""
        return next(iter(self.limits))

    @property
    def limits(self) -> dict[str, float]:
        """Points that may be lost, by figure."""
        return {key: times * self.max_drop for key, times in _LIMITS[self.contract.task].items()}

    def figures(
        self, model: Model, samples: Sequence[Sample] | None = None
    ) -> tuple[Figures, NDArray[np.float64] | None]:
        """Measure a file, on all samples or on some.

        Returns:
            The figures; and of a classifier, whether it says the second label of each: 0, 1, or NaN
            where nothing can be said.

        Raises:
            DataError: None of the samples can be read.
        """
        samples = self.validation if samples is None else samples
        labels = None
        if isinstance(model, FaceDetector):
            photos = [one for one in samples if isinstance(one, Photo)]
            predict = partial(model.predict, score_threshold=score_floor(model.contract))
            _, _, figures = evaluate_detector(predict, photos)
        else:
            assert isinstance(model, FaceClassifier)
            faces = [one for one in samples if isinstance(one, LabelledFace)]
            threshold = self.contract.score_threshold
            scores, figures = evaluate_classifier(model.predict, faces, threshold=threshold)
            labels = np.where(np.isfinite(scores), scores >= threshold, np.nan)
            if figures["balanced_accuracy"] is None:  # one label alone: its recall
                figures["balanced_accuracy"] = figures["accuracy"]
        return {key: figures[key] for key in _FIGURES[self.contract.task]}, labels

    def protocol(self, contract: Contract) -> str:
        """How the figures of a file with this contract come about."""
        text = f"{len(self.validation)} validation photos of `compress`"
        if contract.task == "face-detection":
            text += f", score floor {score_floor(contract):g}, NMS IoU {contract.nms_iou:g}"
        return text

    def loss(self, before: Figures, after: Figures) -> Loss:
        """What a file lost, of the figures of which something can be said."""
        losses = [
            Loss(key, 100 * (value - left), allowed)
            for key, allowed in self.limits.items()
            if (value := before[key]) is not None and (left := after[key]) is not None
        ]
        none = Loss(self.metric, 0.0, self.max_drop)
        return max(losses, key=lambda one: one.share, default=none)
