"""The official WIDER FACE protocol: average precision on easy, medium and hard faces.

Yang, Luo, Loy, Tang: "WIDER FACE: A Face Detection Benchmark", CVPR 2016, and the authors' Matlab
evaluation. Details that are kept because every published figure has them:

- scores are stretched to 0…1 by the lowest and highest of the whole set, and precision and
  recall are taken at the 1,000 thresholds 0.999, 0.998, … 0;
- the IoU of a detection and a face counts pixels: one is added to each width and height;
- detections are taken by falling score, and each is matched to the face that it overlaps most, if
  the IoU is at least 0.5. A match with a face that does not count in the setting is ignored. A
  second detection of the same face is false;
- a photo without any labelled face is left out with all detections in it;
- the area is under the monotone envelope of precision (as in PASCAL VOC from 2010).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.wider import read_list
from ..errors import DataError, MissingPackageError
from ..files import reading
from ..results import Detections
from .coco import check_finite

SETTINGS = ("easy", "medium", "hard")
LIST_FILE = Path("wider_face_split", "wider_face_val_bbx_gt.txt")
IMAGE_FOLDER = Path("WIDER_val", "images")

_THRESHOLDS = 1 - np.arange(1, 1001) / 1000
_MATCH_IOU = 0.5


@dataclass(frozen=True, eq=False)
class WiderGroundTruth:
    """The labelled faces of a set of photos, by key: `event/name` without suffix.

    Attributes:
        files: Paths of the photos relative to `WIDER_val/images`, in the order of the list.
        boxes: Boxes of all faces, float64 (N, 4): x1, y1, x2, y2 in pixels, x2 = x1 + width.
        counted: For each of `SETTINGS` the faces that count, bool (N,).
    """

    files: Mapping[str, str]
    boxes: Mapping[str, NDArray[np.float64]]
    counted: Mapping[str, Mapping[str, NDArray[np.bool_]]]


def read_ground_truth(folder: Path) -> WiderGroundTruth:
    """Read the official ground truth of the listed photos.

    Args:
        folder: Folder with `wider_face_split/wider_face_val_bbx_gt.txt` and, in `ground_truth/`,
            the official `wider_face_val.mat` and `wider_{easy,medium,hard}_val.mat`.

    Raises:
        DataError: A file is missing or differs from the official form, or a listed photo is not
            in the ground truth.
        MissingPackageError: scipy is not installed.
    """
    folder = Path(folder)
    files = _read_list(folder / LIST_FILE)
    source = folder / "ground_truth" / "wider_face_val.mat"
    all_boxes = _read_mat(source, "face_bbx_list")
    for key in files:
        if key not in all_boxes:
            raise DataError(f"{source}: has no photo {key!r}, which {LIST_FILE.name} lists")
    boxes = {}
    for key in files:
        if all_boxes[key].size % 4:
            raise DataError(f"{source}: the boxes of {key!r} are not rows of x, y, width, height")
        corners = all_boxes[key].reshape(-1, 4).astype(np.float64)
        corners[:, 2:] += corners[:, :2]
        boxes[key] = corners
    counted = {
        setting: _read_setting(folder / "ground_truth" / f"wider_{setting}_val.mat", boxes)
        for setting in SETTINGS
    }
    return WiderGroundTruth(files=files, boxes=boxes, counted=counted)


def wider_ap(
    ground_truth: WiderGroundTruth, detections: Mapping[str, Detections]
) -> dict[str, float | None]:
    """Average precision by the official protocol (see the module).

    Args:
        ground_truth: The result of `read_ground_truth`.
        detections: The faces found for exactly the keys of the ground truth, in pixels of the
            original photo, down to a low score (0.02), at which the curve ends.

    Returns:
        `easy`, `medium`, `hard`: 0 to 1, or None if no face of the photos counts.

    Raises:
        DataError: The keys of the ground truth and of the detections differ.
        PocketfaceError: A box or score is not finite.
    """
    _check_whole(ground_truth, detections)
    found = {key: _by_score(detections[key], key) for key in ground_truth.files}
    every_score = np.concatenate([scores for _, scores in found.values()])
    low = every_score.min(initial=np.inf)
    span = every_score.max(initial=-np.inf) - low

    proposals = {setting: np.zeros(len(_THRESHOLDS)) for setting in SETTINGS}
    recalled = {setting: np.zeros(len(_THRESHOLDS)) for setting in SETTINGS}
    for key, (boxes, scores) in found.items():
        faces = ground_truth.boxes[key]
        if not len(faces) or not len(scores):
            continue
        # Equal scores cannot be stretched; they pass every threshold.
        stretched = (scores - low) / span if span > 0 else np.ones_like(scores)
        passing = np.searchsorted(-stretched, -_THRESHOLDS, side="right")
        overlap = _pixel_iou(boxes, faces)
        face = overlap.argmax(axis=1)
        matched = overlap.max(axis=1) >= _MATCH_IOU
        for setting in SETTINGS:
            counted = ground_truth.counted[setting][key][face]
            first = np.zeros(len(scores), dtype=bool)
            hits = np.flatnonzero(matched & counted)
            first[hits[np.unique(face[hits], return_index=True)[1]]] = True
            proposals[setting] += _count_of_best(~matched | counted)[passing]
            recalled[setting] += _count_of_best(first)[passing]

    result: dict[str, float | None] = {}
    for setting in SETTINGS:
        faces_counted = sum(int(mask.sum()) for mask in ground_truth.counted[setting].values())
        precision = recalled[setting] / np.maximum(proposals[setting], 1)
        result[setting] = (
            _area(recalled[setting] / faces_counted, precision) if faces_counted else None
        )
    return result


def _by_score(found: Detections, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    check_finite(found, source=key)
    order = np.argsort(-found.scores, kind="stable")
    return found.boxes[order].astype(np.float64), found.scores[order].astype(np.float64)


def _pixel_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    # IoU of (N, 4) and (M, 4) as (N, M), each side one pixel longer than x2 - x1.
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low + 1, 0, None).prod(axis=2)
    area_a = (a[:, 2:] - a[:, :2] + 1).prod(axis=1)
    area_b = (b[:, 2:] - b[:, :2] + 1).prod(axis=1)
    return np.asarray(common / (area_a[:, None] + area_b[None, :] - common))


def _count_of_best(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    # Number of flags set among the best 0, 1, … N detections.
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)])


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())


def _check_whole(ground_truth: WiderGroundTruth, detections: Mapping[str, Detections]) -> None:
    if not ground_truth.files:
        raise DataError("no photos to measure on")
    missing = [key for key in ground_truth.files if key not in detections]
    if missing:
        raise DataError(
            f"detections are missing for {len(missing)} of {len(ground_truth.files)} WIDER photos"
            f" ({missing[0]!r}); a figure needs the whole set"
        )
    extra = [key for key in detections if key not in ground_truth.files]
    if extra:
        raise DataError(f"detections for {len(extra)} photos not in the WIDER list ({extra[0]!r})")


def _key(name: str) -> str:
    return name.rsplit(".", 1)[0]


def _read_list(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for photo in read_list(path):
        key = _key(photo.name)
        if key in names:
            raise DataError(f"{path}: {photo.name!r} is listed twice")
        names[key] = photo.name
    if not names:
        raise DataError(f"{path}: lists no photo")
    return names


def _read_mat(path: Path, variable: str) -> dict[str, NDArray[Any]]:
    """Read an official .mat: one array for each photo; its cells nest photos in events."""
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("scipy") from error
    with reading(path, DataError):
        stored = io.BytesIO(path.read_bytes())
    try:
        content = loadmat(stored, variable_names=["event_list", "file_list", variable])
        events, files = content["event_list"][:, 0], content["file_list"][:, 0]
        values = content[variable][:, 0]
        return {
            f"{event[0]}/{name[0]}": value
            for event, names, items in zip(events, files, values, strict=True)
            for name, value in zip(names[:, 0], items[:, 0], strict=True)
        }
    except Exception as error:  # scipy raises many kinds on a damaged file
        raise DataError(f"{path}: not an official WIDER ground truth ({error!r})") from error


def _read_setting(
    path: Path, boxes: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.bool_]]:
    lists = _read_mat(path, "gt_list")
    counted = {}
    for key, faces in boxes.items():
        chosen = lists.get(key)
        if chosen is None:
            raise DataError(f"{path}: has no photo {key!r}")
        index = chosen.ravel().astype(np.int64) - 1  # Matlab counts from 1
        if index.size and not 0 <= index.min() <= index.max() < len(faces):
            raise DataError(f"{path}: {key!r} names a face beyond its {len(faces)}")
        mask = np.zeros(len(faces), dtype=bool)
        mask[index] = True
        counted[key] = mask
    return counted
