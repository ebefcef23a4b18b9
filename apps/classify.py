"""Find the faces in photos and label them with a classifier."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..data.read_ahead import decoded
from ..errors import DataError, ImageError
from ..results import Classification, Detections
from ..tasks.classification.model import FaceClassifier
from ..tasks.detection.model import FaceDetector
from ..tasks.load import load_as
from .faces import FACE_SCORE, FaceReader

_log = logging.getLogger(__name__)

NO_FACE: Final = "no_face"
_AT_ONCE = 8
"""Number of photos that are in memory and go through the detector together."""


@dataclass(frozen=True, eq=False)
class PhotoAnswer:
    """What was found in one photo.

    Attributes:
        path: The photo.
        answer: The classifier's last label if any face has it, else the first face's label;
            `NO_FACE` if there is no face.
        faces: The faces, in pixels of the photo.
        labels: The classifier's answer for each face, in the order of `faces`.
    """

    path: Path
    answer: str
    faces: Detections
    labels: tuple[Classification, ...]


class PhotoClassifier:
    """Finds the faces of photos and labels them.

    Args:
        classifier: The model that labels each face.
        detector: The model that finds the faces; it must give landmarks.
        face_score: Lowest detector score, 0 to 1, at which a face is labelled.

    Raises:
        ModelFileError: The detector has no landmarks.
    """

    def __init__(
        self, classifier: FaceClassifier, detector: FaceDetector, *, face_score: float = FACE_SCORE
    ) -> None:
        self.classifier = classifier
        self.detector = detector
        self._reader = FaceReader(classifier, detector, face_score=face_score)

    @classmethod
    def open(
        cls,
        classifier: Path,
        detector: Path,
        *,
        face_score: float = FACE_SCORE,
        device: str = "cpu",
        threads: int | None = None,
    ) -> PhotoClassifier:
        """Open a classifier's file and a detector's file.

        Args:
            classifier: A classifier's model file.
            detector: Model file of a detector with landmarks.
            face_score: See the class.
            device: Device for both, as `tasks.load` takes it.
            threads: Threads for one inference of each, as `tasks.load` takes them.

        Raises:
            ModelFileError: A file holds a model of another kind.
        """
        model = load_as(FaceClassifier, classifier, device=device, threads=threads)
        finder = load_as(FaceDetector, detector, device=device, threads=threads)
        return cls(model, finder, face_score=face_score)

    @property
    def positive(self) -> str:
        """The label that is looked for: the classifier's last."""
        return self.classifier.rules.labels[-1]

    def answer(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> list[tuple[str, Detections, tuple[Classification, ...]]]:
        """Find and label the faces of some photos.

        Args:
            images: uint8 (H, W, 3), BGR.

        Returns:
            For each photo the answer, the faces, and their labels; see `PhotoAnswer`.
        """
        answers = []
        for faces, labels in self._reader.read(images):
            names = [label.label for label in labels]
            answer = self.positive if self.positive in names else (names or [NO_FACE])[0]
            answers.append((answer, faces, labels))
        return answers


def classify_photos(
    classifier: PhotoClassifier,
    photos: Sequence[Path],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[PhotoAnswer]:
    """Label the faces of many photos, with a few photos in memory at a time.

    A photo that cannot be read is left out with a warning.

    Args:
        classifier: Finds and labels the faces.
        photos: The photos' files.
        on_progress: Called with the number of photos done and the total.

    Raises:
        DataError: None of the photos can be read.
    """
    images = zip(photos, decoded(photos), strict=True)
    done = answered = 0
    while some := list(islice(images, _AT_ONCE)):
        readable: list[tuple[Path, NDArray[np.uint8]]] = []
        for path, image in some:
            if isinstance(image, ImageError):
                _log.warning("left out: %s", image)
            else:
                readable.append((path, image))
        answers = classifier.answer([image for _, image in readable])
        for (path, _), answer in zip(readable, answers, strict=True):
            yield PhotoAnswer(path, *answer)
        done += len(some)
        answered += len(readable)
        if on_progress is not None:
            on_progress(done, len(photos))
        del some, readable, answers, image  # free memory before the next photos are read
    if photos and not answered:
        raise DataError(f"none of the {len(photos)} photos could be read")
