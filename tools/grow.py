"""Weights to begin with for a network of more residual blocks: it answers as the smaller one does.

    python tools/grow.py template.yaml SMALLER.safetensors start.safetensors
    pocketface train --template template.yaml --load-weights start.safetensors ...

The template has more `blocks` in some stages than the network of the weights. Each new block stands
behind the others of its stage and begins as the identity: the factor of its last norm is zero
(Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 5.1), its other tensors are random.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from pocketface.errors import UserError
from pocketface.models.layers import ResidualBlock
from pocketface.models.network import make_network
from pocketface.models.weights import read_weights, write_weights
from pocketface.places import check_not_read
from pocketface.tasks.templates import open_template
from pocketface.tools.running import ended


def main() -> None:
    """Read, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    check_not_read(asked.output, "OUTPUT", [asked.template, asked.weights])
    template, smaller = open_template(asked.template), read_weights(asked.weights)
    torch.manual_seed(asked.seed)
    network = make_network(template.spec.architecture)
    own = network.state_dict()
    for name, tensor in smaller.state_dict.items():
        if name not in own or own[name].shape != tensor.shape:
            raise UserError(f"{asked.template}: has no place for {name} of {asked.weights}")
    missing = own.keys() - smaller.state_dict.keys()
    for name, module in network.named_modules():
        inside = {one for one in missing if one.startswith(f"{name}.")}
        if isinstance(module, ResidualBlock) and inside:
            *_, norm = (one for one in module.conv2.modules() if isinstance(one, nn.BatchNorm2d))
            nn.init.zeros_(norm.weight)
            missing -= inside
    if missing:
        raise UserError(
            f"{asked.weights}: lacks {min(missing)}: expected all but residual blocks of "
            f"{asked.template}"
        )
    write_weights(
        asked.output,
        template_text=template.text,
        state_dict=network.state_dict() | smaller.state_dict,
        epochs=0,
    )
    print(f"written: {asked.output}")


if __name__ == "__main__":
    ended(main)
