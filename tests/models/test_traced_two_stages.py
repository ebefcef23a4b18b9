"""What TorchScript files compute of proposals and crops, without loops and arrays of any size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pocketface.model_templates.anchor_heads import RoIHeadSpec
from pocketface.models.nms import TURNS, best_boxes
from pocketface.models.roi_align import roi_align

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::Warning")


def boxes_in(width: float, height: float, count: int) -> Tensor:
    """Of all shapes: many are long and flat, some have no area."""
    corners = torch.rand(1, count, 2, 2) * torch.tensor([width, height])
    corners[:, ::3, :, 1] = corners[:, ::3, :1, 1] + torch.tensor([0.0, 3.0])
    corners[:, ::3, 0, 0], corners[:, ::3, 1, 0] = 0, width
    low, high = corners.min(2).values, corners.max(2).values
    boxes = torch.cat((low, high), -1)
    boxes[:, 1] = 0
    return boxes


@pytest.mark.parametrize("context", [1.0, 2.0])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_crops(ratio: int, aligned: bool, context: float) -> None:
    torch.manual_seed(0)
    strides = [4, 8]
    spec = RoIHeadSpec(
        levels=2, canonical_size=24, canonical_level=3, sampling_ratio=ratio, aligned=aligned,
        resolution=3, fc=[4], context=context,
    )  # fmt: skip

    class Crops(nn.Module):
        def forward(self, fine: Tensor, coarse: Tensor, boxes: Tensor) -> Tensor:
            valid = torch.ones_like(boxes[..., 0]) > 0
            return roi_align([fine, coarse], strides, boxes, valid, spec)[0]

    maps = torch.randn(1, 2, 8, 40), torch.randn(1, 2, 4, 20)
    traced = torch.jit.trace(Crops(), (*maps, torch.zeros(1, 60, 4)), check_trace=False)
    boxes = boxes_in(160, 32, 60)
    torch.testing.assert_close(traced(*maps, boxes), Crops()(*maps, boxes), atol=1e-5, rtol=0)


def test_nms() -> None:
    torch.manual_seed(0)
    boxes = torch.rand(2, 300, 4) * 30
    boxes[..., 2:] += boxes[..., :2] + 20
    scores = torch.rand(2, 300).sort(descending=True).values

    class Best(nn.Module):
        def forward(self, boxes: Tensor, scores: Tensor) -> Tensor:
            return best_boxes(boxes, scores, iou=0.5)

    traced = torch.jit.trace(Best(), (torch.zeros_like(boxes), scores), check_trace=False)
    kept = Best()(boxes, scores)
    assert 10 < kept.sum() < 300
    assert torch.equal(traced(boxes, scores), kept)
    # Each hides the next, which then hides none: right for as many as there are turns.
    row = torch.arange(TURNS)[None, :, None] * torch.tensor([4.0, 0, 4, 0]) + torch.tensor(
        [0.0, 0, 16, 16]
    )
    scores = torch.arange(TURNS, 0, -1.0)[None]
    traced = torch.jit.trace(Best(), (torch.zeros_like(row), scores), check_trace=False)
    assert traced(row, scores)[0].tolist() == [index % 2 == 0 for index in range(TURNS)]
