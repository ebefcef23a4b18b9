"""A file opened for measuring: its steps from a photo to an answer, one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError, UserError
from ..model_templates.contract import Contract, InputSpec
from ..quiet import quiet
from ..results import Detections
from ..runtimes import load
from ..runtimes.align import planes
from ..runtimes.classifier import FaceClassifier
from ..runtimes.detector import FaceDetector
from ..runtimes.preprocess import resized
from ..runtimes.session import Session
from .cases import OPENCV, Case
from .detectors import Detector, open_detector

_THRESHOLD = 0.4
_NMS_IOU = 0.45
"""Of other people's detectors, which carry none; ours have their own."""

_TOP_K = 5000

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The steps of one file.

    Attributes:
        task: The contract's, or "face-detection".
        precision: Of the weights.
        model: What network it is.
        contract: Of files of ours.
        size: Height and width of the network's input.
        resize: "letterbox", "stretch" or "align".
        session: None where OpenCV does it all.
        prepare: Photos, and where a classifier needs them the landmarks of a face in each, to
            the network's input and whatever `finish` needs.
        infer: The network.
        finish: Its outputs to answers.
        predict: All of it at a low score floor, for a detector's accuracy: photo to faces.
    """

    task: str
    precision: str | None
    model: str
    contract: Contract | None
    size: tuple[int, int]
    resize: str
    session: Session | None
    prepare: Callable[[Sequence[Pixels], Sequence[Any]], tuple[Any, Any]]
    infer: Callable[[Any], Any]
    finish: Callable[[Any, Any], Any]
    predict: Callable[..., Any]

    @property
    def nms(self) -> bool:
        """It is inside the file."""
        return self.contract is not None and self.contract.nms == "graph"


def open_pipeline(case: Case, *, score_floor: float) -> Pipeline:
    """Open a case's file.

    Raises:
        UserError: This machine cannot run it so, or the file takes no such batch.
        ModelFileError: It cannot be opened.
        MissingPackageError: Its runtime is not installed.
    """
    target = case.target
    if case.runtime == OPENCV:
        return _opencv(case, score_floor)
    if target.preprocessing is not None:
        detector = open_detector(
            target.path, runtime=case.runtime, threads=case.threads, device=case.provider
        )
        return _of_others(case, detector, score_floor)
    model = load(target.path, runtime=case.runtime, threads=case.threads, device=case.provider)
    if model.session.runtime == "coreml-reference":
        raise UserError("Core ML runs on a Mac; the reference interpreter is not for speed")
    spec = model.contract.input
    if spec.batch not in (-1, case.batch):
        raise UserError(f"the file takes {spec.batch} at once, not {case.batch}")
    made = partial(
        Pipeline,
        task=model.contract.task,
        precision=model.contract.precision,
        model=model.contract.name,
        contract=model.contract,
        size=(spec.height, spec.width),
        resize=spec.resize,
        session=model.session,
    )
    if isinstance(model, FaceClassifier):
        threshold = model.contract.score_threshold
        return made(
            prepare=lambda images, points: (
                planes([model.cut(i, p[None])[0] for i, p in zip(images, points, strict=True)]),
                None,
            ),
            infer=model.infer,
            finish=lambda shares, _: [model.answer(row, threshold) for row in shares],
            predict=model.predict,
        )
    assert isinstance(model, FaceDetector)
    return made(
        prepare=lambda images, _: model.prepare(images),
        infer=model.infer,
        finish=partial(
            model.faces,
            score_threshold=model.contract.score_threshold,
            nms_iou=model.contract.nms_iou,
        ),
        predict=partial(model.predict, score_threshold=score_floor),
    )


def _of_others(case: Case, detector: Detector, score_floor: float) -> Pipeline:
    preprocessing = case.target.preprocessing
    assert preprocessing is not None
    if case.batch != 1:
        raise UserError("other people's detectors are measured with one photo at once")
    return Pipeline(
        task="face-detection",
        precision=case.target.precision,
        model=case.target.name,
        contract=None,
        size=(detector.height, detector.width),
        resize=preprocessing.resize,
        session=detector.session,
        prepare=lambda images, _: detector.prepare(images[0], preprocessing),
        infer=detector.infer,
        finish=partial(detector.faces, score_threshold=_THRESHOLD, nms_iou=_NMS_IOU),
        predict=partial(
            detector.find,
            preprocessing=preprocessing,
            score_threshold=score_floor,
            nms_iou=_NMS_IOU,
        ),
    )


def _opencv(case: Case, score_floor: float) -> Pipeline:
    """YuNet by OpenCV's FaceDetectorYN, which has decoding and NMS inside."""
    import cv2

    if case.batch != 1:
        raise UserError("OpenCV's face detector takes one photo at once")
    if not hasattr(cv2, "FaceDetectorYN"):
        raise MissingPackageError("opencv-python with FaceDetectorYN")
    side = 640
    with quiet():  # it remarks on targets that nobody chose
        detector = cv2.FaceDetectorYN.create(
            str(case.target.path), "", (side, side), _THRESHOLD, _NMS_IOU, _TOP_K
        )
    spec = InputSpec(shape=(1, 3, side, side), resize="letterbox")

    def before(images: Sequence[Pixels], _: Any = None) -> tuple[Pixels, Any]:
        small, placement = resized(images[0], spec)
        input_ = np.zeros((side, side, 3), np.uint8)
        input_[: small.shape[0], : small.shape[1]] = small
        return input_, placement

    def faces(rows: Any, placement: Any) -> Detections:
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        corners = np.stack([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        limit = np.array([placement.width, placement.height], np.float32)
        boxes = placement.to_photo(corners).clip(0, limit).reshape(-1, 4)
        whole = (boxes[:, 2:] > boxes[:, :2]).all(1)
        return Detections(boxes[whole], rows[whole, 14])

    def predict(image: Pixels) -> Detections:
        detector.setScoreThreshold(score_floor)
        batch, placement = before([image])
        found = faces(detector.detect(batch)[1], placement)
        detector.setScoreThreshold(_THRESHOLD)
        return found

    return Pipeline(
        task="face-detection",
        precision=case.target.precision,
        model=case.target.name,
        contract=None,
        size=(side, side),
        resize="letterbox",
        session=None,
        prepare=before,
        infer=lambda batch: detector.detect(batch)[1],
        finish=faces,
        predict=predict,
    )
