"""The faces of photos, as vectors to compare."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.images import VIDEO_SUFFIXES
from ..data.read_ahead import decoded
from ..embedding import Embedding
from ..errors import ImageError, UserError
from ..files import sha256_file
from ..results import Detections
from ..runtimes.seal import model_files
from ..tasks.detection.model import FaceDetector
from ..tasks.load import load_as
from ..tasks.recognition.model import FaceRecognizer
from .faces import FACE_SCORE, FaceReader
from .recognize_calibration import use_calibration

_log = logging.getLogger(__name__)

MIN_EYES = 8.0
"""Distance of the eyes, in pixels, below which nobody is recognised: a face is too small."""


@dataclass(frozen=True, eq=False)
class PhotoFaces:
    """The faces of one photo.

    Attributes:
        path: The photo.
        image: Its pixels, uint8 (H, W, 3), BGR.
        faces: The faces, best first.
        embeddings: Of each face.
    """

    path: Path
    image: NDArray[np.uint8]
    faces: Detections
    embeddings: tuple[Embedding, ...]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The number of each face: from 1 on, from left to right in the photo."""
        middles = self.faces.boxes[:, [0, 2]].sum(axis=1)
        return tuple(1 + int(place) for place in middles.argsort(kind="stable").argsort())

    @cached_property
    def small(self) -> tuple[bool, ...]:
        """Whether each face is too small to say who it is; see `MIN_EYES`."""
        if not len(self.faces):
            return ()
        assert self.faces.landmarks is not None
        eyes = self.faces.landmarks[:, 1] - self.faces.landmarks[:, 0]
        return tuple(bool(apart < MIN_EYES) for apart in np.hypot(eyes[:, 0], eyes[:, 1]))

    @property
    def largest(self) -> int:
        """Index of the face with the largest box."""
        sides = self.faces.boxes[:, 2:] - self.faces.boxes[:, :2]
        return int(sides.prod(axis=1).argmax())


class Recognizer:
    """A detector and a recogniser, which see photos together.

    Attributes:
        model: The recogniser.

    Args:
        model: The recogniser's file.
        detector: Model file of a detector with landmarks.
        score: Lowest detector score of a face, 0 to 1.
        calibration: File of `recognize calibrate`, which says what the model's cosines mean; None
            for what the model's own file says.
        device: Device for both models, as `tasks.load` takes it.
        threads: Threads for one inference of each, as `tasks.load` takes them.

    Raises:
        ModelFileError: A file holds a model of another kind, or the detector has no landmarks.
        DataError: The calibration is damaged, or another model's.
    """

    def __init__(
        self,
        model: Path,
        detector: Path,
        *,
        score: float = FACE_SCORE,
        calibration: Path | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self.model = load_as(FaceRecognizer, model, device=device, threads=threads)
        if calibration is not None:
            use_calibration(calibration, self.model)
        self._detector, self._score = detector, score
        finder = load_as(FaceDetector, detector, device=device, threads=threads)
        self._reader = FaceReader(self.model, finder, face_score=score)

    @property
    def finder(self) -> str:
        """What decides which faces are found: digests of the detector's files, and the score."""
        files = [part for part in model_files(self._detector) if part.is_file()]
        return " ".join([*map(sha256_file, files), f"{self._score:g}"])

    def see(self, path: Path, image: NDArray[np.uint8]) -> PhotoFaces:
        """The faces of a decoded photo, uint8 (H, W, 3), BGR."""
        ((faces, embeddings),) = self._reader.read([image])
        return PhotoFaces(path, image, faces, embeddings)

    def photos(
        self,
        paths: Sequence[Path],
        *,
        on_unreadable: Callable[[Path], None],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[PhotoFaces]:
        """The faces of many photos, one photo in memory and one ahead.

        A photo that cannot be read is left out with a warning.

        Args:
            paths: The photos.
            on_unreadable: Called with each photo that cannot be read.
            on_progress: Called with the number of photos done and the total.
        """
        for done, (path, image) in enumerate(zip(paths, decoded(paths), strict=True), 1):
            if isinstance(image, ImageError):
                _log.warning("left out: %s", image)
                on_unreadable(path)
            else:
                yield self.see(path, image)
            if on_progress is not None:
                on_progress(done, len(paths))


def refuse_videos(paths: Sequence[Path]) -> None:
    """Refuse videos where photos are expected.

    Raises:
        UserError: One of the paths is a video's.
    """
    for path in paths:
        if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir():
            raise UserError(f"{path}: is a video: expected photos and folders of photos")
