"""Random changes of light and colour, in batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

MAX_HUE = math.radians(18.0)
"""Largest hue rotation in radians, as in MMDetection's PhotoMetricDistortion."""


class Photometric(nn.Module):
    """Brightness, contrast, saturation, grey and hue for a random part of the samples.

    On a CPU, kornia's ColorJiggle on all samples takes longer than a training step of a small
    network. So hue is a cheaper rotation, and kornia does the rest.

    Args:
        share: Probability that a sample is distorted, 0 to 1.
    """

    def __init__(self, *, share: float = 0.4) -> None:
        super().__init__()
        self.share = share
        import kornia.augmentation as K

        self.steps = nn.Sequential(
            K.RandomBrightness((0.7, 1.3), p=0.7),
            K.RandomContrast((0.7, 1.3), p=0.7),
            K.RandomSaturation((0.6, 1.4), p=0.4),
            K.RandomGrayscale(p=0.1),
        )

    @torch.no_grad()
    def forward(self, images: Tensor, *, seed: int) -> Tensor:
        """Distort a batch.

        Args:
            images: float32 (B, 3, H, W), 0-255, BGR.
            seed: Seed of this call; the caller's random state is not changed.

        Returns:
            The images, same shape and range.
        """
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            chosen = torch.rand(len(images), device=images.device) < self.share
            if not chosen.any():
                return images
            # kornia takes RGB, 0-1.
            distorted = self.steps(images[chosen].flip(1) / 255.0)
            angles = (torch.rand(len(distorted), device=images.device) * 2 - 1) * MAX_HUE
            angles *= torch.rand(len(distorted), device=images.device) < 0.5
            distorted = rotate_hue(distorted, angles)
        images = images.clone()
        images[chosen] = distorted.clamp(0, 1).flip(1) * 255.0
        return images


def rotate_hue(images: Tensor, angles: Tensor) -> Tensor:
    """Rotate colours around the grey axis by a matrix, which avoids a conversion to HSV.

    Args:
        images: float32 (B, 3, H, W).
        angles: Angles in radians, float32 (B,); 120 degrees turn red into green.

    Returns:
        The images, same shape; greys and the mean of the three channels do not change, and values
        may leave the range.
    """
    cos, sin = angles.cos()[:, None, None, None], angles.sin()[:, None, None, None]
    # Rodrigues' formula for the axis (1, 1, 1) / sqrt(3); each row is the row above, shifted.
    own = cos + (1 - cos) / 3
    following = (1 - cos) / 3 - sin / math.sqrt(3)
    # Not as a matrix product, which autocast would round to bfloat16.
    return (
        own * images
        + following * images.roll(-1, dims=1)
        + (1 - own - following) * images.roll(1, dims=1)
    )
