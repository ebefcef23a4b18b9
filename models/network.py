"""A whole network, from a template's `architecture`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..model_templates.architecture import ArchitectureSpec
from .classes_head import ClassesHead
from .dense_head import DenseHead
from .efficientnet_lite import EfficientNetLite
from .embedding_head import EmbeddingHead, unit_length
from .fpn import FPN
from .layers import Normalize, Subtract
from .mask_heads import ASPPHead, UNetHead
from .mobilenet_v2 import MobileNetV2
from .plain import Plain
from .predictions import Predictions
from .probabilistic_head import ProbabilisticTwoStageHead
from .resnet import ResNet
from .retina_head import RetinaHead
from .shufflenet_v2 import ShuffleNetV2
from .ssd_head import SSDHead
from .two_stage_head import TwoStageHead
from .valid import Valid

BACKBONES: dict[str, Callable[[Any], nn.Module]] = {
    "mobilenet_v2": MobileNetV2,
    "efficientnet_lite": EfficientNetLite,
    "shufflenet_v2": ShuffleNetV2,
    "resnet": ResNet,
    "plain": Plain,
    "valid": Valid,
}

Answers = dict[str, Tensor]
"""What a runtime wants of a network, by name, in the order of the graph's outputs."""


@dataclass(frozen=True)
class Head:
    """A kind of head.

    Attributes:
        make: Makes it from its specification and the channels of the maps that reach it.
        answers: Makes what runtimes want of its raw output, which is what losses want.
    """

    make: Callable[[Any, list[int]], nn.Module]
    answers: Callable[[Any], Answers]


def _boxes(predictions: Predictions) -> Answers:
    """Boxes (B, N, 4) as x1, y1, x2, y2, scores (B, N), perhaps landmarks (B, N, 5, 2)."""
    answers = {"boxes": predictions.boxes(), "scores": predictions.scores()}
    landmarks = predictions.landmark_points()
    return answers if landmarks is None else {**answers, "landmarks": landmarks}


def _probabilities(logits: Tensor) -> Answers:
    """Probabilities (B, classes), 0 to 1, that add up to 1."""
    return {"probabilities": logits.softmax(-1)}


def _mask(logits: Tensor) -> Answers:
    """Probabilities (B, classes, H, W), 0 to 1; of several classes they add up to 1."""
    return {"mask": logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)}


def _embedding(vectors: Tensor) -> Answers:
    """Embeddings (B, size) of unit length."""
    return {"embedding": unit_length(vectors)}


HEADS: dict[str, Head] = {
    "dense": Head(DenseHead, _boxes),
    "ssd": Head(SSDHead, _boxes),
    "retina": Head(RetinaHead, _boxes),
    "two_stage": Head(TwoStageHead, _boxes),
    "probabilistic_two_stage": Head(ProbabilisticTwoStageHead, _boxes),
    "classes": Head(ClassesHead, _probabilities),
    "unet": Head(UNetHead, _mask),
    "aspp": Head(ASPPHead, _mask),
    "embedding": Head(EmbeddingHead, _embedding),
}


class Network(nn.Module):
    """Normalisation, backbone, neck and head: raw image in; the head says what comes out."""

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
        self._head = HEADS[architecture.head.type]
        self.head = self._head.make(architecture.head, channels)

    def forward(self, images: Tensor, raw: bool = False, targets: Any = None) -> Any:
        """The portable graph; `raw` as an argument, as hooks on the network see calls of it alone.

        Args:
            images: float32 (B, 3, H, W), 0-255, BGR.
            raw: Give the head's own predictions, as losses want them.
            targets: What is known of a batch in training, for a head that takes it after the maps:
                of two stages, their `Sampler`.

        Returns:
            The tensors of `answers`, as a tuple; or with `raw` the head's predictions
            (`DensePredictions`, `TwoStagePredictions`, …), logits or vectors (B, …).
        """
        maps = self.backbone(self.normalize(images))
        if self.neck is not None:
            maps = self.neck(maps)
        found = self.head(maps) if targets is None else self.head(maps, targets)
        return found if raw else tuple(self._head.answers(found).values())

    def answers(self, images: Tensor) -> Answers:
        """As `forward`, by name."""
        return self._head.answers(self(images, raw=True))


def make_network(architecture: ArchitectureSpec) -> Network:
    """The network of a template, with random weights, on the CPU."""
    return Network(architecture)


def blank_network(architecture: ArchitectureSpec) -> Network:
    """The network of a template whose kernels and matrices have no values yet.

    For a state that gives all of them, or for shapes. On the meta device, random values would cost
    a process seconds of imports.
    """
    with _NoRandomValues():
        return Network(architecture)


class _NoRandomValues(TorchFunctionMode):
    """Leaves tensors as they are where random values would be written into them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


_RANDOM = {
    Tensor.normal_,
    Tensor.uniform_,
    # They come here themselves, and what they call does not.
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_normal_,
    nn.init.kaiming_uniform_,
}
"""What layers, ours and PyTorch's, make random values with."""


_Shapes = dict[str, tuple[int, ...]]
# By architecture, height and width: each contract of a network's files asks anew, for 0.1 s.
_known_shapes: dict[tuple[str, int, int], _Shapes] = {}


def output_shapes(architecture: ArchitectureSpec, *, height: int, width: int) -> _Shapes:
    """Names and shapes of a network's outputs for one image; nothing is computed (meta device)."""
    key = (architecture.model_dump_json(), height, width)
    if key not in _known_shapes:
        with torch.device("meta"), torch.no_grad():
            # eval(): batch statistics of a single image may be undefined.
            answers = blank_network(architecture).eval().answers(torch.empty(1, 3, height, width))
        _known_shapes[key] = {name: tuple(tensor.shape) for name, tensor in answers.items()}
    return dict(_known_shapes[key])


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
