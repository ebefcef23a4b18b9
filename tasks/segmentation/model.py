"""A loaded segmenter: takes a photo and landmarks and gives a mask for each face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.align import planes
from ...errors import InputError, PocketfaceError
from ...model_templates.contract import Contract
from ...runtimes.session import Session
from ..model import Model, Steps
from .rules import segmentation_rules

Pixels = NDArray[np.uint8]


class FaceSegmenter(Model[list[NDArray[np.float32]]]):
    """Gives the mask of faces, whose landmarks come from a `FaceDetector`.

    Attributes:
        rules: The contract's rules for this task.
    """

    WHAT = "face segmenter"

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        super().__init__(contract=contract, session=session, path=path)
        self.rules = segmentation_rules(contract)

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
        if batch_size < 1:
            raise InputError(f"batch_size {batch_size}: expected 1 or more")
        spec = self.contract.input
        size = (spec.height, spec.width, 3)
        for head in heads:
            if head.shape != size or head.dtype != np.uint8:
                raise InputError(f"a head is {head.dtype} {head.shape}: expected uint8 {size}")
        fixed = spec.batch
        step = batch_size if fixed == -1 else fixed
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(heads), step):
            some = heads[start : start + step]
            filled = some + [np.zeros_like(some[0])] * (fixed - len(some))
            found += [*self.infer(planes(filled))[: len(some)]]
        return found

    def infer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network: float32 (B, 3, height, width) to (B, classes, height, width).

        Raises:
            PocketfaceError: The probabilities are not finite.
        """
        shares = self.session.run(batch)["mask"]
        # NaN would silently be below the threshold.
        if not np.isfinite(shares).all():
            raise PocketfaceError(f"{self.path}: the network's probabilities are not finite")
        return shares

    def classes_of(self, shares: NDArray[np.float32]) -> Pixels:
        """Probabilities (classes, H, W) to uint8 (H, W): 1 for the only class, or an index."""
        if len(shares) == 1:
            return np.asarray(shares[0] >= self.rules.threshold, np.uint8)
        return np.asarray(shares.argmax(0), np.uint8)


make = FaceSegmenter
