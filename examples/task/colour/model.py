"""A loaded colour model: photo and landmarks in, the shares of colours of each face out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...data.align import align_face, planes
from ...data.pixels import Colour, Image, read_pixels
from ..model import Model, Steps


class FaceColour(Model[NDArray[np.float32]]):
    """Tells the shares of blue, green and red in a face."""

    WHAT = "face colour model"

    def predict(
        self, image: Image, landmarks: NDArray[np.float32], *, colour: Colour = "BGR"
    ) -> NDArray[np.float32]:
        """The colours of the faces of one photo.

        Args:
            image: See `data.pixels.read_pixels`.
            landmarks: (N, 5, 2): x, y in pixels of the photo.
            colour: "RGB" if that is the order of an array's channels.

        Returns:
            float32 (N, 3): shares of blue, green and red, 0 to 1.
        """
        pixels, spec = read_pixels(image, colour=colour), self.contract.input
        faces = [align_face(pixels, face, spec) for face in landmarks]
        rows = [self.infer(planes([face])) for face in faces]
        return np.concatenate(rows) if rows else np.zeros((0, 3), np.float32)

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network alone: float32 (B, 3, height, width) to shares (B, 3)."""
        return self.session.run(batch)["probabilities"]

    def steps(self) -> Steps:
        """See `Model.steps`."""
        spec = self.contract.input
        return Steps(
            prepare=lambda images, points: (
                planes([align_face(i, p, spec) for i, p in zip(images, points, strict=True)]),
                None,
            ),
            infer=self.infer,
            finish=lambda shares, _: list(shares),
        )


make = FaceColour
