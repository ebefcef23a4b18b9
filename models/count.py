"""Parameters and floating-point operations, counted from the built network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..model_templates.architecture import ArchitectureSpec
from .network import make_network


@dataclass(frozen=True)
class NetworkSize:
    """`gflops` counts multiply and add (2 x MAC) of convolutions and matrix products."""

    mparams: float
    gflops: float


def count(architecture: ArchitectureSpec, *, height: int, width: int) -> NetworkSize:
    """Build the network without memory (meta device) and count it at one input size."""
    with torch.device("meta"):
        network = make_network(architecture).eval()
        images = torch.empty(1, 3, height, width)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    parameters = sum(p.numel() for p in network.parameters())
    return NetworkSize(parameters / 1e6, counter.get_total_flops() / 1e9)
