"""Detection for portraits: a face that fills the photo is found better with room around it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..results import Detections
from .detector import FaceDetector

LARGE = 0.5
"""Share of the photo's longer side from which on a face is looked at again."""

FRAME = 0.25
"""Width of the black frame around the photo, as a share of its longer side."""


def find_framed(
    detector: FaceDetector,
    images: Sequence[NDArray[np.uint8]],
    *,
    score_threshold: float | None = None,
    nms_iou: float | None = None,
) -> list[Detections]:
    """Find faces, and where one is large, find them again with a frame around the photo.

    Detectors are trained on faces with surroundings. On 767 face crops of MTFL, face-detection-n
    misses the landmarks by 20 % of the eyes' distance without a frame, by 11 % with it.

    Args:
        detector: Any.
        images: uint8 (H, W, 3), BGR; sizes may differ.
        score_threshold: As `FaceDetector.predict` takes it.
        nms_iou: Likewise.

    Returns:
        The faces of each photo, in its pixels. Boxes and landmarks may reach beyond it.
    """
    find = partial(detector.predict_batch, score_threshold=score_threshold, nms_iou=nms_iou)
    found = find(images)
    large = [
        index
        for index, (image, faces) in enumerate(zip(images, found, strict=True))
        if len(faces)
        and (faces.boxes[:, 2:] - faces.boxes[:, :2]).max() >= LARGE * max(image.shape[:2])
    ]
    frames = [round(FRAME * max(images[index].shape[:2])) for index in large]
    framed = [_framed(images[index], frame) for index, frame in zip(large, frames, strict=True)]
    for index, frame, faces in zip(large, frames, find(framed), strict=True):
        if len(faces):
            shift = np.float32(frame)
            landmarks = None if faces.landmarks is None else faces.landmarks - shift
            found[index] = Detections(faces.boxes - shift, faces.scores, landmarks)
    return found


def _framed(image: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
    return np.pad(image, ((frame, frame), (frame, frame), (0, 0)))
