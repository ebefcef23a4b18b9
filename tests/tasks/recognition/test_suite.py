"""Recognition passes the suite of every task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pocketface.data.identities import IdentityPhoto
from pocketface.data.images import read_image
from pocketface.embedding import Embedding
from pocketface.results import Detections
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model
from pocketface.tasks.recognition.model import FaceRecognizer

from ..every_task import LANDMARKS, EveryTask, digest, write_photos
from .tiny_recognizer import TINY, write_list

PEOPLE, PHOTOS = 23, 2  # 1,012 pairs of two people: enough for the decisive figure


class TestRecognition(EveryTask):
    NAME = "face-recognition"
    TEMPLATE = TINY
    OTHERS: ClassVar = {"measured_on": "other weights"}

    @classmethod
    def labels(cls, folder: Path) -> Labels:
        names = write_photos(folder, PEOPLE * PHOTOS)
        photos = [(name, f"person {index // PHOTOS}") for index, name in enumerate(names)]
        return Labels([write_list(folder / "faces.identities.json", photos, LANDMARKS)], [folder])

    def right_answer(self, model: Model[Any], sample: IdentityPhoto) -> list[Embedding]:
        return [_pointing(model, sample.image_id // PHOTOS)]

    def wrong_answer(self, model: Model[Any], sample: IdentityPhoto) -> list[Embedding]:
        """Like a photo of the next person, and unlike the other of the same."""
        return [_pointing(model, (sample.image_id + 1) // PHOTOS % PEOPLE)]

    def answering(
        self, model: Model[Any], samples: Sequence[IdentityPhoto], answer: Any
    ) -> Model[Any]:
        """Faces are measured many at once: they are whole photos here."""
        known = {digest(read_image(one.path)): answer(model, one)[0] for one in samples}
        assert isinstance(model, FaceRecognizer)
        model.cut = lambda image, _: [image]  # type: ignore[method-assign]
        model.embed = lambda photos, **_: [known[digest(one)] for one in photos]  # type: ignore[method-assign]
        return model

    def drawn(self, right: list[Embedding], sample: IdentityPhoto) -> tuple[Any, ...]:  # noqa: ARG002
        box = np.array([[20, 3, 60, 51]], np.float32)
        return Detections(box, np.ones(1, np.float32), LANDMARKS[None]), right


def _pointing(model: Model[Any], number: int) -> Embedding:
    """A direction of its own for each number."""
    random = np.random.default_rng(number)
    vector = random.normal(size=model.contract.outputs[0].shape[1]).astype(np.float32)
    return Embedding(vector / np.linalg.norm(vector))
