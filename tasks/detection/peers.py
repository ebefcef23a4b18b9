"""Third-party detectors, to measure beside ours by the same protocol; none is shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.images import read_image
from ...data.preprocess import Placement, resized
from ...errors import MissingPackageError
from ...model_templates.contract import InputSpec
from ...quiet import quiet
from ...results import Detections
from ...runtimes.session import Session
from ..model import Steps
from ..timing import Peer
from .foreign import Detector, open_detector
from .preprocessing import Preprocessing

Pixels = NDArray[np.uint8]

OPENCV = "opencv"
"""OpenCV's own face detector, which opens only YuNet's files."""

WAYS = (OPENCV,)

THRESHOLD = 0.4
NMS_IOU = 0.45
"""NMS IoU of third-party detectors, whose files state none; ours have their own."""

_SIDE = 640
_TOP_K = 5000


@dataclass(frozen=True, kw_only=True)
class DetectorPeer(Peer):
    """A third-party detector.

    Attributes:
        preprocessing: The pre-processing that it was trained with.
    """

    preprocessing: Preprocessing


_BGR = Preprocessing.parse("bgr,0-255,letterbox")
_RGB = Preprocessing.parse("rgb,-1-1,letterbox")
_STRETCHED = Preprocessing.parse("bgr,0-255,stretch")
_NON_COMMERCIAL = "non-commercial research"

PEERS: dict[str, DetectorPeer] = {
    "scrfd-500m": DetectorPeer("scrfd/scrfd_500m.onnx", _NON_COMMERCIAL, preprocessing=_RGB),
    "scrfd-2.5g": DetectorPeer("scrfd/scrfd_2.5g.onnx", _NON_COMMERCIAL, preprocessing=_RGB),
    "yunet-n": DetectorPeer("yunet/yunet_n_640_640.onnx", "Apache-2.0", preprocessing=_BGR),
    "yunet-s": DetectorPeer("yunet/yunet_s_640_640.onnx", "Apache-2.0", preprocessing=_BGR),
    "ultra-light-rfb": DetectorPeer("ultralight/version-RFB-640.onnx", "MIT", preprocessing=_RGB),
    "openvino-face-detection-0200": DetectorPeer(
        "openvino/face-detection-0200/FP16/face-detection-0200.xml",
        "Apache-2.0",
        "fp16",
        preprocessing=_STRETCHED,
    ),
    "openvino-face-detection-0200-int8": DetectorPeer(
        "openvino/face-detection-0200/FP16-INT8/face-detection-0200.xml",
        "Apache-2.0",
        "int8",
        preprocessing=_STRETCHED,
    ),
}
"""Peers by name; `file` is relative to the peers' folder (../shared/data/peers beside a clone)."""


@dataclass(frozen=True, eq=False)
class PeerDetector:
    """An opened peer with the interface of a `FaceDetector`.

    Attributes:
        size: Height and width of its input, in pixels.
        resize: "letterbox" or "stretch".
        session: The runtime's session; None if OpenCV does everything.
        find: Function from photo, score threshold and NMS IoU to faces.
    """

    size: tuple[int, int]
    resize: str
    session: Session | None
    find: Callable[[Pixels, float, float], Detections]
    made_of: Steps

    def steps(self) -> Steps:
        """See `Model.steps`; one photo at a time."""
        return self.made_of

    def predict(
        self, image: Any, *, score_threshold: float = THRESHOLD, nms_iou: float | None = None
    ) -> Detections:
        """See `FaceDetector.predict`."""
        pixels = image if isinstance(image, np.ndarray) else read_image(Path(image))
        return self.find(pixels, score_threshold, NMS_IOU if nms_iou is None else nms_iou)


def ways_of(name: str) -> tuple[str, ...]:
    """See `tasks.parts.Peers`."""
    return WAYS if name.startswith("yunet") else ()


def open_peer(
    name: str, path: Path, *, runtime: str, threads: int | None, device: str
) -> PeerDetector:
    """See `tasks.parts.Peers`."""
    if runtime == OPENCV:
        return _opencv(path)
    detector = open_detector(path, runtime=runtime, threads=threads, device=device)
    return _of_others(detector, PEERS[name].preprocessing)


def _of_others(detector: Detector, preprocessing: Preprocessing) -> PeerDetector:
    def find(image: Pixels, score_threshold: float, nms_iou: float) -> Detections:
        return detector.find(image, preprocessing, score_threshold=score_threshold, nms_iou=nms_iou)

    return PeerDetector(
        size=(detector.height, detector.width),
        resize=preprocessing.resize,
        session=detector.session,
        find=find,
        made_of=Steps(
            prepare=lambda images, _: detector.prepare(images[0], preprocessing),
            infer=detector.infer,
            finish=partial(detector.faces, score_threshold=THRESHOLD, nms_iou=NMS_IOU),
        ),
    )


def _opencv(path: Path) -> PeerDetector:
    """Open YuNet with OpenCV's FaceDetectorYN, which has decoding and NMS inside."""
    import cv2

    if not hasattr(cv2, "FaceDetectorYN"):
        raise MissingPackageError("opencv-python with FaceDetectorYN")
    size = (_SIDE, _SIDE)
    with quiet():  # it prints about targets that were not chosen
        detector = cv2.FaceDetectorYN.create(str(path), "", size, THRESHOLD, NMS_IOU, _TOP_K)
    spec = InputSpec(shape=(1, 3, *size), resize="letterbox")

    def before(images: Sequence[Pixels], _: Any = None) -> tuple[Pixels, Placement]:
        small, placement = resized(images[0], spec)
        input_ = np.zeros((*size, 3), np.uint8)
        input_[: small.shape[0], : small.shape[1]] = small
        return input_, placement

    def faces(rows: Any, placement: Placement) -> Detections:
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        corners = np.stack([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        limit = np.array([placement.width, placement.height], np.float32)
        boxes = placement.to_photo(corners).clip(0, limit).reshape(-1, 4)
        whole = (boxes[:, 2:] > boxes[:, :2]).all(1)
        return Detections(boxes[whole], rows[whole, 14])

    def find(image: Pixels, score_threshold: float, nms_iou: float) -> Detections:
        detector.setScoreThreshold(score_threshold)
        detector.setNMSThreshold(nms_iou)
        batch, placement = before([image])
        found = faces(detector.detect(batch)[1], placement)
        detector.setScoreThreshold(THRESHOLD)
        detector.setNMSThreshold(NMS_IOU)
        return found

    return PeerDetector(
        size=size,
        resize=spec.resize,
        session=None,
        find=find,
        made_of=Steps(prepare=before, infer=lambda batch: detector.detect(batch)[1], finish=faces),
    )
