"""Raw outputs of a detector to faces in a photo."""

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
"""Most boxes that go into NMS, which is quadratic."""


def as_boxes(outputs: Outputs, spec: InputSpec) -> Outputs:
    """Outputs made for Apple's Vision as the others are; those others as they are.

    Args:
        outputs: Of one inference.
        spec: The input that they belong to.

    Returns:
        boxes (B, N, 4), scores (B, N) and perhaps landmarks, in network-input pixels.
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
    max_detections: int = MAX_DETECTIONS,
) -> Detections:
    """Score threshold, NMS, and the way back to the photo, for one image.

    Boxes without area are dropped, before NMS and after clipping to the photo. Landmarks are not
    clipped: those of a face at the edge may lie outside.

    Args:
        boxes: (N, 4): x1, y1, x2, y2 in network-input pixels.
        scores: (N,), 0 to 1.
        landmarks: (N, 5, 2): x, y in network-input pixels; or None.
        placement: Where the photo lies in the network's input.
        score_threshold: Boxes of at least this score are kept.
        nms_iou: Of two boxes that overlap by more than this IoU the better one is kept.
        max_detections: The best so many are kept.

    Returns:
        Faces in pixels of the photo, best first.
    """
    keep = np.flatnonzero(scores >= score_threshold)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    keep = keep[_has_area(boxes[keep])][:MAX_CANDIDATES]
    # One class, and the overlap of two boxes does not change with the scale of the axes.
    corners = boxes[keep].astype(np.float64)
    sides = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1)
    best = cv2.dnn.NMSBoxes(sides, scores[keep], 0.0, nms_iou)  # type: ignore[arg-type]
    keep = keep[np.asarray(best, dtype=np.intp)]

    found = placement.to_photo(boxes[keep].reshape(-1, 2, 2))
    found = found.clip(0, np.array([placement.width, placement.height], np.float32)).reshape(-1, 4)
    inside = _has_area(found)
    keep = keep[inside][:max_detections]
    return Detections(
        boxes=found[inside][:max_detections],
        scores=scores[keep].astype(np.float32),
        landmarks=None if landmarks is None else placement.to_photo(landmarks[keep]),
    )


def _has_area(boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # inf - inf
        sides: NDArray[np.float32] = boxes[:, 2:] - boxes[:, :2]
    usable = np.isfinite(sides) & (sides > 0)
    return usable[:, 0] & usable[:, 1]
