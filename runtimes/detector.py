"""A loaded detector: photo in, faces out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, PocketfaceError
from ..results import Detections
from .model import Image, Model, read_pixels
from .postprocess import MAX_DETECTIONS, as_boxes, find_faces
from .preprocess import Placement, prepare
from .session import Outputs


class FaceDetector(Model):
    """Finds faces."""

    def predict(
        self,
        image: Image,
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int = MAX_DETECTIONS,
    ) -> Detections:
        """Find the faces in one photo.

        Args:
            image: uint8 (H, W, 3), BGR, any size; or the path of an image file.
            score_threshold: Faces of at least this score, 0 to 1; the contract's if None.
            nms_iou: Of two boxes that overlap by more than this IoU the better one is kept,
                above 0 to 1; the contract's if None.
            max_detections: The best so many.

        Raises:
            InputError: The array is no such image, or a threshold is out of range.
            ImageError: The file does not decode to a photo.
        """
        (found,) = self.predict_batch(
            [image],
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
        )
        return found

    def predict_batch(
        self,
        images: Sequence[Image],
        *,
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int = MAX_DETECTIONS,
        batch_size: int = 8,
    ) -> list[Detections]:
        """Find the faces in several photos, which may differ in size.

        Args:
            images: As for `predict`.
            score_threshold: As for `predict`.
            nms_iou: As for `predict`.
            max_detections: As for `predict`.
            batch_size: Photos that go through the network at once; a file of a fixed batch size
                keeps to that.

        Returns:
            The faces of each photo, in the order of `images`.
        """
        threshold = self._fraction("score_threshold", score_threshold)
        overlap = self._fraction("nms_iou", nms_iou)
        self._check_graph_allows(threshold, overlap)
        if overlap == 0:
            raise InputError("nms_iou is 0: expected a number above 0, up to 1")
        if max_detections < 1 or batch_size < 1:
            raise InputError(
                f"max_detections {max_detections}, batch_size {batch_size}: expected 1 or more"
            )
        fixed = self.contract.input.batch
        step = batch_size if fixed == -1 else fixed
        results: list[Detections] = []
        for start in range(0, len(images), step):
            prepared = [
                prepare(read_pixels(image), self.contract.input)
                for image in images[start : start + step]
            ]
            outputs = self._run([batch for batch, _ in prepared], fixed=fixed)
            for index, (_, placement) in enumerate(prepared):
                results.append(
                    self._faces(
                        {name: array[index] for name, array in outputs.items()},
                        placement,
                        score_threshold=threshold,
                        nms_iou=overlap,
                        max_detections=max_detections,
                    )
                )
        return results

    def _run(self, batches: list[NDArray[np.float32]], *, fixed: int) -> Outputs:
        count = len(batches)
        if fixed > count:
            batches = batches + [np.zeros_like(batches[0])] * (fixed - count)
        outputs = as_boxes(self.session.run(np.concatenate(batches)), self.contract.input)
        # NaN would be below every threshold: no faces, and no hint why.
        if not np.isfinite(outputs["scores"]).all():
            raise PocketfaceError(f"{self.path}: the network's scores are not finite")
        return outputs

    def _faces(
        self,
        outputs: Outputs,
        placement: Placement,
        **limits: Any,
    ) -> Detections:
        return find_faces(
            outputs["boxes"],
            outputs["scores"],
            outputs.get("landmarks"),
            placement=placement,
            **limits,
        )

    def _check_graph_allows(self, threshold: float, overlap: float) -> None:
        contract = self.contract
        if contract.nms == "graph" and (
            threshold < contract.score_threshold or overlap > contract.nms_iou
        ):
            raise InputError(
                f"{self.path.name} has its NMS inside, at score {contract.score_threshold:g} and "
                f"IoU {contract.nms_iou:g}: expected a score_threshold not below, an nms_iou not "
                f"above, but they are {threshold:g} and {overlap:g}",
                hint="use the file of the same network without NMS",
            )
