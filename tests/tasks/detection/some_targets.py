"""Faces of a batch of two images."""

from __future__ import annotations

import math

import torch

from pocketface.tasks.detection.targets import Targets


def targets(
    boxes: list[list[float]],
    images: list[int] | None = None,
    *,
    ignore: list[list[float]] | None = None,
    ignore_images: list[int] | None = None,
) -> Targets:
    """Faces and ignored faces, of the first image where it is not said; without landmarks."""
    count = len(boxes)
    ignored = torch.tensor(ignore or []).reshape(-1, 4)
    return Targets(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        image_index=torch.tensor(images or [0] * count, dtype=torch.int64),
        landmarks=torch.full((count, 5, 2), math.nan),
        ignore_boxes=ignored,
        ignore_index=torch.tensor(ignore_images or [0] * len(ignored), dtype=torch.int64),
        image_ids=torch.arange(2),
    )
