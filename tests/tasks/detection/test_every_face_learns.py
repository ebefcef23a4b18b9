"""No face of a pixel or more is left without a cell or an anchor, whatever the template."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pocketface.model_templates.dense_heads import DenseHeadSpec
from pocketface.model_templates.heads import SSDHeadSpec
from pocketface.model_templates.schema import Template
from pocketface.models.dense_head import DensePredictions, grid_points
from pocketface.models.ssd_head import level_anchors
from pocketface.tasks.detection.assign import Assignment
from pocketface.tasks.detection.dense_loss import assign
from pocketface.tasks.detection.ssd_loss import match
from pocketface.tasks.detection.targets import Targets
from pocketface.tasks.templates import open_template

CPU = torch.device("cpu")
PHOTOS = 2


def _faces(generator: torch.Generator, *, count: int, side: int) -> Tensor:
    """Faces of 1 to 24 px, small ones most, anywhere inside; some twice, some crossing."""
    sizes = 1 + 23 * torch.rand(count, 2, generator=generator) ** 3
    corners = torch.rand(count, 2, generator=generator) * (side - sizes)
    boxes = torch.cat((corners, corners + sizes), dim=1)
    # A crowd of six within 20 px, and a face labelled twice.
    middle = side / 2 + 20 * torch.rand(6, 2, generator=generator)
    boxes[:6] = torch.cat((middle, middle + sizes[:6].clamp(max=8)), dim=1)
    boxes[7] = boxes[6]
    return boxes


def _assign(template: Template, targets: Targets) -> tuple[Assignment, int]:
    height, width = template.input.height, template.input.width
    head = template.architecture.head
    if isinstance(head, SSDHeadSpec):
        levels = [
            level_anchors(level, height // level.stride, width // level.stride, device=CPU)
            for level in head.anchors
        ]
        anchors = torch.cat(levels)
        got = match(targets, anchors=anchors, batch_size=PHOTOS, positive_iou=head.positive_iou)
        return got, len(anchors)
    assert isinstance(head, DenseHeadSpec)
    points = [grid_points(height // s, width // s, s, device=CPU) for s in head.strides]
    sizes = tuple(map(len, points))
    count = sum(sizes)
    predictions = DensePredictions(
        class_logits=torch.zeros(PHOTOS, count),
        distances=torch.zeros(PHOTOS, count, 4),
        centerness_logits=None,
        landmarks=None,
        points=torch.cat(points),
        strides=torch.tensor(head.strides).float().repeat_interleave(torch.tensor(sizes)),
        level_sizes=sizes,
    )
    return assign(predictions, targets, spec=head), count


@pytest.mark.parametrize("name", ["0200", "0202", "0204", "0205", "0206", "0207", "n", "s", "m"])
def test_every_face_has_a_positive(name: str) -> None:
    check(open_template(f"face-detection-{name}").spec)


def test_every_face_has_a_positive_by_simota() -> None:
    template = open_template("face-detection-n").spec
    head = template.architecture.head
    assert isinstance(head, DenseHeadSpec)
    loss = head.loss.model_copy(update={"assigner": "simota"})
    head = head.model_copy(update={"loss": loss})
    architecture = template.architecture.model_copy(update={"head": head})
    check(template.model_copy(update={"architecture": architecture}))


def check(template: Template) -> None:
    """Of faces and crowds drawn at random, each has a cell of its own photo to itself."""
    side = template.input.height
    generator = torch.Generator().manual_seed(0)
    for count in (8, 20, 40):
        boxes = torch.cat([_faces(generator, count=count, side=side) for _ in range(PHOTOS)])
        image_index = torch.arange(PHOTOS).repeat_interleave(count)
        got, cells = _assign(
            template,
            Targets(
                boxes=boxes,
                image_index=image_index,
                landmarks=torch.full((len(boxes), 5, 2), math.nan),
                ignore_boxes=torch.zeros(0, 4),
                ignore_index=torch.zeros(0, dtype=torch.int64),
                image_ids=torch.arange(PHOTOS),
            ),
        )
        found = torch.bincount(got.target, minlength=len(boxes))
        lost = boxes[found == 0].tolist()
        assert not lost
        # Each cell has one face, of its own photo.
        assert len(got.positive.unique()) == len(got.positive)
        assert torch.equal(got.positive // cells, image_index[got.target])
