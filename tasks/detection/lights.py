"""Coloured light and little light, in batches: stage lights, shop signs, dusk."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST = 0.1
"""Smallest share of the light that is left, of a colour or of all of them."""

NOISE = 6.0
"""Strongest noise in little light: its standard deviation, in levels of grey."""


class Lights(nn.Module):
    """Coloured light, or little light with noise, for a random part of the samples.

    Half of these lose a part of each colour but the strongest, as under one lamp; the others a
    part of all light, and gain noise. The parts are drawn evenly on a logarithmic scale.

    Args:
        share: Probability that a sample is changed, 0 to 1.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    @torch.no_grad()
    def forward(self, images: Tensor, *, seed: int) -> Tensor:
        """Change a batch.

        Args:
            images: float32 (B, 3, H, W), 0-255.
            seed: Seed of this call; no other random state is used or changed.

        Returns:
            The images, same shape and range.
        """
        count, device = len(images), images.device
        # Not the seed itself, by which `Photometric` chooses its samples.
        generator = torch.Generator(device).manual_seed(seed ^ 0x5EED)
        chosen, coloured, noise = torch.rand(3, count, generator=generator, device=device)
        left = LEAST ** torch.rand(count, 3, generator=generator, device=device)
        lamp = left / left.amax(1, keepdim=True)
        factors = torch.where((coloured < 0.5)[:, None], lamp, left[:, :1])
        noise = NOISE * noise * (coloured >= 0.5)
        changed = (chosen < self.share).nonzero().squeeze(1)
        if not len(changed):
            return images
        some = images[changed]
        grain = torch.randn(some.shape, generator=generator, device=device)
        some = some * factors[changed, :, None, None] + grain * noise[changed, None, None, None]
        return images.index_copy(0, changed, some.clamp(0, 255))
