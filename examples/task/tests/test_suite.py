"""Face colour passes the suite of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pocketface.data.align import align_face
from pocketface.data.images import read_image
from pocketface.data.labelled_faces import LabelledFace, labelled_faces_text
from pocketface.model_templates import template_path
from pocketface.results import Detections
from pocketface.tasks.colour.samples import truth
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model

from ..every_task import LANDMARKS, EveryTask, write_photos


class TestColour(EveryTask):
    NAME = "face-colour"
    TEMPLATE = template_path("colour-n").read_text(encoding="utf-8")
    OTHERS: ClassVar = {"colours": ["red", "green", "blue"]}

    @classmethod
    def labels(cls, folder: Path) -> Labels:
        path = folder / "faces.colour.csv"
        path.write_text(
            labelled_faces_text([(name, "", LANDMARKS) for name in write_photos(folder, 4)])
        )
        return Labels([path], [folder])

    def right_answer(self, model: Model[Any], sample: LabelledFace) -> NDArray[np.float32]:
        spec = model.contract.input
        return truth(align_face(read_image(sample.path), sample.landmarks, spec))[None]

    def wrong_answer(self, *_: Any) -> NDArray[np.float32]:
        return np.array([[1, 0, 0]], np.float32)

    def drawn(self, right: NDArray[np.float32], sample: LabelledFace) -> tuple[Any, ...]:
        box = np.array([[*sample.landmarks.min(0), *sample.landmarks.max(0)]], np.float32)
        return Detections(box, np.ones(1, np.float32), sample.landmarks[None]), right
