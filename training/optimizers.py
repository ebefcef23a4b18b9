"""The template's optimizer over a network's parameters."""

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
"""Key of a group whose rate is the base rate times this."""


def make_optimizer(
    network: Network,
    settings: OptimizerSpec,
    *,
    rate: float,
    mask_rate: float,
    beside: Sequence[Tensor] = (),
) -> torch.optim.Optimizer:
    """SGD, AdamW or Muon; no weight decay on biases and normalisation.

    Args:
        network: Its parameters, those of NNCF's masks included.
        settings: The template's.
        rate: Base learning rate.
        mask_rate: Of masks, which are logits; their group has `masks` true.
        beside: Parameters that learn with the network and are none of it.
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
        nesterov = settings.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=nesterov)
    betas = (settings.momentum, BETA2)
    if settings.type == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas)
    # It takes seconds to import.
    from pytorch_optimizer import Muon

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
    optimizer: torch.optim.Optimizer = Muon(groups)
    return optimizer


def hidden_kernels(network: Network) -> list[Tensor]:
    """Kernels of convolutions between others: what Muon is for (Jordan et al. 2024).

    Not those that read the picture; nor those with a bias, which predict; nor depthwise ones,
    whose kernels are no matrix.
    """
    return [
        layer.weight
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
        and layer.bias is None
        and layer.groups == 1
        and layer.in_channels > 3
    ]
