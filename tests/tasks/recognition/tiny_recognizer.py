"""A recogniser small enough for tests: 32 x 32, eight components."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TINY = """\
name: tiny-recognizer
domain: face
problem: face-recognition
summary: A small recogniser for tests.
initial_weights: null
dataset:
  classes: [face]
training_target: [CPU]
inference_target: [CPU]
hyper_parameters:
  basic: {batch_size: 4, base_learning_rate: 0.01, epochs: 1}
  schedule: {type: cosine}
  augmentation: {crop: face}
output_format: {openvino: true, onnx: true}
optimisations: {}
metrics: []
gpu_num: 1
input: {height: 32, width: 32, resize: align, eyes: [0.342, 0.657, 0.461]}
architecture:
  mean: [127.5, 127.5, 127.5]
  std: [64, 64, 64]
  colour: BGR
  backbone:
    type: plain
    stem_channels: 8
    stages: [{channels: 8, blocks: 1}, {channels: 16, blocks: 1}]
  head: {type: embedding, size: 8, kernel: 4, loss: {type: arcface, scale: 16, margin: 0.2}}
inference: {}
"""


def write_list(
    path: Path,
    photos: Sequence[tuple[str, str | None]],
    landmarks: Any,
    *,
    pairs: Sequence[tuple[int, int, int]] = (),
) -> Path:
    """Write a list of photos, each with the name of its person; all with the same landmarks."""
    points = None if landmarks is None else [[float(x), float(y)] for x, y in landmarks]
    content: dict[str, Any] = {
        "photos": [
            {"image": image, "person": person, "landmarks": points} for image, person in photos
        ]
    }
    if pairs:
        content["pairs"] = [list(pair) for pair in pairs]
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
