"""Random light and colour, in batches, by kornia."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Photometric(nn.Module):
    """Brightness, contrast, saturation and grey for a random part of the samples.

    Chosen for cost as well as effect: on a CPU kornia's ColorJiggle on all samples takes longer
    than a training step of a small network.

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
        images = images.clone()
        images[chosen] = distorted.clamp(0, 1).flip(1) * 255.0
        return images
