"""A segmenter small enough for tests: 64 x 64, two stages."""

from __future__ import annotations

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
  head: {type: unet, classes: 1, stride: 4, channels: [8], skips: add, convolutions: 1}
inference: {threshold: 0.5}
"""

FOUR = TINY.replace("[face]", "[background, face, glasses, hair]").replace(
    "classes: 1", "classes: 4"
)
"""The same with four classes."""
