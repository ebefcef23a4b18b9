"""A loaded recogniser: takes a photo and landmarks and gives a vector for each face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.align import align_face, planes
from ...data.pixels import Colour, Image, read_pixels
from ...embedding import Embedding
from ...errors import InputError, PocketfaceError, UserError
from ...model_templates.contract import Contract
from ...runtimes.session import Session
from ..model import Model, Steps, checked_landmarks, rows_of
from .rules import recognition_rules

_NAME = "embedding"


class FaceRecognizer(Model[list[Embedding]]):
    """Describes faces, whose landmarks come from a `FaceDetector`, by vectors to compare.

    Attributes:
        rules: The contract's rules for this task, or those of a calibration.
        measured_in: The file that has them: the model's own, or the calibration.
    """

    WHAT = "face recogniser"

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        super().__init__(contract=contract, session=session, path=path)
        self.rules = recognition_rules(contract)
        self.measured_in = path

    @property
    def size(self) -> int:
        """Number of components of an embedding."""
        return self.contract.outputs[0].shape[1]

    def predict(
        self,
        image: Image,
        landmarks: NDArray[np.float32],
        *,
        colour: Colour = "BGR",
        batch_size: int = 32,
    ) -> list[Embedding]:
        """Describe the faces of one photo.

        Args:
            image: A path, bytes, a binary file, an image of Pillow's, or a uint8 array (H, W, 3),
                of any size; see `data.pixels.read_pixels`.
            landmarks: (N, 5, 2): x, y in pixels of the photo, as in `Detections`.
            colour: "RGB" if that is the order of an array's channels.
            batch_size: Faces that go through the network at once; ignored by files with a fixed
                batch size.

        Returns:
            One embedding for each face, in order.

        Raises:
            InputError: It is not such an image, or the landmarks have another shape or are not
                finite.
            ImageError: The file does not decode to a photo.
        """
        pixels = read_pixels(image, colour=colour)
        return self.embed(self.cut(pixels, checked_landmarks(landmarks)), batch_size=batch_size)

    def cut(
        self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> list[NDArray[np.uint8]]:
        """Cut and align the faces of a photo for the network: uint8 (height, width, 3), BGR.

        Args:
            image: uint8 (H, W, 3), BGR.
            landmarks: (N, 5, 2), pixels of the photo.
        """
        return [align_face(image, face, self.contract.input) for face in landmarks]

    def embed(self, faces: Sequence[NDArray[np.uint8]], *, batch_size: int = 32) -> list[Embedding]:
        """Describe faces that are already cut and aligned.

        Args:
            faces: Faces from `cut`, uint8 (height, width, 3) BGR of the input's size.
            batch_size: See `predict`.

        Raises:
            InputError: A face has another type or size, or `batch_size` is below 1.
        """
        rows = rows_of(faces, self.infer, self.contract.input, batch_size=batch_size, what="a face")
        return [Embedding(row) for row in rows]

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network: float32 (B, 3, height, width) to vectors (B, size) of unit length.

        Raises:
            PocketfaceError: The vectors are not finite, or have no direction.
        """
        vectors = self.session.run(batch)[_NAME].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise PocketfaceError(f"{self.path}: the network's embeddings are not finite, or 0")
        # Files of lower precision give lengths that are nearly 1.
        return np.asarray(vectors / lengths, np.float32)

    def threshold(self, *, max_fmr: float) -> float:
        """The cosine from which on two faces count as one person's.

        Between the measured false match rates the cosine is interpolated over their logarithm.

        Args:
            max_fmr: Largest share of pairs of two people that may reach it.

        Raises:
            InputError: The rate is no number.
            UserError: The model's thresholds were never measured, or not for so small a rate.
        """
        if not isinstance(max_fmr, Real):
            raise InputError(f"max_fmr is {max_fmr!r}: expected a number above 0 and below 1")
        points = self.rules.thresholds
        if not points:
            raise UserError(
                f"{self.measured_in}: its thresholds were never measured",
                hint="`pocketface recognize calibrate` measures them on photos of your own",
            )
        if not points[-1].fmr <= max_fmr < 1:
            raise UserError(
                f"--max-fmr {max_fmr:g}: expected {points[-1].fmr:g}, the smallest that was "
                f"measured ({self.measured_in}), or more, and less than 1",
                hint="without the flag it is the command's default; `pocketface recognize "
                "calibrate` measures smaller rates on photos of more people",
            )
        rates = [math.log(point.fmr) for point in reversed(points)]
        cosines = [point.cosine for point in reversed(points)]
        return float(np.interp(math.log(max_fmr), rates, cosines))

    def probability(self, cosine: float) -> float | None:
        """How probable it is that two faces are one person's, 0 to 1, at even odds beforehand.

        Args:
            cosine: Their similarity; see `Embedding.similarity`.

        Returns:
            The probability; None if it was never measured what cosines mean.
        """
        curve = self.rules.calibration
        if curve is None:
            return None
        return 1 / (1 + math.exp(-min(max(curve.slope * cosine + curve.offset, -500.0), 500.0)))

    def steps(self) -> Steps:
        """See `Model.steps`; one face of each photo, whose landmarks are known."""
        return Steps(
            prepare=lambda images, points: (
                planes([self.cut(i, p[None])[0] for i, p in zip(images, points, strict=True)]),
                None,
            ),
            infer=self.infer,
            finish=lambda vectors, _: [Embedding(row) for row in vectors],
        )


make = FaceRecognizer
