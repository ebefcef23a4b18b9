"""The smallest proof that a published template learns: four photos by heart."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import torch
from torch import Tensor

from pocketface.model_templates.heads import SSDHeadSpec
from pocketface.models.network import Network
from pocketface.tasks.detection.boxes import paired_similarity
from pocketface.tasks.detection.ssd_loss import ssd_loss
from pocketface.tasks.detection.targets import Targets
from pocketface.tasks.templates import open_template

WINDOW, SIDE, STEPS = 192, 96, 60


def test_0200_learns_four_airport_photos(shared: Path) -> None:
    template = open_template("face-detection-0200").spec
    head = template.architecture.head
    assert isinstance(head, SSDHeadSpec)
    images, targets = _crops(shared / "airport")
    torch.manual_seed(0)
    network = Network(template.architecture).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.3  # 60 steps are few for the running mean to follow
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    totals = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * min(1.0, (step + 1) / 5, 1.6 * (STEPS - step) / STEPS)
        predictions = network(images, raw=True)
        loss = torch.stack(list(ssd_loss(predictions, targets, spec=head).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < totals[0] / 10

    network.eval()
    with torch.no_grad():
        boxes, scores = network(images)
    best = scores.max(dim=1)
    overlap = paired_similarity(boxes[torch.arange(4), best.indices], targets.boxes)
    assert (best.values > 0.5).all()
    assert (overlap > 0.7).all()


def _crops(folder: Path) -> tuple[Tensor, Targets]:
    """Of four photos the surroundings of the first face: float32 (4, 3, SIDE, SIDE)."""
    coco = json.loads((folder / "annotation_faces_train.json").read_text())
    images, boxes = [], []
    scale = SIDE / WINDOW
    for image in (coco["images"][i] for i in (0, 3, 5, 8)):
        x, y, w, h = next(a["bbox"] for a in coco["annotations"] if a["image_id"] == image["id"])
        left, top = math.floor(x + w / 2) - WINDOW // 2, math.floor(y + h / 2) - WINDOW // 2
        left, top = min(max(left, 0), 1920 - WINDOW), min(max(top, 0), 1080 - WINDOW)
        photo = cv2.imread(str(folder / image["file_name"]))
        crop = photo[top : top + WINDOW, left : left + WINDOW]
        small = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        images.append(torch.from_numpy(small).permute(2, 0, 1).float())
        x, y = x - left, y - top
        boxes.append([x * scale, y * scale, (x + w) * scale, (y + h) * scale])
    return torch.stack(images), Targets(
        boxes=torch.tensor(boxes),
        image_index=torch.arange(4),
        landmarks=torch.full((4, 5, 2), math.nan),
        ignore_boxes=torch.zeros(0, 4),
        ignore_index=torch.zeros(0, dtype=torch.int64),
        image_ids=torch.arange(4),
    )
