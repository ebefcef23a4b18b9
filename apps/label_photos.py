"""Label photos with a detector, as COCO JSON to correct by hand or to train on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.coco_json import FACE_CATEGORY, save_coco_json
from ..data.images import list_images
from ..data.read_ahead import decoded
from ..errors import DataError, ImageError, UserError
from ..places import check_place
from ..results import Detections
from ..tasks.detection.model import FaceDetector

_log = logging.getLogger(__name__)

UNSURE = 0.2
"""Detector score from which a box is kept as a possible face, so that it is not background."""


@dataclass(frozen=True)
class LabelledPhotos:
    """Numbers of photos, faces and possible faces written, and of unreadable photos."""

    photos: int
    faces: int
    unsure: int
    unreadable: int


def label_photos(
    folder: Path,
    output: Path,
    *,
    open_detector: Callable[[], FaceDetector],
    score: float | None = None,
    unsure: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> LabelledPhotos:
    """Write the faces of all photos in a folder as training labels (pseudo-labels, Lee 2013).

    Each annotation has its `score`, and the detector's landmarks, if any, as
    `landmarks_pseudo`. Those below `score` have `iscrowd` 1, so that training ignores them.

    Args:
        folder: Photos, also in subfolders; `file_name` is relative to it.
        output: The COCO JSON file; must not exist, as it may have been corrected by hand.
        open_detector: Opens the teacher, after the paths were checked.
        score: Lowest score, 0 to 1, of a face; None for the detector's own threshold.
        unsure: Lowest score of a possible face; None for `UNSURE`, or `score` if that is less, or
            the detector's threshold if it gives nothing below.
        on_progress: Called with the number of photos done and the total.

    Raises:
        UserError: `unsure` is above `score`, or below what the detector gives; the output
            exists, does not end in `.json`, or is where no file can be.
        DataError: The folder is missing or has no readable photo, or the output cannot be
            written.
    """
    if output.suffix.lower() != ".json":
        raise UserError(f"--output {output}: expected a name that ends in .json")
    if os.path.lexists(output):
        raise UserError(f"--output {output}: is there already; expected the name of a new file")
    check_place(output, "--output")
    paths = list_images(folder)
    detector = open_detector()
    contract, rules = detector.contract, detector.rules
    least = rules.least_score
    score = rules.score_threshold if score is None else score
    if score < least:
        raise UserError(
            f"--score {score:g}: {detector.path.name} gives no face below {least:g}",
            hint="use the file of the same network without NMS",
        )
    unsure = max(least, min(UNSURE, score)) if unsure is None else unsure
    if not least <= unsure <= score:
        raise UserError(
            f"--unsure {unsure:g}: expected {least:g} or more, and no more than --score {score:g}"
        )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for done, (path, image) in enumerate(zip(paths, decoded(paths), strict=True), start=1):
        if isinstance(image, ImageError):
            _log.warning("left out: %s", image)
        else:
            height, width = image.shape[:2]
            name = path.relative_to(folder).as_posix()
            record = {"id": len(images) + 1, "file_name": name, "width": width, "height": height}
            images.append(record)
            found = detector.predict(image, score_threshold=unsure)
            for face in _records(found, width, height, score):
                known = {"id": len(annotations) + 1, "image_id": record["id"]}
                annotations.append(known | face)
        if on_progress is not None:
            on_progress(done, len(paths))
    if not images:
        raise DataError(f"{folder}: no photo in it that can be read")
    info = {
        "description": f"faces found by {contract.name} ({detector.path.name})",
        "checkpoint_sha256": contract.provenance.checkpoint_sha256,
        "score": score,
        "unsure": unsure,
    }
    content = {"info": info, "categories": [FACE_CATEGORY], "images": images}
    save_coco_json(content | {"annotations": annotations}, output)
    unsures = sum(record["iscrowd"] for record in annotations)
    return LabelledPhotos(
        len(images), len(annotations) - unsures, unsures, len(paths) - len(images)
    )


def _records(found: Detections, width: int, height: int, score: float) -> list[dict[str, Any]]:
    """Annotations, without ids, of the boxes that lie in the photo."""
    records = []
    corners = found.boxes.reshape(-1, 2, 2).clip(0, (width, height)).reshape(-1, 4)
    for index, (x1, y1, x2, y2) in enumerate(np.round(corners.astype(float), 2).tolist()):
        if x2 <= x1 or y2 <= y1:
            continue
        sides = round(x2 - x1, 2), round(y2 - y1, 2)
        record: dict[str, Any] = {
            "category_id": FACE_CATEGORY["id"],
            "bbox": [x1, y1, *sides],
            "area": round(sides[0] * sides[1], 2),
            "iscrowd": int(found.scores[index] < score),
            "score": round(float(found.scores[index]), 4),
        }
        if found.landmarks is not None:
            points = found.landmarks[index].astype(float).ravel()
            record["landmarks_pseudo"] = np.round(points, 2).tolist()
        records.append(record)
    return records
