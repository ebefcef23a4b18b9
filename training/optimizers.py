"""Make the template's optimizer for a network's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..model_templates.recipe import OptimizerSpec
from ..models.network import Network
from ..models.nncf_hooks import is_mask

BETA2 = 0.999
FACTOR = "rate_factor"
"""Key of a parameter group for the factor on the base learning rate."""


def make_optimizer(
    network: Network,
    settings: OptimizerSpec,
    *,
    rate: float,
    mask_rate: float,
    beside: Sequence[Tensor] = (),
) -> torch.optim.Optimizer:
    """Make SGD, AdamW or Muon, without weight decay on biases and normalisation.

    Args:
        network: The network, whose parameters may include NNCF's masks.
        settings: The template's optimizer settings.
        rate: Base learning rate.
        mask_rate: Learning rate of masks, which are logits; their group has `masks` true.
        beside: Parameters outside the network that are trained with it.
    """
    masks = [p for name, p in network.named_parameters() if is_mask(name)]
    hidden = hidden_kernels(network) if settings.type == "muon" else []
    apart = {id(parameter) for parameter in (*masks, *hidden)}
    rest = [p for p in (*network.parameters(), *beside) if id(p) not in apart]
    decay = settings.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if masks:
        groups.append({"params": masks, "weight_decay": 0.0, "masks": True, "lr": mask_rate})
    if settings.type == "sgd":
        nesterov = settings.nesterov and settings.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=nesterov)
    betas = (settings.momentum, BETA2)
    if settings.type == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas)
    # Imported here, because it takes seconds.
    from .muon import DeviceMuon

    for group in groups:
        group.update({"use_muon": False, "betas": betas, "eps": 1e-8, "lr": group.get("lr", rate)})
    groups.append(
        {
            "params": hidden,
            "weight_decay": decay,
            "use_muon": True,
            "use_adjusted_lr": True,  # steps as large as AdamW's (Liu et al. 2025)
            "momentum": settings.momentum,
            "lr": settings.muon_factor * rate,
            FACTOR: settings.muon_factor,
        }
    )
    return DeviceMuon(groups)


def hidden_kernels(network: Network) -> list[Tensor]:
    """Kernels of inner convolutions, which Muon is for (Jordan et al. 2024).

    Without those that read the picture, those with a bias, which predict, and depthwise ones,
    whose kernels are not matrices.
    """
    return [
        layer.weight
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
        and layer.bias is None
        and layer.groups == 1
        and layer.in_channels > 3
    ]
