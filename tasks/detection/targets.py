"""Ground truth of one batch, with all photos concatenated."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Targets:
    """Faces and ignored regions of a batch of B samples, in pixels of the sample.

    Attributes:
        boxes: Faces, float32 (T, 4): x1, y1, x2, y2.
        image_index: Index of each face's sample in the batch, int64 (T,), in ascending order.
        landmarks: float32 (T, 5, 2); NaN if unknown.
        ignore_boxes: Boxes that are neither face nor background, float32 (I, 4).
        ignore_index: Index of each ignored box's sample, int64 (I,).
        image_ids: COCO ids of the photos, int64 (B,), for error messages.
    """

    boxes: Tensor
    image_index: Tensor
    landmarks: Tensor
    ignore_boxes: Tensor
    ignore_index: Tensor
    image_ids: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Targets:
        """All tensors on `device`."""
        return Targets(
            **{
                f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
                for f in fields(self)
            }
        )
