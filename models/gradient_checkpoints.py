"""Memory for time: parts of a network that run twice, as their maps are not kept in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def run_twice(layers: nn.Module, x: Tensor) -> Tensor:
    """What `layers` give, whose maps are computed again for the gradients (Chen et al. 2016).

    Of a sequence each part is such a piece, so that at most one of them is in memory as a whole.

    Args:
        layers: A stage of a backbone.
        x: (B, C, H, W).
    """
    for part in layers.children() if isinstance(layers, nn.Sequential) else (layers,):
        x = checkpoint(part, x, use_reentrant=False, context_fn=partial(_contexts, part))
    return x


def _contexts(layers: nn.Module) -> Any:
    """Around the first run, and around the second."""
    return nullcontext(), _statistics_kept(layers)


@contextmanager
def _statistics_kept(layers: nn.Module) -> Iterator[None]:
    """Batch normalisation takes the statistics of a batch once.

    Only its counter, which nothing here reads, counts twice.
    """
    normalizing = [m for m in layers.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in normalizing]
    for layer in normalizing:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(normalizing, momenta, strict=True):
            layer.momentum = momentum
