"""Whose faces stay visible: `--only` and `--except` a gallery of known people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...embedding import Embedding
from ...results import Detections
from ...tasks.load import load_as
from ...tasks.recognition.model import FaceRecognizer
from ..gallery import Gallery
from ..recognize_faces import PhotoFaces
from ..recognize_find import found_faces, judge_of, warn_of_many
from ..recognize_rate import MAX_FMR, check_fmr
from ..recognize_verdict import Answer

Rule = Literal["only", "except"]
"""Whose faces are hidden: only those of the gallery's people, or all except those."""

ONLY_FMR = 0.3
"""False match rate of `only`, unless another one is asked for: whoever is as like somebody of the
gallery as three strangers in ten are may be that person, and is hidden.

Of 220 people of LFW, one photo of each enrolled, none stays visible in another photo at this rate;
at 0.1 it is 3.
"""

_TURNED = 0.25
"""Distance of the eyes, as a share of the face's longer side, below which a face is turned so far
away that nobody is recognised for sure. Of one that looks here it is about 0.4."""


@dataclass(frozen=True, kw_only=True)
class WhoRequest:
    """Whose faces stay visible.

    Attributes:
        gallery: The gallery's file, or what is in it.
        rule: Whose faces are hidden.
        recognizer: Model file of the recogniser that the gallery is of.
        max_fmr: False match rate; None for `MAX_FMR` with `except` and `ONLY_FMR` with `only`.
    """

    gallery: Path | bytes = field(repr=False)
    rule: Rule
    recognizer: Path
    max_fmr: float | None = None

    @property
    def rate(self) -> float:
        """The false match rate."""
        if self.max_fmr is not None:
            return self.max_fmr
        return ONLY_FMR if self.rule == "only" else MAX_FMR


class Who:
    """Tells the people of a gallery from others; who is uncertain is hidden.

    Args:
        request: What was asked for.
        device: Device of the recogniser, as `tasks.load` takes it.
        threads: Its threads, as `tasks.load` takes them.

    Raises:
        DataError: The gallery is damaged, nobody is enrolled, or it is of another recogniser.
        UserError: The recogniser's thresholds were never measured, or not for this rate.
    """

    def __init__(
        self, request: WhoRequest, *, device: str = "cpu", threads: int | None = None
    ) -> None:
        check_fmr(request.rate)
        self.rule = request.rule
        if isinstance(request.gallery, bytes):
            self._gallery = Gallery.of_bytes(request.gallery)
        else:
            self._gallery = Gallery.open(request.gallery)
        self._gallery.check_people()
        self._model = load_as(FaceRecognizer, request.recognizer, device=device, threads=threads)
        self._gallery.check_recognizer(self._model)
        self._judge = judge_of(self._gallery, self._model, request.rate)
        if self.rule == "except":
            warn_of_many(self._judge)

    def answers(self, image: NDArray[np.uint8], faces: Detections) -> Sequence[Answer]:
        """For each face whether it is one of the gallery's people.

        A face that is too small, or turned away, is unsure.

        Args:
            image: uint8 (H, W, 3), BGR.
            faces: Its faces, with landmarks.
        """
        if not len(faces):
            return ()
        assert faces.landmarks is not None
        embeddings: tuple[Embedding, ...] = tuple(self._model.predict(image, faces.landmarks))
        seen = PhotoFaces(Path(), image, faces, embeddings)
        found = found_faces(seen, self._gallery, self._judge)
        turned = _are_turned(faces)
        return tuple(
            "unsure" if away else face.verdict.answer
            for face, away in zip(found, turned, strict=True)
        )

    def visible(self, image: NDArray[np.uint8], faces: Detections) -> NDArray[np.bool_]:
        """For each face of a photo whether it is not to be hidden; see `answers`."""
        return np.array([self.shows(one) for one in self.answers(image, faces)], bool)

    def shows(self, answer: Answer) -> bool:
        """Whether a face stays visible of which this is known."""
        return answer == ("no" if self.rule == "only" else "yes")


def _are_turned(faces: Detections) -> NDArray[np.bool_]:
    assert faces.landmarks is not None
    eyes = faces.landmarks[:, 1] - faces.landmarks[:, 0]
    sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(axis=1)
    return np.asarray(np.hypot(eyes[:, 0], eyes[:, 1]) < _TURNED * sides, np.bool_)
