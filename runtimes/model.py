"""A loaded model: photo in, faces out, whatever the runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, PocketfaceError
from ..model_templates.contract import Contract
from ..results import Detections
from .postprocess import MAX_DETECTIONS, as_boxes, find_faces
from .preprocess import Placement, prepare
from .session import Outputs, Session

Image = NDArray[np.uint8] | str | os.PathLike[str]
"""uint8 (H, W, 3) BGR, or the path of an image file."""


class Model:
    """A detector that `load` opened.

    Attributes:
        contract: What the file says about itself.
        session: The runtime's side of it.
        path: The file.
    """

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        self.contract = contract
        self.session = session
        self.path = path

    def __repr__(self) -> str:
        height, width = self.contract.input.height, self.contract.input.width
        return (
            f"<Model {self.contract.name} {self.contract.precision} {height}x{width} "
            f"{self.session.runtime} {self.session.device}>"
        )

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
                prepare(self._pixels(image), self.contract.input)
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

    def raw(self, batch: NDArray[np.float32]) -> Outputs:
        """The graph's own outputs, before NMS.

        Args:
            batch: float32 (B, 3, height, width) of the contract's size, 0-255, BGR planes,
                whatever the graph's own layout is.

        Returns:
            boxes (B, N, 4) and, where there are any, landmarks (B, N, 5, 2), in network-input
            pixels; scores (B, N). Of a file made for Apple's Vision: coordinates (N, 4), the
            centre, width and height as shares of the input's; confidence (N, 1).

        Raises:
            InputError: Another type, shape or range. Runtimes themselves take such input
                silently.
        """
        spec = self.contract.input
        if not isinstance(batch, np.ndarray) or batch.dtype != np.float32:
            raise InputError(f"batch is {_describe(batch)}: expected a float32 array")
        if (
            batch.ndim != 4
            or batch.shape[1:] != (3, spec.height, spec.width)
            or batch.shape[0] < 1
            or spec.batch not in (-1, batch.shape[0])
        ):
            size = "B" if spec.batch == -1 else spec.batch
            raise InputError(
                f"batch has shape {batch.shape}: expected ({size}, 3, {spec.height}, {spec.width})"
            )
        # Not finite or out of range alike: no comparison holds for NaN.
        if not (batch.min() >= 0 and batch.max() <= 255):
            raise InputError("batch has values outside 0 to 255, or not finite")
        return self.session.run(np.ascontiguousarray(batch))

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

    def _fraction(self, name: str, value: float | None) -> float:
        number = getattr(self.contract, name) if value is None else value
        try:
            inside = 0 <= number <= 1
        except TypeError:
            inside = False
        if not inside:
            raise InputError(f"{name} is {value!r}: expected a number from 0 to 1")
        return float(number)

    @staticmethod
    def _pixels(image: Image) -> NDArray[np.uint8]:
        if isinstance(image, str | os.PathLike):
            # Here, not above: arrays need no decoder.
            from ..data.images import read_image

            return read_image(Path(image))
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise InputError(
                f"image is {_describe(image)}: expected a uint8 array (height, width, 3), BGR"
            )
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(
                f"image has shape {image.shape}: expected (height, width, 3), not empty"
            )
        return np.ascontiguousarray(image)  # cv2 takes no negative strides


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "None" if value is None else f"of type {type(value).__name__}"
