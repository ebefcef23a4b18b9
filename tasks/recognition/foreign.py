"""Run any file that gives a vector for a face, ours or a third party's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.align import align_face, planes
from ...embedding import Embedding
from ...errors import ModelFileError, PocketfaceError
from ...model_templates.contract import InputSpec
from ...model_templates.recipe import TeacherInputSpec
from ...runtimes import open_session
from ...runtimes.session import Session
from ..model import Steps, checked_landmarks

Pixels = NDArray[np.uint8]


class ForeignRecognizer:
    """A third party's recogniser, with the parts of a `FaceRecognizer` that measuring needs.

    Attributes:
        path: The file.
        session: The runtime's session.
        spec: Its input; `points` are those of aligned faces.
        size: Number of components of an embedding.
    """

    def __init__(self, path: Path, session: Session, takes: TeacherInputSpec) -> None:
        shapes = [tuple(shape) for shape in session.input_shapes.values()]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or min(shapes[0][2:]) < 1:
            raise ModelFileError(
                f"{path}: inputs {shapes}: expected one, (batch, 3, height, width)"
            )
        sizes = [tuple(shape) for shape in session.output_shapes.values()]
        if len(sizes) != 1 or int(np.prod(sizes[0][1:])) < 2 or -1 in sizes[0][1:]:
            raise ModelFileError(f"{path}: outputs {sizes}: expected one vector for a face")
        batch, _, height, width = shapes[0]
        self.path = path
        self.session = session
        self.size = int(np.prod(sizes[0][1:]))
        points = tuple((x * width, y * height) for x, y in takes.points)
        self.spec = InputSpec(shape=(batch, 3, height, width), resize="align", points=points)
        self._swaps = takes.colour == "RGB"
        self._mean, self._std = (
            np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (takes.mean, takes.std)
        )

    def predict(self, image: Pixels, landmarks: NDArray[np.float32]) -> list[Embedding]:
        """See `FaceRecognizer.predict`."""
        return self.embed(self.cut(image, checked_landmarks(landmarks)))

    def cut(self, image: Pixels, landmarks: NDArray[np.float32]) -> list[Pixels]:
        """See `FaceRecognizer.cut`."""
        return [align_face(image, face, self.spec) for face in landmarks]

    def embed(self, faces: list[Pixels]) -> list[Embedding]:
        """See `FaceRecognizer.embed`; one face at a time, as batch sizes are mostly fixed."""
        return [Embedding(self._infer(self._input([face]))[0]) for face in faces]

    def steps(self) -> Steps:
        """See `Model.steps`; one face of each photo."""
        return Steps(
            prepare=lambda images, points: (
                self._input([self.cut(i, p[None])[0] for i, p in zip(images, points, strict=True)]),
                None,
            ),
            infer=self._infer,
            finish=lambda vectors, _: [Embedding(row) for row in vectors],
        )

    def _input(self, faces: list[Pixels]) -> NDArray[np.float32]:
        if self._swaps:
            faces = [np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2RGB), np.uint8) for face in faces]
        return np.ascontiguousarray((planes(faces) - self._mean) / self._std)

    def _infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        (vectors,) = self.session.run(batch).values()
        vectors = vectors.reshape(len(batch), -1).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise PocketfaceError(f"{self.path}: its embeddings are not finite, or 0")
        return np.asarray(vectors / lengths, np.float32)


def open_foreign(
    path: Path,
    takes: TeacherInputSpec,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> ForeignRecognizer:
    """Open a third party's recogniser.

    Raises:
        ModelFileError: The file is missing or damaged, or is no recogniser.
        MissingPackageError: The runtime is not installed.
    """
    session = open_session(path, runtime=runtime, device=device, threads=threads)
    return ForeignRecognizer(path, session, takes)
