"""Turn a detector's raw outputs into faces in a photo."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.preprocess import Placement
from ...model_templates.contract import InputSpec
from ...results import Detections
from ...runtimes.session import Outputs
from .rules import MAX_DETECTIONS

MAX_CANDIDATES = 5000
"""Most boxes that enter NMS, whose cost is quadratic."""


def as_boxes(outputs: Outputs, spec: InputSpec) -> Outputs:
    """Convert outputs made for Apple's Vision to the usual form; others are returned unchanged.

    Args:
        outputs: Outputs of one inference.
        spec: The input of the same file.

    Returns:
        boxes (B, N, 4), scores (B, N) and, if the model has them, landmarks, in network-input
        pixels.
    """
    if "coordinates" not in outputs:
        return outputs
    size = np.array([spec.width, spec.height], np.float32)
    centres, sides = outputs["coordinates"][:, :2] * size, outputs["coordinates"][:, 2:] * size
    boxes: NDArray[np.float32] = np.concatenate(
        (centres - sides / 2, centres + sides / 2), axis=1, dtype=np.float32
    )
    return {"boxes": boxes[None], "scores": outputs["confidence"][None, :, 0]}


def find_faces(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    landmarks: NDArray[np.float32] | None,
    *,
    placement: Placement,
    score_threshold: float,
    nms_iou: float,
    max_detections: int | None = MAX_DETECTIONS,
) -> Detections:
    """Apply score threshold and NMS for one image, and convert to the photo's pixels.

    Boxes without area are dropped before NMS and after clipping to the photo. Landmarks are not
    clipped, so those of a face at the edge may lie outside.

    Args:
        boxes: (N, 4): x1, y1, x2, y2 in network-input pixels.
        scores: (N,), 0 to 1.
        landmarks: (N, 5, 2): x, y in network-input pixels; or None.
        placement: Where the photo lies in the network's input.
        score_threshold: Lowest score of a box that is kept, 0 to 1.
        nms_iou: IoU above which only the better of two boxes is kept.
        max_detections: Most faces, best first, of the best `MAX_CANDIDATES` boxes; None for all
            faces of all boxes.

    Returns:
        Faces in pixels of the photo, best first.
    """
    keep = np.flatnonzero(scores >= score_threshold)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    keep = keep[has_area(boxes[keep])][: None if max_detections is None else MAX_CANDIDATES]
    # In network-input pixels, as scaling the axes does not change the overlap of boxes.
    keep = keep[suppress(boxes[keep], scores[keep], nms_iou)]

    found = placement.to_photo(boxes[keep].reshape(-1, 2, 2))
    found = found.clip(0, np.array([placement.width, placement.height], np.float32)).reshape(-1, 4)
    inside = has_area(found)
    keep = keep[inside][:max_detections]
    return Detections(
        boxes=found[inside][:max_detections],
        scores=scores[keep].astype(np.float32),
        landmarks=None if landmarks is None else placement.to_photo(landmarks[keep]),
    )


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], nms_iou: float
) -> NDArray[np.intp]:
    """Non-maximum suppression (NMS): which of overlapping boxes stay.

    Args:
        boxes: (N, 4): x1, y1, x2, y2, each with an area.
        scores: (N,), 0 to 1.
        nms_iou: IoU above which only the better of two boxes is kept.

    Returns:
        Their rows, best first.
    """
    corners = boxes.astype(np.float64)
    sides = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
    best = cv2.dnn.NMSBoxes(sides, scores, 0.0, nms_iou)  # type: ignore[arg-type]
    return np.asarray(best, np.intp)


def has_area(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of boxes (N, 4) are finite and have an area."""
    with np.errstate(invalid="ignore"):  # inf - inf
        sides: NDArray[np.float32] = boxes[:, 2:] - boxes[:, :2]
    usable = np.isfinite(sides) & (sides > 0)
    return usable[:, 0] & usable[:, 1]
