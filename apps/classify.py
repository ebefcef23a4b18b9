"""The faces of photos found, and labelled by a classifier."""

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
"""Photos that are held and go through the detector together."""


@dataclass(frozen=True, eq=False)
class PhotoAnswer:
    """What was found in one photo.

    Attributes:
        path: The photo.
        answer: The last of the labels where any face has it, else the label of the faces;
            `NO_FACE` where there is none.
        faces: In pixels of the photo.
        labels: Of each face.
    """

    path: Path
    answer: str
    faces: Detections
    labels: tuple[Classification, ...]


class PhotoClassifier:
    """Finds the faces of photos and labels them.

    Args:
        classifier: Of faces.
        detector: One with landmarks.
        face_score: Of the detector; fainter faces are none.

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
        """Of two model files.

        Args:
            classifier: A classifier's.
            detector: A detector's, with landmarks.
            face_score: See the class.
            device: As `tasks.load` takes it, for both.
            threads: As `tasks.load` takes it, for both.

        Raises:
            ModelFileError: One of them is something else.
        """
        model = load_as(FaceClassifier, classifier, device=device, threads=threads)
        finder = load_as(FaceDetector, detector, device=device, threads=threads)
        return cls(model, finder, face_score=face_score)

    @property
    def positive(self) -> str:
        """The label that is looked for: the last."""
        return self.classifier.rules.labels[-1]

    def answer(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> list[tuple[str, Detections, tuple[Classification, ...]]]:
        """Find and label the faces of some photos.

        Args:
            images: uint8 (H, W, 3), BGR.

        Returns:
            For each photo: the answer, the faces, and their labels.
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
    """Answer for many photos, a few of which are in memory at a time.

    One that cannot be read is named in a warning, and left out.

    Args:
        classifier: For all.
        photos: Files.
        on_progress: Called with the number of photos done and of all.

    Raises:
        DataError: None of them can be read.
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
        del some, readable, answers, image  # not held while the next are read
    if photos and not answered:
        raise DataError(f"none of the {len(photos)} photos could be read")
