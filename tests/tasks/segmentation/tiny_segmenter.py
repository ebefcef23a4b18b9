"""A segmenter small enough for tests: 64 x 64, two stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pocketface.data.pictures import pictures_for
from pocketface.models.network import make_network
from pocketface.models.weights import write_weights
from pocketface.tasks.describe import contract_for
from pocketface.tasks.templates import parse_template

UNET = "{type: unet, classes: 1, stride: 4, channels: [8], skips: add, convolutions: 1}"
TINY = """\
name: tiny-segmenter
domain: face
problem: face-segmentation
summary: A small segmenter for tests.
initial_weights: null
dataset:
  classes: [face]
training_target: [CPU]
inference_target: [CPU]
hyper_parameters:
  basic: {batch_size: 2, base_learning_rate: 0.01, epochs: 1}
  schedule: {type: cosine}
  augmentation: {crop: head}
output_format: {openvino: true, onnx: true}
optimisations: {}
metrics: []
gpu_num: 1
input: {height: 64, width: 64, resize: align, eyes: [0.381, 0.622, 0.475], multiple_of: 8}
architecture:
  mean: [127.5, 127.5, 127.5]
  std: [64, 64, 64]
  colour: BGR
  backbone:
    type: plain
    finest: 4
    stem_channels: 8
    stages: [{channels: 8, blocks: 1}, {channels: 16, blocks: 1}]
  head: UNET
inference: {threshold: 0.5}
""".replace("UNET", UNET)

FOUR = TINY.replace("[face]", "[background, face, glasses, hair]").replace(
    "classes: 1", "classes: 4"
)
"""The same with four classes."""


def write_weights_of(folder: Path, text: str = TINY) -> Path:
    """Weights of a network that has learned nothing, but to be sure of most pixels.

    Its borders are few, as those of a trained one, so that FP16 moves few pixels across them.
    """
    torch.manual_seed(0)
    template = parse_template(text, source="test")
    network = make_network(template.architecture)
    images = torch.from_numpy(
        np.stack([one.pixels for one in pictures_for(contract_for(template).input)][:8])
    )
    images = images.permute(0, 3, 1, 2).float()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean of all that it saw
    with torch.no_grad():
        network.train()(images)
        logits = network.eval()(images, raw=True)
        network.head.logits.weight.mul_(1 / logits.std())
        network.head.logits.bias.zero_()
        logits = network(images, raw=True)
        count = logits.shape[1]
        apart = torch.linspace(1.5, -1.5, count) if count > 1 else torch.tensor([-1.5])
        network.head.logits.bias.copy_(apart - logits.mean((0, 2, 3)))
    path = folder / "weights.safetensors"
    write_weights(path, template_text=text, state_dict=network.state_dict(), epochs=1, seed=0)
    return path
