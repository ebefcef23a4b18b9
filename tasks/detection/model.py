"""A loaded detector: takes a photo and gives faces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.pixels import Colour, Image
from ...data.preprocess import Placement, prepare_batch
from ...errors import InputError, PocketfaceError
from ...model_templates.contract import Contract
from ...results import Detections
from ...runtimes.session import Outputs, Session
from ..model import Model, Steps, check_count, fraction, pixels_of
from .framed import FAINT, framed, joined, to_search_again
from .postprocess import as_boxes, find_faces
from .rules import MAX_DETECTIONS, detection_rules


class FaceDetector(Model[Detections]):
    """Finds faces.

    Attributes:
        rules: The contract's rules for this task.
    """

    WHAT = "face detector"

    def __init__(self, *, contract: Contract, session: Session, path: Path) -> None:
        super().__init__(contract=contract, session=session, path=path)
        self.rules = detection_rules(contract)

    def predict(
        self,
        image: Image,
        *,
        colour: Colour = "BGR",
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int | None = MAX_DETECTIONS,
        second_look: bool = True,
    ) -> Detections:
        """Find the faces in one photo.

        Args:
            image: A path, bytes, a binary file, an image of Pillow's, or a uint8 array (H, W, 3),
                of any size; see `data.pixels.read_pixels`.
            colour: "RGB" if that is the order of an array's channels.
            score_threshold: Lowest score of a face, 0 to 1; None for the contract's.
            nms_iou: IoU, above 0 to 1, above which NMS keeps only the better of two boxes; None
                for the contract's.
            max_detections: Most faces, best first; None for all.
            second_look: Whether to look again, with a frame around the photo, where a face fills
                it (see `framed`); False for figures of the network itself.

        Raises:
            InputError: It is not such an image, or a threshold is out of range.
            ImageError: The file does not decode to a photo.
        """
        (found,) = self.predict_batch(
            [image],
            colour=colour,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
            second_look=second_look,
        )
        return found

    def predict_batch(
        self,
        images: Iterable[Image],
        *,
        colour: Colour = "BGR",
        score_threshold: float | None = None,
        nms_iou: float | None = None,
        max_detections: int | None = MAX_DETECTIONS,
        second_look: bool = True,
        batch_size: int = 8,
    ) -> list[Detections]:
        """Find the faces in several photos, which may differ in size.

        Args:
            images: Images as for `predict`; may be a generator.
            colour: See `predict`.
            score_threshold: See `predict`.
            nms_iou: See `predict`.
            max_detections: See `predict`.
            second_look: See `predict`.
            batch_size: Photos that go through the network at once; ignored by files with a fixed
                batch size.

        Returns:
            The faces of each photo, in the order of `images`.
        """
        threshold = fraction("score_threshold", score_threshold, self.rules.score_threshold)
        overlap = fraction("nms_iou", nms_iou, self.rules.nms_iou)
        self._check_graph_allows(threshold, overlap)
        if overlap == 0:
            raise InputError("nms_iou is 0: expected a number above 0, up to 1")
        if max_detections is not None:
            check_count("max_detections", max_detections)
        check_count("batch_size", batch_size)
        fixed = self.contract.input.batch
        step = batch_size if fixed == -1 else fixed
        results: list[Detections] = []
        photos = pixels_of(images, ahead=step, colour=colour)
        while batch := list(islice(photos, step)):
            find = self._find if second_look else self._look
            found = find(
                batch, score_threshold=threshold, nms_iou=overlap, max_detections=max_detections
            )
            results += [faces[:max_detections] for faces in found]
        return results

    def prepare(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float32], list[Placement]]:
        """The first step of a look: make the network's input from photos.

        Args:
            images: uint8 (H, W, 3), BGR; at most the file's batch size if that is fixed.

        Returns:
            float32 (B, 3, height, width), and where each photo lies in it.
        """
        fixed = self.contract.input.batch
        return prepare_batch(images, self.contract.input, size=None if fixed == -1 else fixed)

    def infer(self, batch: NDArray[np.float32]) -> Outputs:
        """The second step: run the network, which gives all boxes, in its input's pixels.

        Raises:
            PocketfaceError: The scores are not finite.
        """
        outputs = as_boxes(self.session.run(batch), self.contract.input)
        # NaN would be below every threshold: no faces, without a hint why.
        if not np.isfinite(outputs["scores"]).all():
            raise PocketfaceError(f"{self.path}: the network's scores are not finite")
        return outputs

    def faces(
        self, outputs: Outputs, placements: Sequence[Placement], **limits: Any
    ) -> list[Detections]:
        """The last step: find the faces of each photo in the outputs.

        Args:
            outputs: The result of `infer`.
            placements: The placements from `prepare`.
            **limits: Thresholds, as `find_faces` takes them.
        """
        landmarks = outputs.get("landmarks")
        return [
            find_faces(
                outputs["boxes"][index],
                outputs["scores"][index],
                None if landmarks is None else landmarks[index],
                placement=placement,
                **limits,
            )
            for index, placement in enumerate(placements)
        ]

    def steps(self) -> Steps:
        """See `Model.steps`; the steps of the first look, which for most photos is the only one."""
        return Steps(
            prepare=lambda images, _: self.prepare(images),
            infer=self.infer,
            finish=partial(
                self.faces,
                score_threshold=self.rules.score_threshold,
                nms_iou=self.rules.nms_iou,
            ),
        )

    def _find(
        self,
        images: Sequence[NDArray[np.uint8]],
        *,
        score_threshold: float,
        nms_iou: float,
        max_detections: int | None,
    ) -> list[Detections]:
        """The faces of one batch, in two looks where the first one finds large faces.

        Which photos get the second look does not depend on `score_threshold`; what it finds below
        the contract's threshold does not count, as it would hide fainter faces of the first.
        """
        own = self.rules.score_threshold
        least = min(score_threshold, FAINT * own)  # NMS in the graph drops fainter ones anyway
        # Which faces are searched again does not depend on how many are wanted.
        most = None if max_detections is None else max(MAX_DETECTIONS, max_detections)
        limits = {"nms_iou": nms_iou, "max_detections": most}
        seen = self._look(images, score_threshold=least, **limits)
        answers = [faces.above(score_threshold) for faces in seen]
        large = {
            index: faces
            for index, (one, image) in enumerate(zip(seen, images, strict=True))
            if len(faces := to_search_again(one, image.shape, score_threshold=own))
        }
        if not large:
            return answers
        spec = self.contract.input
        copies = [framed(images[index], longest=max(spec.height, spec.width)) for index in large]
        found = self._look(
            [copy.pixels for copy in copies],
            score_threshold=max(score_threshold, own),
            **limits,
        )
        for index, copy, again in zip(large, copies, found, strict=True):
            answers[index] = joined(
                copy.to_photo(again), large[index], answers[index], images[index].shape
            )
        return answers

    def _look(self, images: Sequence[NDArray[np.uint8]], **limits: Any) -> list[Detections]:
        prepared, placements = self.prepare(images)
        return self.faces(self.infer(prepared), placements, **limits)

    def _check_graph_allows(self, threshold: float, overlap: float) -> None:
        rules = self.rules
        if rules.nms == "graph" and (threshold < rules.score_threshold or overlap > rules.nms_iou):
            raise InputError(
                f"{self.path.name} has its NMS inside, at score {rules.score_threshold:g} and "
                f"IoU {rules.nms_iou:g}: expected a score_threshold not below, an nms_iou not "
                f"above, but they are {threshold:g} and {overlap:g}",
                hint="use the file of the same network without NMS",
            )


make = FaceDetector
