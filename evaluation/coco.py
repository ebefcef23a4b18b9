"""COCO average precision of a detector, computed by faster-coco-eval."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.coco import Photo
from ..data.coco_json import FACE_CATEGORY
from ..errors import DataError, MissingPackageError, PocketfaceError
from ..results import Detections

_log = logging.getLogger(__name__)

_UNBOUNDED = 1e10  # pixels²; COCO's own upper end of "large"
_AREAS = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, _UNBOUNDED),
    "over_64": (64.0**2, _UNBOUNDED),
}


def average_precision(
    photos: Sequence[Photo],
    detections: Sequence[Detections],
    *,
    max_detections: int | None = None,
) -> dict[str, float | None]:
    """COCO detection figures (Lin et al. 2014, cocoeval) for the one class "face".

    Boxes marked `ignore` are COCO's `iscrowd`: missing them costs nothing, and detections in them
    are not false. In the figure of an area range, faces and unmatched detections outside the range
    are ignored.

    Args:
        photos: The ground truth; areas are those of the boxes, in pixels of the annotated photo.
        detections: One entry for each photo, in the same order and pixels.
        max_detections: Number of best detections of each photo that count; None for all. COCO's
            own 100 would cut crowds: a WIDER photo can hold a thousand faces.

    Returns:
        `ap` (mean over IoU 0.50 to 0.95 in steps of 0.05), `ap50`, `ap75`, `ap_small` (area up to
        32²), `ap_medium` (32² to 96²), `ap_large` (from 96²), all at the mean IoU as in COCO, and
        `ap_over_64` (IoU 0.50, area from 64²). They are 0 to 1, or None if the photos have no
        face that counts in the range.

    Raises:
        DataError: There are no photos, or the numbers of photos and detections differ.
        PocketfaceError: A box or score is not finite.
        MissingPackageError: faster-coco-eval is not installed.
    """
    if not photos:
        raise DataError("no photos to measure on")
    if len(photos) != len(detections):
        raise DataError(f"{len(photos)} photos but detections for {len(detections)}")
    try:
        from faster_coco_eval import COCO, COCOeval_faster  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("faster_coco_eval") from error
    for photo, found in zip(photos, detections, strict=True):
        check_finite(found, source=str(photo.path))

    if max_detections is None:
        max_detections = max(1, *(len(found) for found in detections))
    truth = COCO(_truth(photos), print_function=_log.debug)
    results = truth.loadRes(_results(detections))
    # Not `summarize`, which prints, and knows only COCO's own detection limits.
    evaluator = COCOeval_faster(
        truth,
        results,
        iouType="bbox",
        ranges={name: list(area) for name, area in _AREAS.items()},
        print_function=_log.debug,
    )
    evaluator.params.maxDets = [max_detections]
    evaluator.evaluate()
    evaluator.accumulate()
    # (IoU thresholds 10, recalls 101, classes 1, areas 5, detection limits 1); -1 without truth.
    precision = np.asarray(evaluator.eval["precision"], dtype=np.float64)[:, :, 0, :, 0]
    area = {name: i for i, name in enumerate(evaluator.params.areaRngLbl)}
    return {
        "ap": _mean(precision[:, :, area["all"]]),
        "ap50": _mean(precision[0, :, area["all"]]),
        "ap75": _mean(precision[5, :, area["all"]]),
        "ap_small": _mean(precision[:, :, area["small"]]),
        "ap_medium": _mean(precision[:, :, area["medium"]]),
        "ap_large": _mean(precision[:, :, area["large"]]),
        "ap_over_64": _mean(precision[0, :, area["over_64"]]),
    }


def check_finite(detections: Detections, *, source: str) -> None:
    """Refuse detections that are not finite; `source` is the photo.

    Raises:
        PocketfaceError: A box or score is NaN or infinite.
    """
    if not (np.isfinite(detections.boxes).all() and np.isfinite(detections.scores).all()):
        raise PocketfaceError(f"{source}: the model gave a box or score that is not finite")


def _mean(precision: Any) -> float | None:
    return None if (precision < 0).any() else float(precision.mean())


def _truth(photos: Sequence[Photo]) -> dict[str, Any]:
    # Ids count from 1, because the evaluator takes id 0 for "not matched".
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, photo in enumerate(photos, start=1):
        images.append({"id": image_id, "width": photo.width, "height": photo.height})
        for (x1, y1, x2, y2), ignore in zip(photo.boxes.tolist(), photo.ignore, strict=True):
            width, height = x2 - x1, y2 - y1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": FACE_CATEGORY["id"],
                    "bbox": [x1, y1, width, height],
                    "area": width * height,
                    "iscrowd": int(ignore),
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [FACE_CATEGORY],
    }


def _results(detections: Sequence[Detections]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image_id,
            "category_id": FACE_CATEGORY["id"],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
            "segmentation": [],  # else the reader makes a polygon from each box
        }
        for image_id, found in enumerate(detections, start=1)
        for (x1, y1, x2, y2), score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
    ]
