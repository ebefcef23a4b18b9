"""Find the faces of a photo and run a model of aligned faces on each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ModelFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..results import Detections
    from ..tasks.detection.model import FaceDetector
    from ..tasks.model import Model

FACE_SCORE = 0.5
"""Lowest detector score, 0 to 1, at which a face is passed on to the other model.

Higher than for detection alone, because one false face with glasses makes a wrong answer. On 600
test photos of MTFL, 0.5 instead of 0.4 loses no face and makes 4 wrong answers instead of 6.
"""


def check_landmarks(detector: FaceDetector) -> None:
    """Refuse a detector that models of aligned faces cannot be used with.

    Raises:
        ModelFileError: The detector gives no landmarks.
    """
    if all(output.name != "landmarks" for output in detector.contract.outputs):
        raise ModelFileError(f"{detector.path}: finds no landmarks, by which faces are aligned")


def looks_at_faces(model: Model[Any]) -> bool:
    """Whether a model takes aligned faces, which a detector has to find first."""
    return model.contract.input.resize == "align"


class FaceReader:
    """Finds faces and runs a model of aligned faces on each.

    Args:
        model: A model whose `predict` takes a photo and landmarks (N, 5, 2) and gives N answers.
        detector: The model that finds the faces; it must give landmarks.
        face_score: Lowest detector score, 0 to 1, at which a face is passed on.
        turned: Whether photos, and faces in them, may lie on their side or be upside down: each
            face that the detector is not sure of is looked at turned, too, which takes as long as
            another photo for four of them, and small copies of a photo without a face are, too.

    Raises:
        ModelFileError: The detector has no landmarks.
    """

    def __init__(
        self,
        model: Model[Any],
        detector: FaceDetector,
        *,
        face_score: float = FACE_SCORE,
        turned: bool = True,
    ) -> None:
        self.model = model
        self.detector = detector
        self.face_score = face_score
        self.turned = turned
        check_landmarks(detector)

    def read(
        self, images: Sequence[NDArray[np.uint8]], *, nms_iou: float | None = None
    ) -> list[tuple[Detections, tuple[Any, ...]]]:
        """The faces of each photo, and what the model says of each face.

        Args:
            images: uint8 (H, W, 3), BGR.
            nms_iou: IoU threshold of the detector's NMS; None for its contract's.
        """
        from ..tasks.detection.upright import upright

        found = self.detector.predict_batch(
            images, score_threshold=self.face_score, nms_iou=nms_iou
        )

        def look(image: NDArray[np.uint8], score: float) -> Detections:
            score = max(score, self.detector.rules.least_score)
            return self.detector.predict(image, score_threshold=score, nms_iou=nms_iou)

        answers = []
        for image, faces in zip(images, found, strict=True):
            if self.turned:
                faces = upright(look, image, faces, score=self.face_score)
            said: tuple[Any, ...] = ()
            if len(faces):
                assert faces.landmarks is not None
                said = tuple(self.model.predict(image, faces.landmarks))
            answers.append((faces, said))
        return answers
