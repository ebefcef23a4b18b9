"""RetinaNet's head and that of two stages learn one made picture by heart, in seconds."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor

from pocketface.models.network import Network, make_network
from pocketface.tasks.detection.boxes import paired_similarity
from pocketface.tasks.detection.learn import DetectionLearner, learner
from pocketface.tasks.detection.targets import Targets
from pocketface.tasks.templates import parse_template
from tests.tiny_network import HEADS, TEMPLATE

STEPS, RATE = 100, 0.003
FACES = torch.tensor([[10.0, 12.0, 26.0, 30.0], [48.0, 20.0, 84.0, 58.0]])


def made(head: str) -> tuple[Network, DetectionLearner]:
    text = TEMPLATE[: TEMPLATE.index("  head:")] + HEADS[head]
    text += TEMPLATE[TEMPLATE.index("inference:") :]
    template = parse_template(text.replace("size: 64", "size: 64, photometric: false"), source="t")
    torch.manual_seed(0)
    network = make_network(template.architecture).train()
    return network, learner(template, (), teacher=None)


def picture() -> tuple[Tensor, Targets]:
    """Two pale faces on a dark picture of 64 x 96."""
    image = torch.randint(0, 60, (1, 3, 64, 96), generator=torch.Generator().manual_seed(0))
    for x0, y0, x1, y1 in FACES.int().tolist():
        image[:, :, y0:y1, x0:x1] += 150
    return image.to(torch.uint8), Targets(
        boxes=FACES,
        image_index=torch.zeros(2, dtype=torch.int64),
        landmarks=torch.full((2, 5, 2), math.nan),
        ignore_boxes=torch.zeros(0, 4),
        ignore_index=torch.zeros(0, dtype=torch.int64),
        image_ids=torch.zeros(1, dtype=torch.int64),
    )


@pytest.mark.parametrize("head", HEADS)
def test_two_faces_are_learnt_by_heart(head: str) -> None:
    network, losses_of = made(head)
    images, targets = picture()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    totals = []
    for step in range(STEPS):
        # At a constant rate single steps jump, and not alike on all processors.
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, 2 * (STEPS - step) / STEPS)
        losses = losses_of.losses(network, images, targets, seed=step)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert statistics.median(totals[-10:]) < totals[0] / 3
    # The statistics of normalisation are those of this very picture.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(images.float())
        boxes, scores, *_ = network.eval()(images.float())
    for face in FACES:
        overlap = paired_similarity(boxes[0], face)
        assert scores[0][overlap > 0.7].max() > 0.5
    far = paired_similarity(boxes[0][:, None], FACES).amax(1) < 0.2
    assert scores[0][far].max() < 0.5
