"""The weights of OpenVINO's own face-detection-0200, in our network of the same architecture.

    python tools/published.py face-detection-0200.xml OUT.safetensors [PHOTOS]

Read from the file of Open Model Zoo, for comparisons only. They show that the whole reading is
right at once (blocks, anchors, decoding, colour order, range), and what compression does to a
network that others trained. To be trained on, they need a folder of photos: see `unfold_norms`.
"""

from __future__ import annotations

import argparse
import random
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketface.data.images import list_images, read_image
from pocketface.data.preprocess import prepare_batch
from pocketface.tasks.templates import open_template

TEMPLATE = "face-detection-0200"
PHOTOS, BATCH = 256, 32

Convolution = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight and bias of a convolution."""


def published_network(source: Path) -> Any:
    """Our network with the weights of the published file, in eval mode.

    Args:
        source: face-detection-0200.xml, with its `.bin` beside it.
    """
    import openvino  # type: ignore[import-untyped]

    from pocketface.models.network import make_network

    network = make_network(open_template(TEMPLATE).spec.architecture).eval()
    ops = openvino.Core().read_model(source).get_ordered_ops()
    _fill(network, [_weights(op) for op in ops if _is_convolution(op)])
    return network


def unfold_norms(network: Any, images: NDArray[np.float32]) -> None:
    """Give batch normalisation the statistics of these images without changing its result.

    The file has it folded into the convolutions. As the identity, it would change its result as
    soon as training normalises by the statistics of a batch.

    Args:
        network: The result of `published_network`.
        images: float32 (B, 3, H, W), 0-255, BGR.
    """
    import torch

    sums: dict[Any, Any] = {}

    def count(norm: Any, inputs: Any) -> None:
        (x,) = inputs
        x = x.double().transpose(0, 1).flatten(1)
        here = x.sum(1), x.square().sum(1), x.shape[1]
        sums[norm] = tuple(map(add, here, sums.get(norm, (0, 0, 0))))

    norms = [one for one in network.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(count) for norm in norms]
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            network(torch.from_numpy(images[start : start + BATCH]))
    for hook in hooks:
        hook.remove()
    for norm in norms:
        total, squares, number = sums[norm]
        mean = total / number
        variance = (squares / number - mean.square()).clamp(min=0)
        norm.running_mean, norm.running_var = mean.float(), variance.float()
        norm.weight.data = (norm.running_var + norm.eps).sqrt()
        norm.bias.data = norm.bias.data + norm.running_mean


def main() -> None:
    """Write the weights as a weights file of ours."""
    from pocketface.models.weights import write_weights
    from pocketface.tasks.describe import contract_for

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="face-detection-0200.xml, its .bin beside it")
    parser.add_argument("target", type=Path, help="the .safetensors to write")
    parser.add_argument("photos", nargs="?", type=Path, help="a folder, for batch normalisation")
    asked = parser.parse_args()
    template = open_template(TEMPLATE)
    network = published_network(asked.source)
    if asked.photos is not None:
        paths = list_images(asked.photos)
        chosen = random.Random(0).sample(paths, min(PHOTOS, len(paths)))
        images = [read_image(path) for path in chosen]
        batch, _ = prepare_batch(images, contract_for(template.spec).input)
        unfold_norms(network, batch)
    write_weights(
        asked.target,
        template_text=template.text,
        state_dict=network.state_dict(),
        epochs=0,
        data="as published by Open Model Zoo",
    )


def _is_convolution(op: Any) -> bool:
    return op.get_type_name() in ("Convolution", "GroupConvolution")


def _weights(op: Any) -> Convolution:
    def constant(node: Any) -> NDArray[np.float32]:
        while node.get_type_name() != "Constant":
            node = node.input_value(0).get_node()
        data: NDArray[np.float32] = node.get_data().astype(np.float32)
        return data

    weight = constant(op.input_value(1).get_node())
    (user,) = (port.get_node() for port in op.output(0).get_target_inputs())
    bias = constant(user.input_value(1).get_node()).reshape(-1)
    return weight.reshape(len(weight), -1, *weight.shape[-2:]), bias


def _fill(network: Any, convolutions: list[Convolution]) -> None:
    """Fill in convolutions in the order of the graph; norms take over their bias."""
    import torch
    from torch import nn

    counts = {(16, 96): ("boxes", 0), (20, 320): ("boxes", 1)}
    counts |= {(8, 96): ("classes", 0), (10, 320): ("classes", 1)}
    backbone: list[Convolution] = []
    for weight, bias in convolutions:
        place = counts.get(weight.shape[:2])
        if place is None:
            backbone.append((weight, bias))
            continue
        branch = getattr(network.head, place[0])[place[1]]
        _set(branch[0], backbone.pop())  # the depthwise convolution before it
        if place[0] == "classes":  # the file has face, background; ours is background, face
            weight = weight.reshape(-1, 2, *weight.shape[1:])[:, ::-1].reshape(weight.shape)
            bias = bias.reshape(-1, 2)[:, ::-1].reshape(-1)
        branch[1].weight.data = torch.from_numpy(weight.copy())
        branch[1].bias.data = torch.from_numpy(bias.copy())
    # The file's first convolution takes BGR, ours RGB.
    backbone[0] = (backbone[0][0][:, ::-1], backbone[0][1])
    blocks = [
        module
        for module in network.backbone.modules()
        if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d)
    ]
    for block, convolution in zip(blocks, backbone, strict=True):
        _set(block, convolution)


def _set(block: Any, convolution: Convolution) -> None:
    import torch

    conv, norm = block[0], block[1]
    assert tuple(conv.weight.shape) == convolution[0].shape
    conv.weight.data = torch.from_numpy(convolution[0].copy())
    norm.running_var = torch.full_like(torch.from_numpy(convolution[1]), 1 - norm.eps)
    norm.bias.data = torch.from_numpy(convolution[1].copy())


if __name__ == "__main__":
    main()
