"""A loaded classifier: takes a photo and landmarks and gives a label for each face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.align import align_face, planes
from ...data.pixels import Colour, Image, read_pixels
from ...model_templates.contract import Contract
from ...results import Classification
from ...runtimes.session import Session
from ..model import Model, Steps, checked_landmarks, fraction, rows_of
from .rules import classification_rules


class FaceClassifier(Model[list[Classification]]):
    """Labels faces, whose landmarks come from a `FaceDetector`.

    Attributes:
        rules: The contract's rules for this task.
    """

    WHAT = "face classifier"

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        super().__init__(contract=contract, session=session, path=path)
        self.rules = classification_rules(contract)

    def predict(
        self,
        image: Image,
        landmarks: NDArray[np.float32],
        *,
        colour: Colour = "BGR",
        score_threshold: float | None = None,
        batch_size: int = 32,
    ) -> list[Classification]:
        """Label the faces of one photo.

        Args:
            image: A path, bytes, a binary file, an image of Pillow's, or a uint8 array (H, W, 3),
                of any size; see `data.pixels.read_pixels`.
            landmarks: (N, 5, 2): x, y in pixels of the photo, as in `Detections`.
            colour: "RGB" if that is the order of an array's channels.
            score_threshold: Lowest score, 0 to 1, at which the last of two labels is given; None
                for the contract's.
            batch_size: Faces that go through the network at once; ignored by files with a fixed
                batch size.

        Returns:
            One answer for each face, in order.

        Raises:
            InputError: It is not such an image, the landmarks have another shape or are
                not finite, or the threshold is out of range.
            ImageError: The file does not decode to a photo.
        """
        pixels = read_pixels(image, colour=colour)
        points = checked_landmarks(landmarks)
        faces = self.cut(pixels, points)
        return self.classify(faces, score_threshold=score_threshold, batch_size=batch_size)

    def cut(
        self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]
    ) -> list[NDArray[np.uint8]]:
        """Cut and align the faces of a photo for the network: uint8 (height, width, 3), BGR.

        Args:
            image: uint8 (H, W, 3), BGR.
            landmarks: (N, 5, 2), pixels of the photo.
        """
        return [align_face(image, face, self.contract.input) for face in landmarks]

    def classify(
        self,
        faces: list[NDArray[np.uint8]],
        *,
        score_threshold: float | None = None,
        batch_size: int = 32,
    ) -> list[Classification]:
        """Label faces that are already cut and aligned.

        Args:
            faces: Faces from `cut`, uint8 (height, width, 3) BGR of the input's size.
            score_threshold: See `predict`.
            batch_size: See `predict`.

        Raises:
            InputError: A face has another type or size, or `batch_size` is below 1.
        """
        threshold = fraction("score_threshold", score_threshold, self.rules.score_threshold)
        rows = rows_of(faces, self.infer, self.contract.input, batch_size=batch_size, what="a face")
        return [self.answer(row, threshold) for row in rows]

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network: float32 (B, 3, height, width) to probabilities (B, labels).

        Raises:
            PocketfaceError: The probabilities are not finite.
        """
        return self.probabilities(batch, "probabilities")

    def answer(self, shares: NDArray[np.float32], threshold: float) -> Classification:
        """Turn the probabilities (labels,) of one face into its label."""
        # With two labels the threshold decides, with more the highest probability.
        labels = self.rules.labels
        index = int(shares[-1] >= threshold) if len(labels) == 2 else int(shares.argmax())
        return Classification(labels[index], index, float(shares[index]), shares)

    def steps(self) -> Steps:
        """See `Model.steps`; one face of each photo, whose landmarks are known."""
        threshold = self.rules.score_threshold
        return Steps(
            prepare=lambda images, points: (
                planes([self.cut(i, p[None])[0] for i, p in zip(images, points, strict=True)]),
                None,
            ),
            infer=self.infer,
            finish=lambda shares, _: [self.answer(row, threshold) for row in shares],
        )


make = FaceClassifier
