"""Distillation: learn another recogniser's embeddings of the same faces."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.identities import IdentityPhoto
from ...errors import UserError
from ...files import atomic_write, cache_folder, sha256_files
from ...model_templates.recipe import TeacherInputSpec
from ...model_templates.schema import TemplateFile
from ...models.file_checks import check_file
from ...models.weights_formats import READERS
from ...runtimes import open_session
from ...runtimes.seal import model_files
from ..load import load_as
from ..teachers import INPUT_KEY, TEACHER_KEY, named_teacher, teacher_file
from .embeddings import Embedder, embeddings_of
from .foreign import open_foreign
from .model import FaceRecognizer

_log = logging.getLogger(__name__)

TOLD_EVERY = 1000
"""Photos; so many take a teacher seconds to a minute."""


class EmbeddingTeacher:
    """A recogniser whose embeddings of the training photos are known.

    Args:
        path: Its file.
        takes: How a third party's file takes a face; None for ours.
        weight: Weight of the distillation loss.

    Attributes:
        sha256: SHA-256 of the file, or of its parts, one behind the other.
    """

    def __init__(self, path: Path, *, takes: TeacherInputSpec | None, weight: float) -> None:
        self.path = path
        self.sha256 = sha256_files(model_files(path))
        self.weight = weight
        self._takes = takes

    def embeddings(self, photos: Sequence[IdentityPhoto]) -> NDArray[np.float32]:
        """Its embeddings, as the photos are: float32 (photos, size); NaN where there is none.

        They are stored in the user's cache, and taken from there the next time.

        Raises:
            ModelFileError: The file is no recogniser.
        """
        stored = cache_folder() / "embeddings" / f"{self._digest(photos)}.npy"
        if stored.exists():
            try:
                found: NDArray[np.float32] = np.load(stored, allow_pickle=False)
                if found.shape[:1] == (len(photos),):
                    return found
            except (OSError, ValueError, EOFError) as error:
                _log.warning("%s: damaged, and made anew: %s", stored, error)
        _log.info("%s looks at %d photos", self.path.name, len(photos))
        every = max(TOLD_EVERY, len(photos) // 10)

        def tell(done: int, total: int) -> None:
            if done % every == 0:
                _log.info("%s has seen %d of %d photos", self.path.name, done, total)

        vectors = embeddings_of(self.open(), photos, on_progress=tell)
        stored.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(stored) as file:
            np.save(file, vectors, allow_pickle=False)
        return vectors

    def open(self) -> Embedder:
        """Open the file.

        Raises:
            ModelFileError: It is no recogniser.
        """
        if self._takes is None:
            return load_as(FaceRecognizer, self.path)
        return open_foreign(self.path, self._takes)

    def _digest(self, photos: Sequence[IdentityPhoto]) -> str:
        """What the embeddings depend on."""
        digest = hashlib.sha256(self.sha256.encode())
        digest.update(b"" if self._takes is None else self._takes.model_dump_json().encode())
        for photo in photos:
            state = photo.path.stat()
            digest.update(f"{photo.path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}".encode())
            digest.update(b"" if photo.landmarks is None else photo.landmarks.tobytes())
        return digest.hexdigest()[:32]


def find_teacher(student: TemplateFile) -> EmbeddingTeacher | None:
    """The teacher that a template's recipe names; None if it names none.

    Raises:
        UserError: The file cannot be used, see `teacher_file`, or is no recogniser; or it is a
            third party's and the template does not say how it takes a face.
    """
    spec = student.spec.hyper_parameters.distillation
    if spec is None:
        return None
    with named_teacher(student, expected="a face recogniser"):
        path = teacher_file(student, spec.teacher)
        ours = path.suffix in READERS
        if ours:
            check_file(path)
        else:
            ours = open_session(path).contract_json is not None
    if ours and spec.input is not None:
        raise UserError(f"{student.path}: {INPUT_KEY}: {path} says how it takes a face")
    if not ours and spec.input is None:
        raise UserError(
            f"{student.path}: {TEACHER_KEY}: {path} has no contract: expected {INPUT_KEY} too, "
            "with the points that it is aligned to"
        )
    teacher = EmbeddingTeacher(path, takes=spec.input, weight=spec.weight)
    with named_teacher(student, expected="a face recogniser"):
        teacher.open()
    return teacher
