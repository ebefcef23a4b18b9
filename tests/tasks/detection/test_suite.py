"""Detection passes the suite of every task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pocketface.data.coco import Photo
from pocketface.data.coco_json import FACE_CATEGORY, save_coco_json
from pocketface.results import Detections
from pocketface.tasks.measuring import Labels
from pocketface.tasks.model import Model

from ..every_task import LANDMARKS, EveryTask, write_photos

TINY = (Path(__file__).parents[2] / "tiny_template.yaml").read_text(encoding="utf-8")
BOX = [20.0, 12.0, 40.0, 30.0]


class TestDetection(EveryTask):
    NAME = "face-detection"
    TEMPLATE = TINY
    OTHERS: ClassVar = {"labels": ["cat"], "ranked": True}
    FLAGS: ClassVar = ("--wider-dir", "--nms-iou", "--max-detections", "--score-threshold")

    @classmethod
    def labels(cls, folder: Path) -> Labels:
        names = write_photos(folder, 3)
        content = {
            "categories": [FACE_CATEGORY],
            "images": [
                {"id": index, "file_name": name, "width": 96, "height": 64}
                for index, name in enumerate(names)
            ],
            "annotations": [
                {
                    "id": index,
                    "image_id": index,
                    "category_id": 1,
                    "bbox": BOX,
                    "landmarks": LANDMARKS.ravel().tolist(),
                }
                for index in range(2)
            ],
        }
        path = folder / "faces.json"
        save_coco_json(content, path)
        return Labels([path], [folder])

    def right_answer(self, _: Model[Any], sample: Photo) -> Detections:
        scores = np.ones(len(sample.boxes), np.float32)
        return Detections(sample.boxes, scores, sample.landmarks)

    def wrong_answer(self, _: Model[Any], sample: Photo) -> Detections:
        boxes = np.array([[0, 0, 9, 9]] * len(sample.boxes), np.float32).reshape(-1, 4)
        return Detections(boxes, np.ones(len(boxes), np.float32), None)

    def drawn(self, right: Detections, _: Photo) -> tuple[Any, ...]:
        return (right,)
