"""Norms that were folded into convolutions, as in OpenVINO's files, get statistics again.

As the identity, a norm would change what the network finds as soon as training normalises by the
statistics of a batch.
"""

from __future__ import annotations

from operator import add
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .layers import FrozenBatchNorm
from .network import Network

FOLDED_EPS = 1e-5
"""Of our norms: with variance `1 - FOLDED_EPS` they divide by exactly 1."""

_BATCH = 32


def is_folded(network: Network) -> bool:
    """Whether the network has batch norms, all of them the identity but for their shift."""
    norms = _norms(network)
    return bool(norms) and all(
        not norm.running_mean.any()  # type: ignore[union-attr]
        and not (norm.running_var - torch.tensor(1 - FOLDED_EPS)).any()  # type: ignore[operator]
        and not (norm.weight - 1).any()
        for norm in norms
    )


def unfold_norms(network: Network, images: NDArray[np.float32]) -> None:
    """Give batch normalisation the statistics of these images without changing its result.

    Args:
        network: In eval mode, on the CPU.
        images: float32 (B, 3, H, W), 0-255, BGR.
    """
    sums: dict[Any, Any] = {}

    def count(norm: Any, inputs: Any) -> None:
        (x,) = inputs
        x = x.double().transpose(0, 1).flatten(1)
        here = x.sum(1), x.square().sum(1), x.shape[1]
        sums[norm] = tuple(map(add, here, sums.get(norm, (0, 0, 0))))

    norms = _norms(network)
    hooks = [norm.register_forward_pre_hook(count) for norm in norms]
    with torch.no_grad():
        for start in range(0, len(images), _BATCH):
            network(torch.from_numpy(images[start : start + _BATCH]))
    for hook in hooks:
        hook.remove()
    for norm in norms:
        total, squares, number = sums[norm]
        mean = total / number
        variance = (squares / number - mean.square()).clamp(min=0)
        factor = (variance.float() + norm.eps).sqrt()
        norm.running_mean, norm.running_var = mean.float(), variance.float()
        norm.weight.data, norm.bias.data = factor, norm.bias.data + norm.running_mean


def _norms(network: Network) -> list[nn.BatchNorm2d]:
    """Those that learn: frozen ones are not normalised by the statistics of a batch."""
    return [
        one
        for one in network.modules()
        if isinstance(one, nn.BatchNorm2d) and not isinstance(one, FrozenBatchNorm)
    ]
