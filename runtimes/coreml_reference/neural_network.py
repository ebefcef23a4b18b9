"""Run NeuralNetwork models, layer by layer (NeuralNetwork.proto)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...errors import ModelFileError
from .weights import layer_weights, named

Run = Callable[[list[Tensor]], list[Tensor]]
"""A layer as a function of its inputs."""

_EXACT_ARRAYS, _RANK4_IMAGES = 1, 1
_UNARY: dict[int, Callable[[Tensor, float], Tensor]] = {
    0: lambda x, _: x.sqrt(),
    3: lambda x, alpha: x.pow(alpha),
    4: lambda x, _: x.exp(),
}
_NEAREST, _AVERAGE = 0, 1
_HALF_PIXELS = 2
"""`LinearUpsampleMode` ALIGN_CORNERS_FALSE: from output to input, (i + 0.5) / factor - 0.5."""
_SLICE_AXES = {0: -3, 1: -2, 2: -1}


def build_layers(network: Any, *, where: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """All layers of a `NeuralNetwork` as a function from its inputs to all blobs, by name.

    Raises:
        ModelFileError: A layer or setting is unknown; the message names it.
    """
    if (
        network.arrayInputShapeMapping != _EXACT_ARRAYS
        or network.imageInputShapeMapping != _RANK4_IMAGES
    ):
        raise ModelFileError(f"{where}: its inputs are mapped to shapes of five axes: not known")
    steps = []
    for layer in network.layers:
        kind = layer.WhichOneof("layer")
        name = f"{where}: layer {layer.name!r} of type {kind}"
        if kind not in LAYERS:
            raise ModelFileError(f"{name} is not one that the reference interpreter knows")
        known, build = LAYERS[kind]
        params = getattr(layer, kind)
        unknown = {field.name for field, _ in params.ListFields()} - known
        if unknown:
            raise ModelFileError(f"{name}: {', '.join(sorted(unknown))} is not known")
        with named(name):
            steps.append((build(params, name), list(layer.input), list(layer.output), name))

    def run(blobs: dict[str, Tensor]) -> dict[str, Tensor]:
        blobs = dict(blobs)
        for step, inputs, outputs, name in steps:
            with named(name):
                found = step([blobs[one] for one in inputs])
                blobs.update(zip(outputs, found, strict=True))
        return blobs

    return run


def preprocess(network: Any, image: Tensor, *, name: str, colour: str, where: str) -> Tensor:
    """Apply scale and bias to an image, (1, 3, H, W) in the order of `colour`, "BGR" or "RGB"."""
    for one in network.preprocessing:
        if one.WhichOneof("preprocessor") != "scaler" or one.featureName not in ("", name):
            raise ModelFileError(f"{where}: preprocessing of {one.featureName!r} is not known")
        scaler = one.scaler
        by_colour = {"B": scaler.blueBias, "G": scaler.greenBias, "R": scaler.redBias}
        bias = torch.tensor([by_colour[letter] for letter in colour]).reshape(1, 3, 1, 1)
        image = image * scaler.channelScale + bias
    return image


def _refuse(name: str, what: str) -> ModelFileError:
    return ModelFileError(f"{name}: {what} is not known to the reference interpreter")


def _padding(params: Any, name: str) -> list[int]:
    """Padding for `functional.pad`: left, right, top, bottom."""
    kind = params.WhichOneof(
        "ConvolutionPaddingType" if hasattr(params, "isDeconvolution") else "PoolingPaddingType"
    )
    if kind != "valid":
        raise _refuse(name, f"padding {kind!r}")
    amounts = params.valid.paddingAmounts.borderAmounts
    if not amounts:
        return [0, 0, 0, 0]
    rows, columns = amounts
    return [
        int(columns.startEdgeSize),
        int(columns.endEdgeSize),
        int(rows.startEdgeSize),
        int(rows.endEdgeSize),
    ]


def _pair(values: Any, default: int) -> tuple[int, int]:
    return (int(values[0]), int(values[1])) if values else (default, default)


def _convolution(params: Any, name: str) -> Run:
    if params.isDeconvolution:
        raise _refuse(name, "isDeconvolution")
    pad = _padding(params, name)
    shape = (
        int(params.outputChannels),
        int(params.kernelChannels),
        *_pair(params.kernelSize, 3),
    )
    weight = _tensor(params.weights, shape, name)
    bias = None
    if params.hasBias:
        bias = _tensor(params.bias, shape[:1], name)
    stride, dilation = _pair(params.stride, 1), _pair(params.dilationFactor, 1)
    groups = int(params.nGroups) or 1
    return lambda x: [
        functional.conv2d(functional.pad(x[0], pad), weight, bias, stride, 0, dilation, groups)
    ]


def _tensor(params: Any, shape: Sequence[int], name: str) -> Tensor:
    return torch.from_numpy(layer_weights(params, shape, where=name).copy())


def _batch_norm(params: Any, name: str) -> Run:
    if params.computeMeanVar or params.instanceNormalization:
        raise _refuse(name, "statistics of the input itself")
    shape = (int(params.channels),)
    gamma, beta, mean, variance = (
        _tensor(getattr(params, field), shape, name)
        for field in ("gamma", "beta", "mean", "variance")
    )
    return lambda x: [functional.batch_norm(x[0], mean, variance, gamma, beta, eps=params.epsilon)]


def _inner_product(params: Any, name: str) -> Run:
    shape = (int(params.outputChannels), int(params.inputChannels))
    weight = _tensor(params.weights, shape, name)
    bias = None
    if params.hasBias:
        bias = _tensor(params.bias, shape[:1], name)
    return lambda x: [functional.linear(x[0], weight, bias)]


def _pooling(params: Any, name: str) -> Run:
    if params.globalPooling and params.type == _AVERAGE:
        return lambda x: [x[0].mean((-2, -1), keepdim=True)]
    if params.type != 0 or params.globalPooling:
        raise _refuse(name, "any but local maximum and global average pooling")
    pad = _padding(params, name)
    kernel, stride = _pair(params.kernelSize, 3), _pair(params.stride, 1)
    return lambda x: [
        functional.max_pool2d(functional.pad(x[0], pad, value=-torch.inf), kernel, stride)
    ]


def _activation(params: Any, name: str) -> Run:
    kind = params.WhichOneof("NonlinearityType")
    if kind == "linear":
        alpha, beta = params.linear.alpha, params.linear.beta
        return lambda x: [x[0] * alpha + beta]
    if kind == "ReLU":
        return lambda x: [x[0].relu()]
    if kind == "sigmoid":
        return lambda x: [x[0].sigmoid()]
    raise _refuse(name, f"activation {kind!r}")


def _elementwise(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, str], Run]:
    def build(params: Any, _: str) -> Run:
        def run(x: list[Tensor]) -> list[Tensor]:
            if len(x) == 1:
                return [operation(x[0], torch.tensor(float(params.alpha)))]
            result = x[0]
            for other in x[1:]:
                result = operation(result, other)
            return [result]

        return run

    return build


def _broadcast(operation: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, str], Run]:
    return lambda _, __: lambda x: [operation(x[0], x[1])]


def _upsample(params: Any, name: str) -> Run:
    rows, columns = _pair(params.scalingFactor, 1)
    if params.mode == _NEAREST:
        return lambda x: [x[0].repeat_interleave(rows, -2).repeat_interleave(columns, -1)]
    if params.linearUpsampleMode != _HALF_PIXELS:
        raise _refuse(name, f"linearUpsampleMode {params.linearUpsampleMode}")
    return lambda x: [
        functional.interpolate(
            x[0], scale_factor=(rows, columns), mode="bilinear", align_corners=False
        )
    ]


def _constant(params: Any, name: str) -> Run:
    tensor = _tensor(params.data, [int(size) for size in params.shape], name)
    return lambda _: [tensor]


def _slice(params: Any, name: str) -> Run:
    if params.endIndex <= params.startIndex or params.startIndex < 0:
        raise _refuse(name, f"a range from {params.startIndex} to {params.endIndex}")
    part = slice(params.startIndex, params.endIndex, params.stride or 1)
    axis = _SLICE_AXES[params.axis]

    def run(x: list[Tensor]) -> list[Tensor]:
        index = [slice(None)] * x[0].ndim
        index[axis] = part
        return [x[0][tuple(index)]]

    return run


def _slice_static(params: Any, name: str) -> Run:
    index: list[slice | int] = []
    count = len(params.beginIds)
    squeezed = list(params.squeezeMasks) or [False] * count
    for axis in range(count):
        begin = None if params.beginMasks[axis] else int(params.beginIds[axis])
        end = None if params.endMasks[axis] else int(params.endIds[axis])
        if params.strides[axis] < 1:
            raise _refuse(name, f"stride {params.strides[axis]}")
        if squeezed[axis]:
            index.append(int(params.beginIds[axis]))
        else:
            index.append(slice(begin, end, int(params.strides[axis])))
    return lambda x: [x[0][tuple(index)]]


def _split(params: Any, _: str) -> Run:
    def run(x: list[Tensor]) -> list[Tensor]:
        sizes = [int(size) for size in params.splitSizes]
        if not sizes:
            count = int(params.numSplits)
            sizes = [x[0].shape[params.axis] // count] * count
        return list(torch.split(x[0], sizes, dim=params.axis))

    return run


def _reduce_mean(params: Any, _: str) -> Run:
    axes = None if params.reduceAll else [int(axis) for axis in params.axes]
    return lambda x: [x[0].mean(axes, keepdim=params.keepDims)]


def _unary(params: Any, name: str) -> Run:
    if params.type not in _UNARY:
        raise _refuse(name, f"operation {params.type}")
    operation = _UNARY[params.type]
    return lambda x: [operation(x[0] * params.scale + params.shift, params.alpha)]


def _squeeze(params: Any, _: str) -> Run:
    if params.squeezeAll:
        return lambda x: [x[0].squeeze()]
    axes = tuple(int(axis) for axis in params.axes)
    return lambda x: [x[0].squeeze(axes)]


def _concat(params: Any, name: str) -> Run:
    if params.sequenceConcat:
        raise _refuse(name, "sequenceConcat")
    return lambda x: [torch.cat(x, dim=-3)]


def _concat_nd(params: Any, name: str) -> Run:
    if params.interleave:
        raise _refuse(name, "interleave")
    return lambda x: [torch.cat(x, dim=int(params.axis))]


_CONVOLUTION = {
    "outputChannels", "kernelChannels", "nGroups", "kernelSize", "stride", "dilationFactor",
    "valid", "same", "isDeconvolution", "hasBias", "weights", "bias",
}  # fmt: skip
_BATCH_NORM = {
    "channels", "computeMeanVar", "instanceNormalization", "epsilon", "gamma", "beta", "mean",
    "variance",
}  # fmt: skip
_POOLING = {
    "type", "kernelSize", "stride", "valid", "same", "includeLastPixel", "avgPoolExcludePadding",
    "globalPooling",
}  # fmt: skip
_SLICE_STATIC = {"beginIds", "beginMasks", "endIds", "endMasks", "strides", "squeezeMasks"}

LAYERS: dict[str, tuple[set[str], Callable[[Any, str], Run]]] = {
    "activation": ({"linear", "ReLU", "sigmoid"}, _activation),
    "add": ({"alpha"}, _elementwise(torch.add)),
    "addBroadcastable": (set(), _broadcast(torch.add)),
    "batchnorm": (_BATCH_NORM, _batch_norm),
    "clip": (
        {"minVal", "maxVal"},
        lambda params, _: lambda x: [x[0].clamp(params.minVal, params.maxVal)],
    ),
    "concat": ({"sequenceConcat"}, _concat),
    "concatND": ({"axis", "interleave"}, _concat_nd),
    "convolution": (_CONVOLUTION, _convolution),
    "divideBroadcastable": (set(), _broadcast(torch.div)),
    "argMax": (
        {"axis", "removeDim"},
        lambda params, _: lambda x: [x[0].argmax(int(params.axis), not params.removeDim).float()],
    ),
    "innerProduct": (
        {"inputChannels", "outputChannels", "hasBias", "weights", "bias"},
        _inner_product,
    ),
    "loadConstantND": ({"shape", "data"}, _constant),
    "minBroadcastable": (set(), _broadcast(torch.minimum)),
    "multiply": ({"alpha"}, _elementwise(torch.mul)),
    "multiplyBroadcastable": (set(), _broadcast(torch.mul)),
    "pooling": (_POOLING, _pooling),
    "reduceMean": ({"axes", "keepDims", "reduceAll"}, _reduce_mean),
    "reshapeStatic": (
        {"targetShape"},
        lambda params, _: lambda x: [x[0].reshape([int(s) for s in params.targetShape])],
    ),
    "reverse": (
        {"reverseDim"},
        lambda params, _: (
            lambda x: [x[0].flip([int(axis) for axis in np.flatnonzero(list(params.reverseDim))])]
        ),
    ),
    "round": (set(), lambda _, __: lambda x: [x[0].round()]),
    "slice": ({"startIndex", "endIndex", "stride", "axis"}, _slice),
    "sliceStatic": (_SLICE_STATIC, _slice_static),
    "softmax": (set(), lambda _, __: lambda x: [x[0].softmax(-3)]),
    "softmaxND": ({"axis"}, lambda params, _: lambda x: [x[0].softmax(int(params.axis))]),
    "splitND": ({"axis", "numSplits", "splitSizes"}, _split),
    "squeeze": ({"axes", "squeezeAll"}, _squeeze),
    "subtractBroadcastable": (set(), _broadcast(torch.sub)),
    "transpose": (
        {"axes"},
        lambda params, _: lambda x: [x[0].permute([int(axis) for axis in params.axes])],
    ),
    "unary": ({"type", "alpha", "epsilon", "scale", "shift"}, _unary),
    "upsample": ({"scalingFactor", "mode", "linearUpsampleMode"}, _upsample),
}
"""By the name of the oneof, the supported fields and the function that builds the layer."""
