"""Segmentation passes the suite of every task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.images import read_image
from pocketface.data.mask_pairs import MaskPair, read_mask
from pocketface.mask import Mask
from pocketface.results import Detections
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model
from pocketface.tasks.segmentation.heads import read_head
from pocketface.tasks.segmentation.model import FaceSegmenter

from ..every_task import LANDMARKS, EveryTask, digest, write_photos
from .tiny_segmenter import TINY

HEIGHT, WIDTH = 64, 96
"""Of the photos of `write_photos`."""


def write_pairs(folder: Path, count: int) -> Path:
    """Photos of noise with masks of an egg around `LANDMARKS`; every other is a head already cut.

    Returns:
        The list.
    """
    pairs: list[dict[str, Any]] = []
    for index, name in enumerate(write_photos(folder, count)):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.ellipse(mask, (40 + index, 27), (20, 24), 0, 0, 360, 1, -1)
        file = f"mask{index}.png"
        assert cv2.imwrite(str(folder / file), mask)
        aligned: dict[str, Any] = {"landmarks": LANDMARKS.tolist(), "tags": ["turned"]}
        pairs.append({"image": name, "mask": file, **(aligned if index % 2 else {})})
    path = folder / "heads.masks.json"
    path.write_text(json.dumps({"classes": {"1": "face"}, "pairs": pairs}), encoding="utf-8")
    return path


class TestSegmentation(EveryTask):
    NAME = "face-segmentation"
    TEMPLATE = TINY
    OTHERS: ClassVar = {"classes": ["hair"]}

    @classmethod
    def labels(cls, folder: Path) -> Labels:
        return Labels([write_pairs(folder, 4)], [folder])

    def answering(self, model: Model[Any], samples: Sequence[MaskPair], answer: Any) -> Model[Any]:
        """Figures are those of heads, before they are laid back into their photos."""
        assert isinstance(model, FaceSegmenter)
        known: dict[str, NDArray[np.float32]] = {}
        for sample in samples:
            head, truth = read_head(sample, model.contract.input)
            is_face = truth if answer == self.right_answer else 1 - truth
            known[digest(head)] = is_face[None].astype(np.float32)
        model.segment = lambda heads, **_: [known[digest(one)] for one in heads]  # type: ignore[method-assign]
        return model

    def right_answer(self, model: Model[Any], sample: MaskPair) -> list[Mask]:
        assert isinstance(model, FaceSegmenter)
        truth = read_mask(sample, shape=read_image(sample.path).shape)
        return [_mask(truth)]

    def wrong_answer(self, model: Model[Any], sample: MaskPair) -> list[Mask]:
        (right,) = self.right_answer(model, sample)
        return [_mask(~right.mask)]

    def drawn(self, right: list[Mask], sample: MaskPair) -> tuple[Any, ...]:  # noqa: ARG002
        box = np.array([[20, 3, 60, 51]], np.float32)
        return Detections(box, np.ones(1, np.float32), LANDMARKS[None]), right


def _mask(inside: NDArray[Any]) -> Mask:
    """The mask of a whole photo."""
    return Mask(inside[None].astype(np.float32), 0, 0, (HEIGHT, WIDTH), ("face",))
