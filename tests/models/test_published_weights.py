"""Our face-detection-0200 with the published weights finds the published boxes.

The weights are read from the OpenVINO file beside the photos, for this comparison only. They prove
the whole reading at once: blocks, anchors, decoding, colour order and range.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pocketface.interrupts import signal_stack_kept
from pocketface.model_templates import read_template
from pocketface.models.network import Detector

ov = pytest.importorskip("openvino")
Convolution = tuple[NDArray[np.float32], NDArray[np.float32]]


def test_the_published_weights_give_the_published_boxes(shared: Path) -> None:
    folder = shared / "peers/openvino/face-detection-0200/FP16"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    core = ov.Core()
    published = core.read_model(folder / "face-detection-0200.xml")
    network = Detector(read_template("face-detection-0200").architecture).eval()
    _fill(network, [_weights(op) for op in published.get_ordered_ops() if _is_convolution(op)])
    with signal_stack_kept():
        compiled = core.compile_model(published, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for index in (0, 5, 9):
        photo = cv2.imread(str(shared / f"airport/train/image_{index:06d}.jpg"))
        image = cv2.resize(photo, (256, 256)).transpose(2, 0, 1)[None].astype(np.float32)
        found = compiled(image)[0][0, 0]
        found = torch.from_numpy(found[found[:, 2] > 0.05])
        assert len(found) >= 2
        with torch.no_grad():
            boxes, scores = (output[0] for output in network(torch.from_numpy(image)))
        assert scores.max().item() == pytest.approx(found[:, 2].max().item(), abs=1e-4)
        distance = (boxes[:, None] - found[:, 3:] * 256).abs().amax(-1)
        nearest = distance.argmin(0)
        # The anchors of the template are rounded to hundredths of a pixel.
        assert distance.amin(0).max() < 0.02
        torch.testing.assert_close(scores[nearest], found[:, 2], rtol=0, atol=1e-4)


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


def _fill(network: Detector, convolutions: list[Convolution]) -> None:
    """Put convolutions, in the order of the graph, where they belong; norms become their bias."""
    counts = {(16, 96): ("boxes", 0), (20, 320): ("boxes", 1)}
    counts |= {(8, 96): ("classes", 0), (10, 320): ("classes", 1)}
    backbone: list[Convolution] = []
    for weight, bias in convolutions:
        place = counts.get(weight.shape[:2])
        if place is None:
            backbone.append((weight, bias))
            continue
        branch = getattr(network.head, place[0])[place[1]]
        _set(branch[0], backbone.pop())  # the depthwise one before it
        if place[0] == "classes":  # face, background there; background, face here
            weight = weight.reshape(-1, 2, *weight.shape[1:])[:, ::-1].reshape(weight.shape)
            bias = bias.reshape(-1, 2)[:, ::-1].reshape(-1)
        branch[1].weight.data = torch.from_numpy(weight.copy())
        branch[1].bias.data = torch.from_numpy(bias.copy())
    # The file takes BGR as it comes; our first convolution gets RGB.
    backbone[0] = (backbone[0][0][:, ::-1], backbone[0][1])
    blocks = [
        module
        for module in network.backbone.modules()
        if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d)
    ]
    for block, convolution in zip(blocks, backbone, strict=True):
        _set(block, convolution)


def _set(block: nn.Sequential, convolution: Convolution) -> None:
    conv, norm = block[0], block[1]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert tuple(conv.weight.shape) == convolution[0].shape
    conv.weight.data = torch.from_numpy(convolution[0].copy())
    norm.running_var = torch.full_like(torch.from_numpy(convolution[1]), 1 - norm.eps)
    norm.bias.data = torch.from_numpy(convolution[1].copy())
