"""The box that stands for a face of which only landmarks are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.data.coco_json import load_coco_json
from pocketface.results import pairwise_iou
from pocketface.tools.landmarks import ABOVE, HEIGHT, WIDTH, face_box


def test_it_is_what_widers_boxes_are_in_the_median(shared: Path) -> None:
    faces = [
        (np.reshape(face["landmarks_pseudo"], (5, 2)), face["bbox"])
        for face in load_coco_json(shared / "wider_face/train.json")["annotations"]
        if min(face.get("landmarks_pseudo") or [-1]) >= 0
        and face["bbox"][2] >= 40
        and face["occlusion"] < 2
    ]
    points, boxes = (np.array(some, np.float64) for some in zip(*faces, strict=True))
    assert len(points) == 2955
    eyes, mouths = points[:, :2].mean(1), points[:, 3:].mean(1)
    across = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    units = np.maximum(across, np.linalg.norm(mouths - eyes, axis=1))
    middles = boxes[:, :2] + boxes[:, 2:] / 2
    above = ((eyes + mouths) / 2 - middles)[:, 1] / units
    assert np.median(boxes[:, 2] / units) == pytest.approx(WIDTH, abs=0.005)
    assert np.median(boxes[:, 3] / units) == pytest.approx(HEIGHT, abs=0.005)
    assert np.median(above) == pytest.approx(ABOVE, abs=0.005)
    boxes[:, 2:] += boxes[:, :2]
    made = np.array([face_box(one) for one in points])
    ious = [pairwise_iou(a[None], b[None])[0, 0] for a, b in zip(made, boxes, strict=True)]
    assert np.mean(np.array(ious) >= 0.5) > 0.95
