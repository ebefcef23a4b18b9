"""A whole network, from a template's `architecture`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..model_templates.architecture import ArchitectureSpec
from .classes_head import ClassesHead
from .dense_head import DenseHead
from .fpn import FPN
from .layers import Normalize, Subtract
from .mobilenet_v2 import MobileNetV2
from .plain import Plain
from .predictions import Predictions
from .resnet import ResNet
from .shufflenet_v2 import ShuffleNetV2
from .ssd_head import SSDHead
from .valid import Valid

BACKBONES: dict[str, Callable[[Any], nn.Module]] = {
    "mobilenet_v2": MobileNetV2,
    "shufflenet_v2": ShuffleNetV2,
    "resnet": ResNet,
    "plain": Plain,
    "valid": Valid,
}
HEADS: dict[str, Callable[[Any, list[int]], nn.Module]] = {
    "dense": DenseHead,
    "ssd": SSDHead,
    "classes": ClassesHead,
}


class Network(nn.Module):
    """Normalisation, backbone, neck and head; what `forward` makes of it depends on the task."""

    def __init__(self, architecture: ArchitectureSpec) -> None:
        super().__init__()
        self.normalize: nn.Module = Normalize(
            mean=architecture.mean, std=architecture.std, colour=architecture.colour
        )
        self.backbone = BACKBONES[architecture.backbone.type](architecture.backbone)
        channels: list[int] = self.backbone.out_channels  # type: ignore[assignment]
        self.neck: FPN | None = None
        if architecture.neck is not None:
            self.neck = FPN(architecture.neck, channels)
            channels = self.neck.out_channels
        self.head = HEADS[architecture.head.type](architecture.head, channels)

    def _through_head(self, images: Tensor) -> Any:
        maps = self.backbone(self.normalize(images))
        if self.neck is not None:
            maps = self.neck(maps)
        return self.head(maps)


class Detector(Network):
    """A face detector: raw image in, boxes, scores and perhaps landmarks out.

    `predictions` is what losses want, `forward` what a runtime wants.
    """

    def predictions(self, images: Tensor) -> Predictions:
        """Raw predictions of the head for float32 (B, 3, H, W) images, 0-255 BGR."""
        predictions: Predictions = self(images, raw=True)
        return predictions

    def forward(self, images: Tensor, raw: bool = False) -> Any:
        """The portable graph; `raw` as an argument, as hooks on the network see calls of it alone.

        Args:
            images: float32 (B, 3, H, W), 0-255, BGR.
            raw: Give `Predictions`, as `predictions` does.

        Returns:
            boxes (B, N, 4) as x1, y1, x2, y2 in network-input pixels; scores (B, N), 0 to 1; and
            landmarks (B, N, 5, 2) in network-input pixels where the network has them.
        """
        predictions: Predictions = self._through_head(images)
        if raw:
            return predictions
        landmarks = predictions.landmark_points()
        outputs = (predictions.boxes(), predictions.scores())
        return outputs if landmarks is None else (*outputs, landmarks)


class Classifier(Network):
    """Tells labels of an image apart. `logits` is what losses want, `forward` what runtimes do."""

    def logits(self, images: Tensor) -> Tensor:
        """(B, classes) for float32 (B, 3, H, W) images, 0-255 BGR."""
        logits: Tensor = self(images, raw=True)
        return logits

    def forward(self, images: Tensor, raw: bool = False) -> Any:
        """The portable graph: probabilities (B, classes), 0 to 1, that add up to 1; or `logits`."""
        logits: Tensor = self._through_head(images)
        return logits if raw else (logits.softmax(-1),)


def make_network(architecture: ArchitectureSpec) -> Network:
    """The network of a template: what its head is for decides what it is."""
    kind = Classifier if architecture.head.type == "classes" else Detector
    return kind(architecture)


def with_scale_folded(network: Network) -> Network:
    """A copy that gives the same, whose first convolution divides by `std` and swaps colours too.

    For runtimes these are passes over the whole image. The mean stays: zeros around a normalised
    image are pixels of that colour.

    Args:
        network: As `make_network` made it, on the CPU.
    """
    folded = copy.deepcopy(network)
    normalize = folded.normalize
    assert isinstance(normalize, Normalize)
    first = next(layer for layer in folded.backbone.modules() if isinstance(layer, nn.Conv2d))
    mean = normalize.mean
    with torch.no_grad():
        first.weight.div_(normalize.std)
        if normalize.swap:
            first.weight.copy_(first.weight.flip(1))
            mean = mean.flip(1)
    folded.normalize = Subtract(mean) if mean.any() else nn.Identity()
    return folded
