"""Recognition passes the suite of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pocketface.data.identities import IdentityPhoto
from pocketface.embedding import Embedding
from pocketface.results import Detections
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model

from ..every_task import LANDMARKS, EveryTask, write_photos
from .tiny_recognizer import TINY, write_list

PEOPLE = ("ann", "bob", "ann", "bob")


class TestRecognition(EveryTask):
    NAME = "face-recognition"
    TEMPLATE = TINY

    @classmethod
    def labels(cls, folder: Path) -> Labels:
        names = write_photos(folder, len(PEOPLE))
        photos = list(zip(names, PEOPLE, strict=True))
        return Labels([write_list(folder / "faces.identities.json", photos, LANDMARKS)], [folder])

    def right_answer(self, model: Model[Any], sample: IdentityPhoto) -> list[Embedding]:
        return [_pointing(model, ["ann", "bob"].index(sample.person or ""))]

    def wrong_answer(self, model: Model[Any], sample: IdentityPhoto) -> list[Embedding]:
        """Like nobody but the other person: the first and the last two are alike."""
        return [_pointing(model, sample.image_id // 2)]

    def drawn(self, right: list[Embedding], sample: IdentityPhoto) -> tuple[Any, ...]:  # noqa: ARG002
        box = np.array([[20, 3, 60, 51]], np.float32)
        return Detections(box, np.ones(1, np.float32), LANDMARKS[None]), right


def _pointing(model: Model[Any], axis: int) -> Embedding:
    vector = np.zeros(model.contract.outputs[0].shape[1], np.float32)
    vector[axis] = 1
    return Embedding(vector)
