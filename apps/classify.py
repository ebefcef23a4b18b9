"""Photos sorted by what a classifier says of the faces in them."""

from __future__ import annotations

import csv
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..data.images import list_images
from ..errors import DataError, ImageError, ModelFileError, UserError
from ..evaluation.detector import decoded
from ..files import atomic_write
from ..results import Classification, Detections
from ..runtimes import load, load_detector
from ..runtimes.classifier import FaceClassifier
from ..runtimes.detector import FaceDetector
from ..runtimes.framed import find_framed
from .outputs import check_place

_log = logging.getLogger(__name__)

NO_FACE: Final = "no_face"
FACE_SCORE = 0.5
"""Of the detector, from which on a face is labelled.

Above what finds most faces: one false face with glasses makes a wrong answer. On 600 test photos of
MTFL, no face is lost by 0.5 instead of 0.4, and wrong answers are 4 instead of 6.
"""

_AT_ONCE = 8
"""Photos that are held and go through the detector together."""

COLUMNS = (
    *("image", "answer", "faces", "face", "x1", "y1", "x2", "y2", "face_score", "label", "score"),
)


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


def check_landmarks(detector: FaceDetector) -> None:
    """Refuse a detector that classifiers cannot be used with.

    Raises:
        ModelFileError: It finds no landmarks.
    """
    if all(output.name != "landmarks" for output in detector.contract.outputs):
        raise ModelFileError(f"{detector.path}: finds no landmarks, which classifiers need")


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
        self.face_score = face_score
        check_landmarks(detector)

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
            device: As `runtimes.load` takes it, for both.
            threads: Likewise.

        Raises:
            ModelFileError: One of them is something else.
        """
        model = load(classifier, device=device, threads=threads)
        if not isinstance(model, FaceClassifier):
            raise ModelFileError(f"{classifier}: is for {model.contract.task}, no classifier")
        finder = load_detector(detector, device=device, threads=threads)
        return cls(model, finder, face_score=face_score)

    @property
    def positive(self) -> str:
        """The label that is looked for: the last."""
        return self.classifier.contract.labels[-1]

    def answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        nms_iou: float | None = None,
    ) -> list[tuple[str, Detections, tuple[Classification, ...]]]:
        """Find and label the faces of some photos.

        Args:
            images: uint8 (H, W, 3), BGR.
            nms_iou: Of the detector; its contract's if None.

        Returns:
            For each photo: the answer, the faces, and their labels.
        """
        found = find_framed(self.detector, images, score_threshold=self.face_score, nms_iou=nms_iou)
        answers = []
        for image, faces in zip(images, found, strict=True):
            labels: tuple[Classification, ...] = ()
            if len(faces):
                assert faces.landmarks is not None
                labels = tuple(self.classifier.predict(image, faces.landmarks))
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
            try:
                readable.append((path, image.result()))
            except ImageError as error:
                _log.warning("left out: %s", error)
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


def find_photos(sources: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The photos of files and folders, each once, with the name that it has below its source.

    Raises:
        UserError: There is no such file or folder, or no photo in any.
        DataError: See `list_images`.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for source in sources:
        if source.is_dir():
            for path in list_images(source):
                found.setdefault(_place(path), (path, path.relative_to(source)))
        elif source.exists():
            found.setdefault(_place(source), (source, Path(source.name)))
        else:
            raise UserError(f"{source}: no such file or folder")
    if not found:
        raise UserError(f"{', '.join(map(str, sources))}: no photo in there")
    return list(found.values())


def _place(path: Path) -> Path:
    """The same for all ways to write one path; links to photos are photos of their own."""
    return path.parent.resolve() / path.name


class Copies:
    """Copies of photos in a folder, under their names below their source; none is overwritten.

    Args:
        folder: Made at the first copy.
        sources: What the photos are read from.

    Raises:
        UserError: The folder lies in a source, or cannot be written; see `check_place`.
    """

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        inside = folder.resolve()
        for source in sources:
            if source.is_dir() and source.resolve() in (inside, *inside.parents):
                raise UserError(
                    f"--copy-to {folder}: lies in {source}, among the photos to be read"
                )
        check_place(folder, "--copy-to", folder=True)
        self.folder = folder

    def add(self, photo: Path, name: Path) -> Path:
        """Copy a photo, whole or not at all; returns where it is.

        Raises:
            UserError: It cannot be written.
        """
        target = self.folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copy-") as scratch:
                copy = Path(scratch, "copy")
                shutil.copyfile(photo, copy)
                number = 1
                while not _put(copy, target):
                    if target.is_file() and target.read_bytes() == photo.read_bytes():
                        return target
                    number += 1
                    target = self.folder / name.with_stem(f"{name.stem}-{number}")
        except OSError as error:
            raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error
        return target


def _put(copy: Path, target: Path) -> bool:
    """Give a file its name; False where there is anything of that name."""
    try:
        os.link(copy, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if os.path.lexists(target):
            return False
        os.replace(copy, target)
    return True


def check_csv(path: Path, photos: Collection[Path]) -> None:
    """Refuse a place that cannot become a file, before the work that it is to hold.

    Raises:
        UserError: One of the photos is there; see `check_place`.
    """
    if path.resolve() in {photo.resolve() for photo in photos}:
        raise UserError(f"--csv {path}: is one of the photos to be read")
    check_place(path, "--csv")


@contextmanager
def answers_csv(path: Path) -> Iterator[Callable[[PhotoAnswer], None]]:
    """Write a CSV with a row for each face, and one for each photo without a face.

    It is there when the block ends without an exception.

    Yields:
        What takes the next photo's answer.

    Raises:
        UserError: It cannot be written.
    """
    try:
        with atomic_write(path, "w") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(COLUMNS)
            yield lambda one: writer.writerows(_csv_rows(one))
    except BrokenPipeError:
        raise  # of standard output
    except OSError as error:
        raise UserError(f"--csv {path}: cannot be written: {error.strerror or error}") from error


def _csv_rows(one: PhotoAnswer) -> Iterator[list[object]]:
    head = [str(one.path), one.answer, len(one.labels)]
    if not one.labels:
        yield [*head, *[""] * (len(COLUMNS) - len(head))]
    for index, label in enumerate(one.labels):
        box = [f"{value:.1f}" for value in one.faces.boxes[index]]
        face_score, score = one.faces.scores[index], label.score
        yield [*head, index, *box, f"{face_score:.4f}", label.label, f"{score:.4f}"]
