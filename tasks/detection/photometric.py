"""Random light and colour, in batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

MAX_HUE = math.radians(18.0)
"""As in the published recipe (MMDetection's PhotoMetricDistortion)."""


class Photometric(nn.Module):
    """Brightness, contrast, saturation, grey and hue for a random part of the samples.

    Chosen for cost as well as effect: on a CPU kornia's ColorJiggle on all samples takes longer
    than a training step of a small network. So hue is a rotation, and the rest kornia's.

    Args:
        share: Chance of each sample to be distorted at all.
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
            seed: All chance of this call; the caller's random state is left as it was.

        Returns:
            The same shape and range.
        """
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            chosen = torch.rand(len(images), device=images.device) < self.share
            if not chosen.any():
                return images
            # kornia speaks RGB in 0-1.
            distorted = self.steps(images[chosen].flip(1) / 255.0)
            angles = (torch.rand(len(distorted), device=images.device) * 2 - 1) * MAX_HUE
            angles *= torch.rand(len(distorted), device=images.device) < 0.5
            distorted = rotate_hue(distorted, angles)
        images = images.clone()
        images[chosen] = distorted.clamp(0, 1).flip(1) * 255.0
        return images


def rotate_hue(images: Tensor, angles: Tensor) -> Tensor:
    """Turn colours around the grey axis, which a single matrix does: no trip through HSV.

    Args:
        images: float32 (B, 3, H, W).
        angles: float32 (B,), radians; 120 degrees make red green.

    Returns:
        The same shape; greys and the mean of the three channels stay as they are, and values may
        leave the range.
    """
    cos, sin = angles.cos()[:, None, None, None], angles.sin()[:, None, None, None]
    # Rodrigues' formula for the axis (1, 1, 1) / sqrt(3): each row is the one above, shifted.
    own = cos + (1 - cos) / 3
    following = (1 - cos) / 3 - sin / math.sqrt(3)
    # Not as a matrix product, which autocast would round to bfloat16.
    return (
        own * images
        + following * images.roll(-1, dims=1)
        + (1 - own - following) * images.roll(1, dims=1)
    )
