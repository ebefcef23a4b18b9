"""Each key of a head changes what is learnt, and so does a teacher's weight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pocketface.model_templates.dense_heads import DenseHeadSpec
from pocketface.model_templates.heads import AnchorLevelSpec, SSDHeadSpec
from pocketface.models.dense_head import DensePredictions, grid_points
from pocketface.models.ssd_head import SSDPredictions, level_anchors
from pocketface.tasks.detection.dense_loss import dense_loss
from pocketface.tasks.detection.distillation import DetectorTeacher
from pocketface.tasks.detection.ssd_loss import ssd_loss
from pocketface.tasks.detection.targets import Targets

LEVELS = ((8, 16), (16, 8))
"""Cells along each side, and stride."""

ATSS = {"assigner": "atss"}
CENTERS = {"assigner": "center_sampling"}


def targets() -> Targets:
    boxes = torch.tensor([[8.0, 8.0, 30.0, 36.0], [60.0, 50.0, 110.0, 120.0], [20.0, 90, 32, 104]])
    return Targets(
        boxes=boxes,
        image_index=torch.zeros(3, dtype=torch.int64),
        landmarks=boxes.reshape(3, 2, 2).mean(1)[:, None].expand(3, 5, 2) + 3.0,
        ignore_boxes=torch.zeros(0, 4),
        ignore_index=torch.zeros(0, dtype=torch.int64),
        image_ids=torch.tensor([1]),
    )


def dense_predictions() -> DensePredictions:
    generator = torch.Generator().manual_seed(0)
    sizes = tuple(cells**2 for stride, cells in LEVELS)
    device = torch.device("cpu")
    return DensePredictions(
        class_logits=torch.randn(1, sum(sizes), generator=generator),
        distances=torch.rand(1, sum(sizes), 4, generator=generator) * 3,
        centerness_logits=None,
        landmarks=torch.randn(1, sum(sizes), 10, generator=generator),
        points=torch.cat([grid_points(cells, cells, stride, device=device)
                          for stride, cells in LEVELS]),
        strides=torch.cat([torch.full((cells**2,), float(stride)) for stride, cells in LEVELS]),
        level_sizes=sizes,
    )  # fmt: skip


def dense_head(loss: dict[str, Any], **keys: Any) -> DenseHeadSpec:
    usual = {"classification": "quality_focal", "box": "diou", "landmark_weight": 0.1}
    return DenseHeadSpec.model_validate(
        {"type": "dense", "strides": [8, 16], "channels": 8, "tower": 1, "shared": False}
        | {"norm": "none", "landmarks": True, "loss": usual | loss}
        | keys
    )


def total(losses: dict[str, Tensor]) -> float:
    return torch.stack(list(losses.values())).sum().item()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (dense_head(ATSS), dense_head(ATSS | {"box_weight": 2.0})),
        (dense_head(ATSS), dense_head(ATSS | {"landmark_weight": 0.5})),
        (dense_head(ATSS), dense_head(ATSS | {"top_k": 2})),
        (dense_head(ATSS), dense_head(ATSS | {"min_cells": 6})),
        (dense_head(ATSS), dense_head(ATSS, anchor_scale=2.0)),
        (dense_head(CENTERS), dense_head(CENTERS | {"first_range": 16.0})),
        (dense_head(ATSS), dense_head(ATSS | {"box_weighting": "centerness"})),
    ],
    ids=lambda head: str(head.loss.model_dump(exclude_unset=True)),
)
def test_keys_of_a_dense_head(one: DenseHeadSpec, other: DenseHeadSpec) -> None:
    first, again, changed = (
        total(dense_loss(dense_predictions(), targets(), spec=spec)) for spec in (one, one, other)
    )
    assert first == again
    assert abs(changed - first) > 1e-3


@pytest.mark.parametrize(("key", "value"), [("negative_ratio", 1), ("positive_iou", 0.7)])
def test_keys_of_an_ssd_head(key: str, value: float) -> None:
    level = AnchorLevelSpec(stride=16, widths=[16.0, 48.0], heights=[20.0, 64.0])
    anchors = level_anchors(level, 8, 8, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    predictions = SSDPredictions(
        class_logits=torch.randn(1, len(anchors), 2, generator=generator),
        deltas=torch.randn(1, len(anchors), 4, generator=generator),
        anchors=anchors,
        variances=(0.1, 0.2),
    )
    usual = SSDHeadSpec(type="ssd", anchors=[level], positive_iou=0.3)
    first, again, changed = (
        total(ssd_loss(predictions, targets(), spec=spec))
        for spec in (usual, usual, usual.model_copy(update={key: value}))
    )
    assert first == again
    assert abs(changed - first) > 1e-3


def test_the_weight_of_a_teacher() -> None:
    class Answers(nn.Module):
        def forward(self, _: Tensor, raw: bool) -> DensePredictions:
            assert raw
            return dense_predictions()

    pupil = replace(dense_predictions(), distances=torch.ones(1, 320, 4))
    once, twice = (
        total(
            DetectorTeacher(
                Answers(),  # type: ignore[arg-type]
                Path("teacher.pth"),
                sha256="",
                weight=weight,
                spec=dense_head(ATSS),
            ).losses(torch.zeros(1, 3, 128, 128), pupil)
        )
        for weight in (1.0, 2.0)
    )
    assert once > 0.01
    assert twice == pytest.approx(2 * once)
