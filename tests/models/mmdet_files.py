"""Write the published networks as others do: MMDetection's checkpoints, OpenVINO's files."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import openvino as ov
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pocketface.models.name_map import WAYS, map_of, our_name

PARTS = ("bias", "running_mean", "running_var", "weight")


def save_snapshot(
    network: nn.Module, path: Path, *, config: str = "", epoch: int = 70, old: bool = True
) -> None:
    """Write a checkpoint as mmcv does, with the optimizer's state.

    `old` is as PyTorch before 1.6 did, which wrote no archives.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    content = {
        "meta": {
            "mmdet_version": "2.1.1",
            "config": config,
            "CLASSES": ("face",),
            "epoch": epoch,
            "iter": epoch * 198,
        },
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(content, path, _use_new_zipfile_serialization=not old)


class _Normalized(nn.Module):
    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.std = torch.tensor(std).view(1, 3, 1, 1)

    def forward(self, images: Tensor) -> Any:
        return self.network((images - self.mean) / self.std)


def save_ir(
    network: nn.Module, path: Path, *, size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Any:
    """Write an OpenVINO file that takes BGR images, with the names that Model Optimizer left.

    Its norms are folded, and beside each convolution stand the parameters that went into it. The
    network is changed. Returns the `openvino.Model`.
    """
    kernels = _fold(network)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.weight.data = first.weight.data.flip(1)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Normalized(network, mean[::-1], std[::-1]).eval(),
            (torch.zeros(1, 3, size, size),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            input_names=["image"],
            output_names=["boxes", "scores"],
        )
    first.weight.data = first.weight.data.flip(1)
    onnx = path.with_suffix(".onnx")
    onnx.write_bytes(buffer.getvalue())
    model = ov.convert_model(onnx)
    ov.save_model(model, path, compress_to_fp16=False)
    _name_layers(path, model, kernels)
    return model


def _fold(network: nn.Module) -> dict[str, tuple[str, Tensor]]:
    """Fold norms; for each kernel its parameters' names as text, and its values."""
    found: dict[str, tuple[str, Tensor]] = {}
    modules = dict(network.named_modules())
    for name, module in modules.items():
        if not isinstance(module, nn.BatchNorm2d):
            continue
        parent, _, last = name.rpartition(".")
        before = str(int(last) - 1) if last.isdigit() else last.replace("bn", "conv")
        conv = modules[f"{parent}.{before}"]
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight,  # type: ignore[arg-type]
            conv.bias,  # type: ignore[arg-type]
            module.running_mean,  # type: ignore[arg-type]
            module.running_var,  # type: ignore[arg-type]
            module.eps,
            module.weight,
            module.bias,
        )
        modules[parent]._modules[last] = nn.Identity()
        text = ", ".join(["12", *(f"{name}.{part}" for part in PARTS)])
        found[f"{parent}.{before}"] = text, conv.weight
    for name, module in modules.items():
        if isinstance(module, nn.Conv2d) and name not in found:
            found[name] = f"{name}.weight", module.weight
    return found


def _name_layers(path: Path, model: Any, kernels: dict[str, tuple[str, Tensor]]) -> None:
    """Write the names of the parameters of each convolution beside it, found by its values."""
    names = {}
    for op in model.get_ordered_ops():
        if op.get_type_name() in ("Convolution", "GroupConvolution"):
            node = op.input_value(1).get_node()
            while node.get_type_name() != "Constant":
                node = node.input_value(0).get_node()
            values = torch.from_numpy(node.get_data().copy()).flatten()
            names[op.get_friendly_name()] = max(
                (text for text, kernel in kernels.values() if kernel.numel() == values.numel()),
                key=lambda text: _alike(values, kernels, text),
            )
    tree = ElementTree.parse(path)
    for layer in tree.getroot().iter("layer"):
        if layer.get("name") in names:
            text = {"name": "fused_names", "version": "0", "value": names[str(layer.get("name"))]}
            info = layer.find("rt_info")
            info = ElementTree.SubElement(layer, "rt_info") if info is None else info
            ElementTree.SubElement(info, "attribute", text)
    tree.write(path)


def _alike(values: Tensor, kernels: dict[str, tuple[str, Tensor]], text: str) -> float:
    kernel = next(kernel for one, kernel in kernels.values() if one == text).detach()
    likes = [kernel.flatten()]
    if kernel.shape[1] == 3:
        likes.append(kernel.flip(1).flatten())
    return max(torch.cosine_similarity(values, one, dim=0).item() for one in likes)


def fill(network: nn.Module, ours: dict[str, Tensor]) -> None:
    """Give a published network the weights of ours; its biases before norms are not zero."""
    name_map = map_of(network.state_dict())
    assert name_map is not None
    state = {}
    for name, tensor in network.state_dict().items():
        place = our_name(name, name_map, ours)
        if place is None or place.way == "bias_before_norm":
            state[name] = tensor
        else:
            state[name] = WAYS[place.way](ours[place.to], None) if place.way else ours[place.to]
    for name in [name for name in state if f"{name.removesuffix('0.bias')}1.bias" in state]:
        mean = f"{name.removesuffix('0.bias')}1.running_mean"
        state[mean] = state[mean] + state[name]
    network.load_state_dict(state)
