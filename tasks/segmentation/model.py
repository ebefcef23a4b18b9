"""A loaded segmenter: takes a photo and landmarks and gives a mask for each face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...data.align import Transform, cut_face, planes, similarity
from ...data.pixels import Colour, Image, read_pixels
from ...errors import InputError
from ...mask import Mask
from ...model_templates.contract import Contract
from ...runtimes.session import Session
from ..model import Model, Steps, checked_landmarks, rows_of
from .classes import classes_of
from .placing import place_masks, stretch
from .rules import segmentation_rules

Pixels = NDArray[np.uint8]


class FaceSegmenter(Model[list[Mask]]):
    """Gives the mask of faces, whose landmarks come from a `FaceDetector`.

    Attributes:
        rules: The contract's rules for this task.
    """

    WHAT = "face segmenter"

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        super().__init__(contract=contract, session=session, path=path)
        self.rules = segmentation_rules(contract)

    def predict(
        self,
        image: Image,
        landmarks: NDArray[np.float32] | Literal["head"] = "head",
        *,
        colour: Colour = "BGR",
        batch_size: int = 8,
    ) -> list[Mask]:
        """Segment the faces of one photo.

        Args:
            image: A path, bytes, a binary file, an image of Pillow's, or a uint8 array (H, W, 3),
                of any size; see `data.pixels.read_pixels`.
            landmarks: (N, 5, 2): x, y in pixels of the photo, as in `Detections`; or "head" for a
                photo that is one head already cut, with some room around it.
            colour: "RGB" if that is the order of an array's channels.
            batch_size: Heads that go through the network at once; ignored by files with a fixed
                batch size.

        Returns:
            One mask for each face, in order. No pixel is of two faces.

        Raises:
            InputError: It is not such an image, or the landmarks have another shape or are not
                finite.
            ImageError: The file does not decode to a photo.
        """
        pixels = read_pixels(image, colour=colour)
        points = None
        if not isinstance(landmarks, str):  # None, as of a detector without any, is a mistake
            points = checked_landmarks(landmarks)
        elif landmarks != "head":
            raise InputError(f'landmarks {landmarks!r}: expected (faces, 5, 2), or "head"')
        transforms = self.transforms(pixels.shape, points)
        shares = self.segment(self.cut(pixels, transforms), batch_size=batch_size)
        return self.place(shares, transforms, pixels.shape)

    def transforms(
        self, shape: tuple[int, ...], landmarks: NDArray[np.float32] | None
    ) -> list[Transform]:
        """For each head the transform from the photo's pixels to the input's, float64 (2, 3).

        Args:
            shape: Height and width of the photo.
            landmarks: (N, 5, 2), pixels of the photo; None for a photo that is one head.

        Raises:
            InputError: The landmarks have another shape or are not finite.
        """
        spec = self.contract.input
        if landmarks is None:
            return [stretch(shape, spec)]
        points = checked_landmarks(landmarks)
        assert spec.points is not None  # guaranteed by the rules
        return [similarity(face, spec.points) for face in points]

    def cut(self, image: Pixels, transforms: list[Transform]) -> list[Pixels]:
        """Cut heads for the network: uint8 (height, width, 3), BGR.

        Args:
            image: uint8 (H, W, 3), BGR.
            transforms: From `transforms`.
        """
        return [cut_face(image, transform, self.contract.input) for transform in transforms]

    def place(
        self,
        shares: list[NDArray[np.float32]],
        transforms: list[Transform],
        shape: tuple[int, ...],
    ) -> list[Mask]:
        """Lay what `segment` says of a photo's heads back into the photo; see `place_masks`.

        Args:
            shares: For each head float32 (classes, height, width).
            transforms: From `transforms`.
            shape: Height and width of the photo.
        """
        size = (shape[0], shape[1])
        return place_masks(shares, transforms, size, spec=self.contract.input, rules=self.rules)

    def segment(self, heads: list[Pixels], *, batch_size: int = 8) -> list[NDArray[np.float32]]:
        """The probabilities for heads that are already cut and aligned.

        Args:
            heads: uint8 (height, width, 3) BGR of the input's size.
            batch_size: Heads that go through the network at once; ignored by files with a fixed
                batch size.

        Returns:
            For each head float32 (classes, height, width), 0 to 1.

        Raises:
            InputError: A head has another type or size, or `batch_size` is below 1.
            PocketfaceError: The probabilities are not finite.
        """
        return rows_of(heads, self.infer, self.contract.input, batch_size=batch_size, what="a head")

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network: float32 (B, 3, height, width) to (B, classes, height, width).

        Raises:
            PocketfaceError: The probabilities are not finite.
        """
        return self.probabilities(batch, "mask")

    def classes_of(self, shares: NDArray[np.float32]) -> Pixels:
        """See `classes.classes_of`; with the contract's threshold."""
        return classes_of(shares, self.rules.threshold)

    def steps(self) -> Steps:
        """See `Model.steps`; one face of each photo, or the whole photo without landmarks."""

        def prepare(
            images: Sequence[Pixels], landmarks: Sequence[NDArray[np.float32] | None]
        ) -> tuple[NDArray[np.float32], list[tuple[list[Transform], tuple[int, ...]]]]:
            heads, places = [], []
            for image, points in zip(images, landmarks, strict=True):
                transforms = self.transforms(image.shape, None if points is None else points[None])
                heads += self.cut(image, transforms)
                places.append((transforms, image.shape))
            return planes(heads), places

        return Steps(
            prepare=prepare,
            infer=self.infer,
            finish=lambda shares, places: [
                self.place([share], *where)[0] for share, where in zip(shares, places, strict=True)
            ],
        )


make = FaceSegmenter
