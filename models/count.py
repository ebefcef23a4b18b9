"""Count parameters and floating-point operations of the built network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..model_templates.architecture import ArchitectureSpec
from .network import blank_network


@dataclass(frozen=True)
class NetworkSize:
    """Size of a network; `gflops` is 2 x MAC of convolutions and matrix products, in 1e9."""

    mparams: float
    gflops: float


def count(architecture: ArchitectureSpec, *, height: int, width: int) -> NetworkSize:
    """Build the network on the meta device (without memory), and count it at one input size."""
    with torch.device("meta"):
        network = blank_network(architecture).eval()
        images = torch.empty(1, 3, height, width)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    parameters = sum(p.numel() for p in network.parameters())
    return NetworkSize(parameters / 1e6, counter.get_total_flops() / 1e9)
