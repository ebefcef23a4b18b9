"""RetinaNet's losses, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pocketface.model_templates.anchor_heads import AnchorsSpec, RetinaHeadSpec
from pocketface.models.retina_head import RetinaPredictions
from pocketface.tasks.detection.retina_loss import FIRST_NORMALIZER, retina_loss
from tests.tasks.detection.test_two_stage_loss import ANCHORS, FACE

from .some_targets import targets

SPEC = RetinaHeadSpec(
    type="retina",
    anchors=AnchorsSpec(strides=[16], sizes=[[16.0]], aspect_ratios=[1.0], offset=0.5),
)


def predictions(logits: Tensor | None = None) -> RetinaPredictions:
    return RetinaPredictions(
        class_logits=torch.zeros(1, 16) if logits is None else logits,
        deltas=torch.zeros(1, 16, 4),
        anchors=ANCHORS,
        variances=(1.0, 1.0),
        sides=torch.tensor([64.0, 64.0]),
    )


def test_losses_by_hand() -> None:
    # At a probability of a half the focal loss is ln 2 / 4, times 1/4 or 3/4.
    normalizer = torch.tensor(FIRST_NORMALIZER)
    losses = retina_loss(predictions(), targets([FACE]), spec=SPEC, normalizer=normalizer)
    assert losses.keys() == {"class", "box"}
    assert normalizer.item() == pytest.approx(90.1)  # a tenth of the way to one positive anchor
    expected = (1 / 4 + 15 * 3 / 4) * math.log(2) / 4
    assert losses["class"].item() == pytest.approx(expected / 90.1)
    assert losses["box"].item() == 0
    # 4 px to the right, IoU .6: |.25|, less half of beta, as it is beyond that. The next anchor,
    # of IoU 4 / 28, is negative.
    moved = targets([[20.0, 16.0, 36.0, 32.0]])
    losses = retina_loss(predictions(), moved, spec=SPEC, normalizer=normalizer)
    assert losses["box"].item() == pytest.approx((0.25 - 0.05) / (0.9 * 90.1 + 0.1))


def test_anchors_in_between_and_ignored_faces_do_not_count() -> None:
    logits = torch.zeros(1, 16, requires_grad=True)
    # 30 px wide: IoU .53 with anchor 5, 224 / 512 = .44 with anchor 6. Ignored is anchor 15.
    faces = targets([[16.0, 16.0, 46.0, 32.0]], ignore=[[48.0, 48.0, 64.0, 64.0]])
    losses = retina_loss(
        predictions(logits), faces, spec=SPEC, normalizer=torch.tensor(FIRST_NORMALIZER)
    )
    losses["class"].backward()
    assert logits.grad is not None
    assert (logits.grad[0] == 0).nonzero().flatten().tolist() == [6, 15]
    assert (logits.grad[0] < 0).nonzero().flatten().tolist() == [5]


def test_a_photo_without_faces_learns_that() -> None:
    losses = retina_loss(
        predictions(), targets([]), spec=SPEC, normalizer=torch.tensor(FIRST_NORMALIZER)
    )
    assert losses["class"].item() == pytest.approx(16 * 3 / 4 * math.log(2) / 4 / 90.1)
    assert losses["box"].item() == 0
