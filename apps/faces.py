"""The faces of a photo, and what a model of aligned faces says of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..results import Detections
from ..tasks.detection.framed import find_framed
from ..tasks.detection.model import FaceDetector
from ..tasks.model import Model

FACE_SCORE = 0.5
"""Of the detector, from which on a face is looked at.

Above what finds most faces: one false face with glasses makes a wrong answer. On 600 test photos of
MTFL, no face is lost by 0.5 instead of 0.4, and wrong answers are 4 instead of 6.
"""


def check_landmarks(detector: FaceDetector) -> None:
    """Refuse a detector that models of aligned faces cannot be used with.

    Raises:
        ModelFileError: It finds no landmarks.
    """
    if all(output.name != "landmarks" for output in detector.contract.outputs):
        raise ModelFileError(f"{detector.path}: finds no landmarks, which classifiers need")


def looks_at_faces(model: Model[Any]) -> bool:
    """Whether a model takes aligned faces, which somebody else has to find."""
    return model.contract.input.resize == "align"


class FaceReader:
    """Finds faces, and asks a model of aligned faces about each.

    Args:
        model: Whose `predict` takes a photo and landmarks (N, 5, 2), and gives N answers.
        detector: One with landmarks.
        face_score: Of the detector; fainter faces are none.

    Raises:
        ModelFileError: The detector has no landmarks.
    """

    def __init__(
        self, model: Model[Any], detector: FaceDetector, *, face_score: float = FACE_SCORE
    ) -> None:
        self.model = model
        self.detector = detector
        self.face_score = face_score
        check_landmarks(detector)

    def read(
        self, images: Sequence[NDArray[np.uint8]], *, nms_iou: float | None = None
    ) -> list[tuple[Detections, tuple[Any, ...]]]:
        """The faces of each photo, and what the model says of each face.

        Args:
            images: uint8 (H, W, 3), BGR.
            nms_iou: Of the detector; its contract's if None.
        """
        found = find_framed(self.detector, images, score_threshold=self.face_score, nms_iou=nms_iou)
        answers = []
        for image, faces in zip(images, found, strict=True):
            said: tuple[Any, ...] = ()
            if len(faces):
                assert faces.landmarks is not None
                said = tuple(self.model.predict(image, faces.landmarks))
            answers.append((faces, said))
        return answers
