"""ATen's operations in Keras, for channels last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

BATCH = object()
"""Stands for the batch size, or a multiple of it, where the graph computes a shape."""


@dataclass(frozen=True, eq=False)
class Value:
    """A Keras tensor; `last` if it has rank 4 and channels last, which the network has first."""

    tensor: Any
    last: bool = False

    def first(self) -> Any:
        """The tensor in the network's order of axes."""
        return _ops().transpose(self.tensor, _TO_NCHW) if self.last else self.tensor

    def image(self) -> Any:
        """The tensor with channels last."""
        return self.tensor if self.last else _ops().transpose(self.tensor, _TO_NHWC)


class Layers:
    """Layers by their weights, so that a head shared by all levels is made once."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._made: dict[str, Any] = {}

    def __call__(
        self, x: Any, kind: Callable[..., Any], weights: list[Any], like: Any, **options: Any
    ) -> Value:
        """Apply the layer with these weights to an NHWC tensor; its name comes from `like`."""
        name = self._names[id(like)].removesuffix(".weight").replace(".", "_")
        if name not in self._made:
            layer = kind(name=name, **options)
            layer.build(x.shape)
            layer.set_weights([weight.detach().numpy() for weight in weights])
            self._made[name] = layer
        return Value(self._made[name](x), last=True)


def _ops() -> Any:
    import keras  # type: ignore[import-untyped]

    return keras.ops


def _layers() -> Any:
    import keras

    return keras.layers


def _convolve(
    layers: Layers,
    x: Value,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    groups: int = 1,
) -> Value:
    channels, per_group, *kernel = weight.shape
    same = all(p * 2 == d * (k - 1) for p, d, k in zip(padding, dilation, kernel, strict=True))
    same = same and max(stride) == 1
    image = x.image()
    if max(padding) and not same:
        # Keras's "same" pads strided convolutions on other sides than PyTorch.
        image = _layers().ZeroPadding2D(tuple(padding))(image)
    options: dict[str, Any] = {
        "kernel_size": tuple(kernel),
        "strides": tuple(stride),
        "dilation_rate": tuple(dilation),
        "padding": "same" if same else "valid",
        "use_bias": bias is not None,
    }
    if groups > 1 and per_group == 1:
        kind = _layers().DepthwiseConv2D
        options["depth_multiplier"] = channels // groups
        kernels = weight.reshape(groups, -1, *kernel).permute(2, 3, 0, 1)
    else:
        kind = _layers().Conv2D
        options.update(filters=channels, groups=groups)
        kernels = weight.permute(2, 3, 1, 0)
    weights = [kernels] if bias is None else [kernels, bias]
    return layers(image, kind, weights, weight, **options)


def _normalize_batch(
    layers: Layers, x: Value, weight: Any, bias: Any, mean: Any, variance: Any, *how: float
) -> tuple[Value]:
    momentum, epsilon = how
    weights = [weight, bias, mean, variance]
    kind = _layers().BatchNormalization
    # Keras's momentum weights the old value, PyTorch's the new one.
    options = {"epsilon": epsilon, "momentum": 1 - momentum}
    return (layers(x.image(), kind, weights, weight, **options),)


def _normalize_groups(
    layers: Layers, x: Value, groups: int, weight: Any, bias: Any, epsilon: float = 1e-5, *_: Any
) -> Value:
    kind = _layers().GroupNormalization
    return layers(x.image(), kind, [weight, bias], weight, groups=groups, epsilon=epsilon)


def _linear(layers: Layers, x: Value, weight: Any, bias: Any = None) -> Value:
    weights = [weight.T] if bias is None else [weight.T, bias]
    options = {"units": len(weight), "use_bias": bias is not None}
    return Value(layers(x.first(), _layers().Dense, weights, weight, **options).tensor)


def _mean(_: Layers, x: Value, axes: list[int], keep: bool = False) -> Value:
    places = [_axis(axis, last=x.last) for axis in axes]
    found = Value(_ops().mean(x.tensor, places, keepdims=keep), last=x.last and keep)
    # Without height and width, only channels are left, in either order of axes.
    assert keep or sorted(axis % 4 for axis in axes) == [2, 3]
    return found


def _max_pool(
    _: Layers, x: Value, kernel: Any, stride: Any, padding: Any = (0, 0), *rest: Any
) -> Value:
    assert not rest  # no dilation, no rounding up
    edges = [(0, 0), *((pad, pad) for pad in padding), (0, 0)]
    lowest = float(np.finfo(np.float32).min)
    padded = _ops().pad(x.image(), edges, constant_values=lowest)
    return Value(_ops().max_pool(padded, tuple(kernel), tuple(stride), "valid"), last=True)


def _enlarge(_: Layers, x: Value, size: Any, factors: Any = None) -> Value:
    image = x.image()
    wanted = size or [int(n * f) for n, f in zip(image.shape[1:3], factors, strict=True)]
    for axis, length in enumerate(wanted, start=1):
        places = np.arange(length) * image.shape[axis] // length
        image = _ops().take(image, places.astype(np.int32), axis=axis)
    return Value(image, last=True)


def _enlarge_smoothly(
    _: Layers, x: Value, size: Any, align_corners: bool, factors: Any = None
) -> Value:
    assert not align_corners  # Keras counts from the centres of pixels, too
    image = x.image()
    wanted = size or [int(n * f) for n, f in zip(image.shape[1:3], factors, strict=True)]
    found = _ops().image.resize(image, wanted, "bilinear", data_format="channels_last")
    return Value(found, last=True)


def _pointwise(name: str) -> Callable[..., Value]:
    def apply(_: Layers, x: Value) -> Value:
        return Value(getattr(_ops(), name)(x.tensor), last=x.last)

    return apply


def _clamp(_: Layers, x: Value, low: float | None = None, high: float | None = None) -> Value:
    tensor = x.tensor if low is None else _ops().maximum(x.tensor, low)
    return Value(tensor if high is None else _ops().minimum(tensor, high), last=x.last)


def _binary(name: str) -> Callable[..., Value]:
    def apply(_: Layers, *pair: Any) -> Value:
        # Channels stay last if both sides have them last, or can be transposed.
        last = any(isinstance(one, Value) and one.last for one in pair)
        last = last and all(_rank(one) in (0, 4) for one in pair)
        return Value(getattr(_ops(), name)(*(_side(one, last=last) for one in pair)), last=last)

    return apply


def _rank(one: Any) -> int:
    if isinstance(one, Value):
        return len(one.tensor.shape)
    return one.ndim if hasattr(one, "ndim") else 0


def _side(one: Any, *, last: bool) -> Any:
    if isinstance(one, Value):
        return one.image() if last else one.first()
    if not hasattr(one, "ndim"):
        return one
    array = one.detach().numpy()
    return array.transpose(_TO_NHWC) if last and array.ndim == 4 else array


def _concatenate(_: Layers, parts: list[Any], axis: int = 0) -> Value:
    last = all(isinstance(part, Value) and part.last for part in parts)
    tensors = [_side(part, last=last) for part in parts]
    return Value(_ops().concatenate(tensors, _axis(axis, last=last)), last=last)


def _axis(axis: int, *, last: bool) -> int:
    return _TO_NHWC.index(axis % 4) if last else axis


def _split(_: Layers, x: Value, size: int, axis: int = 0) -> list[Value]:
    where = _axis(axis, last=x.last)
    places = list(range(size, x.tensor.shape[where], size))
    return [Value(part, last=x.last) for part in _ops().split(x.tensor, places, where)]


def _slice(_: Layers, x: Value, axis: int, start: int, end: int) -> Value:
    parts = [slice(None)] * len(x.tensor.shape)
    # ATen marks the end of an axis by the largest integer, which Keras does not take.
    parts[_axis(axis, last=x.last)] = slice(start, None if end >= 2**31 else end)
    return Value(x.tensor[tuple(parts)], last=x.last)


def _flip(_: Layers, x: Value, axes: list[int]) -> Value:
    return Value(_ops().flip(x.tensor, [_axis(axis, last=x.last) for axis in axes]), last=x.last)


def _softmax(_: Layers, x: Value, axis: int) -> Value:
    return Value(_ops().softmax(x.tensor, _axis(axis, last=x.last)), last=x.last)


def _view(_: Layers, x: Value, shape: list[Any]) -> Value:
    return Value(_ops().reshape(x.first(), [-1 if size is BATCH else size for size in shape]))


def _permute(_: Layers, x: Value, axes: list[int]) -> Value:
    if x.last and tuple(axes) == _TO_NHWC:
        return Value(x.tensor)
    return Value(_ops().transpose(x.first(), axes))


def _transpose(_: Layers, x: Value, one: int, other: int) -> Value:
    return Value(_ops().swapaxes(x.first(), one, other))


def _squeeze(_: Layers, x: Value, axis: int) -> Value:
    return Value(_ops().squeeze(x.first(), axis))


def _unsqueeze(_: Layers, x: Value, axis: int) -> Value:
    return Value(_ops().expand_dims(x.first(), axis))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "_native_batch_norm_legit_no_training": _normalize_batch,
    "_unsafe_view": _view,
    "add": _binary("add"),
    "cat": _concatenate,
    "clamp": _clamp,
    "clone": lambda _, x, **_memory: x,
    "conv2d": _convolve,
    "div": _binary("divide"),
    "exp": _pointwise("exp"),
    "flip": _flip,
    "group_norm": _normalize_groups,
    "hardtanh": _clamp,
    "linear": _linear,
    "max_pool2d": _max_pool,
    "mean": _mean,
    "minimum": _binary("minimum"),
    "mul": _binary("multiply"),
    "permute": _permute,
    "relu": _pointwise("relu"),
    "sigmoid": _pointwise("sigmoid"),
    "slice": _slice,
    "softmax": _softmax,
    "split": _split,
    "sqrt": _pointwise("sqrt"),
    "squeeze": _squeeze,
    "sub": _binary("subtract"),
    "sym_size": lambda *_: BATCH,
    "transpose": _transpose,
    "unsqueeze": _unsqueeze,
    "upsample_bilinear2d": _enlarge_smoothly,
    "upsample_nearest2d": _enlarge,
    "view": _view,
}
"""Functions by ATen name; each takes `Layers` and the operation's arguments."""
