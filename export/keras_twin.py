"""A network's twin in Keras: the same layers with the same weights, NHWC.

The network's graph is what `torch.export` gives, operation by operation (ATen). What does not
depend on the image becomes a constant; convolutions and normalisations become layers that carry
the names of the checkpoint's weights; the rest become `keras.ops`. An operation that is not in
`_OPERATIONS` is refused by name.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from ..model_templates.contract import Contract

if TYPE_CHECKING:
    from ..models.network import Network

_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

_BATCH = object()
"""The size of the batch, or a multiple of it, where the graph computes a shape."""


def keras_twin(network: Network, contract: Contract) -> Any:
    """Build it.

    Args:
        network: On the CPU.
        contract: Of the file to be, with an NHWC input, and outputs in the network's order.

    Returns:
        A functional `keras.Model` from float32 (B, H, W, 3), 0-255 BGR, to a dict of the
        contract's outputs.

    Raises:
        UserError: The network has an operation that has no twin.
    """
    import keras  # type: ignore[import-untyped]

    program = _program(network, contract)
    state: dict[str, Any] = {**program.state_dict, **program.constants}
    layers = _Layers({id(tensor): name for name, tensor in state.items()})
    image = keras.Input(contract.input.shape[1:], name=contract.input.name)
    values: dict[str, Any] = {
        spec.arg.name: _Value(image, last=True) if spec.target is None else state[spec.target]
        for spec in program.graph_signature.input_specs
    }
    for node in program.graph.nodes:
        if node.op == "call_function":
            values[node.name] = _call(node, values, layers)
    answers = [values[spec.arg.name] for spec in program.graph_signature.output_specs]
    outputs = {
        output.name: keras.layers.Identity(name=output.name)(value.first())
        for output, value in zip(contract.outputs, answers, strict=True)
    }
    return keras.Model(image, outputs, name=contract.name)


@dataclass(frozen=True, eq=False)
class _Value:
    """A Keras tensor; `last`: of rank 4, with channels last, where the network has them first."""

    tensor: Any
    last: bool = False

    def first(self) -> Any:
        """In the network's own order of axes."""
        return _ops().transpose(self.tensor, _TO_NCHW) if self.last else self.tensor

    def image(self) -> Any:
        """With channels last."""
        return self.tensor if self.last else _ops().transpose(self.tensor, _TO_NHWC)


class _Layers:
    """Layers by the weights that they carry: a head that serves all levels is made once."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._made: dict[str, Any] = {}

    def __call__(
        self, x: Any, kind: Callable[..., Any], weights: list[Any], like: Any, **options: Any
    ) -> _Value:
        """The layer of `weights` applied to an NHWC tensor; named after the weight `like`."""
        name = self._names[id(like)].removesuffix(".weight").replace(".", "_")
        if name not in self._made:
            layer = kind(name=name, **options)
            layer.build(x.shape)
            layer.set_weights([weight.detach().numpy() for weight in weights])
            self._made[name] = layer
        return _Value(self._made[name](x), last=True)


def _ops() -> Any:
    import keras

    return keras.ops


def _layers() -> Any:
    import keras

    return keras.layers


def _program(network: Network, contract: Contract) -> Any:
    import torch

    images = torch.zeros(2, 3, contract.input.height, contract.input.width)
    any_batch = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        program = torch.export.export(network.eval(), (images,), dynamic_shapes=any_batch)
        # Functional, and with fewer ways to say the same.
        return program.run_decompositions({})


def _call(node: Any, values: Mapping[str, Any], layers: _Layers) -> Any:
    """One operation: a `_Value` where it depends on the image, else what torch makes of it."""
    arguments = [_resolve(argument, values) for argument in node.args]
    if not _depends_on_image(arguments):
        return node.target(*arguments, **node.kwargs)
    if node.target is operator.getitem:
        values_of, index = arguments
        return values_of[index]
    if node.target is operator.mul:
        return _BATCH
    name = str(node.target).removeprefix("aten.").split(".")[0]
    if name not in _OPERATIONS:
        raise UserError(f"format tensorflow: the network's operation {node.target} has no twin")
    return _OPERATIONS[name](layers, *arguments, **node.kwargs)


def _resolve(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, list | tuple):
        return [_resolve(one, values) for one in argument]
    # A node of the graph has a name, and nothing else that is an argument has.
    return values[argument.name] if hasattr(argument, "graph") else argument


def _depends_on_image(argument: Any) -> bool:
    if isinstance(argument, list | tuple):
        return any(_depends_on_image(one) for one in argument)
    return isinstance(argument, _Value) or argument is _BATCH


def _convolve(
    layers: _Layers,
    x: _Value,
    weight: Any,
    bias: Any = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    groups: int = 1,
) -> _Value:
    channels, per_group, *kernel = weight.shape
    same = all(p * 2 == d * (k - 1) for p, d, k in zip(padding, dilation, kernel, strict=True))
    same = same and max(stride) == 1
    image = x.image()
    if max(padding) and not same:
        # "same" pads strided convolutions elsewhere than PyTorch does.
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
    layers: _Layers, x: _Value, weight: Any, bias: Any, mean: Any, variance: Any, *how: float
) -> tuple[_Value]:
    momentum, epsilon = how
    weights = [weight, bias, mean, variance]
    kind = _layers().BatchNormalization
    # Keras weighs the old value, PyTorch the new one.
    options = {"epsilon": epsilon, "momentum": 1 - momentum}
    return (layers(x.image(), kind, weights, weight, **options),)


def _normalize_groups(
    layers: _Layers, x: _Value, groups: int, weight: Any, bias: Any, epsilon: float = 1e-5, *_: Any
) -> _Value:
    kind = _layers().GroupNormalization
    return layers(x.image(), kind, [weight, bias], weight, groups=groups, epsilon=epsilon)


def _linear(layers: _Layers, x: _Value, weight: Any, bias: Any = None) -> _Value:
    weights = [weight.T] if bias is None else [weight.T, bias]
    options = {"units": len(weight), "use_bias": bias is not None}
    return _Value(layers(x.first(), _layers().Dense, weights, weight, **options).tensor)


def _mean(_: _Layers, x: _Value, axes: list[int], keep: bool = False) -> _Value:
    places = [_axis(axis, last=x.last) for axis in axes]
    found = _Value(_ops().mean(x.tensor, places, keepdims=keep), last=x.last and keep)
    # Without its height and width, an image is a row of channels either way.
    assert keep or sorted(axis % 4 for axis in axes) == [2, 3]
    return found


def _max_pool(
    _: _Layers, x: _Value, kernel: Any, stride: Any, padding: Any = (0, 0), *rest: Any
) -> _Value:
    assert not rest  # neither dilation nor rounding up
    edges = [(0, 0), *((pad, pad) for pad in padding), (0, 0)]
    lowest = float(np.finfo(np.float32).min)
    padded = _ops().pad(x.image(), edges, constant_values=lowest)
    return _Value(_ops().max_pool(padded, tuple(kernel), tuple(stride), "valid"), last=True)


def _enlarge(_: _Layers, x: _Value, size: Any, factors: Any = None) -> _Value:
    image = x.image()
    wanted = size or [int(n * f) for n, f in zip(image.shape[1:3], factors, strict=True)]
    for axis, length in enumerate(wanted, start=1):
        places = np.arange(length) * image.shape[axis] // length
        image = _ops().take(image, places.astype(np.int32), axis=axis)
    return _Value(image, last=True)


def _pointwise(name: str) -> Callable[..., _Value]:
    def apply(_: _Layers, x: _Value) -> _Value:
        return _Value(getattr(_ops(), name)(x.tensor), last=x.last)

    return apply


def _clamp(_: _Layers, x: _Value, low: float | None = None, high: float | None = None) -> _Value:
    tensor = x.tensor if low is None else _ops().maximum(x.tensor, low)
    return _Value(tensor if high is None else _ops().minimum(tensor, high), last=x.last)


def _binary(name: str) -> Callable[..., _Value]:
    def apply(_: _Layers, *pair: Any) -> _Value:
        # Channels stay last where both sides have them there, or can be brought there.
        last = any(isinstance(one, _Value) and one.last for one in pair)
        last = last and all(_rank(one) in (0, 4) for one in pair)
        return _Value(getattr(_ops(), name)(*(_side(one, last=last) for one in pair)), last=last)

    return apply


def _rank(one: Any) -> int:
    if isinstance(one, _Value):
        return len(one.tensor.shape)
    return one.ndim if hasattr(one, "ndim") else 0


def _side(one: Any, *, last: bool) -> Any:
    if isinstance(one, _Value):
        return one.image() if last else one.first()
    if not hasattr(one, "ndim"):
        return one
    array = one.detach().numpy()
    return array.transpose(_TO_NHWC) if last and array.ndim == 4 else array


def _concatenate(_: _Layers, parts: list[Any], axis: int = 0) -> _Value:
    last = all(isinstance(part, _Value) and part.last for part in parts)
    tensors = [_side(part, last=last) for part in parts]
    return _Value(_ops().concatenate(tensors, _axis(axis, last=last)), last=last)


def _axis(axis: int, *, last: bool) -> int:
    return _TO_NHWC.index(axis % 4) if last else axis


def _split(_: _Layers, x: _Value, size: int, axis: int = 0) -> list[_Value]:
    where = _axis(axis, last=x.last)
    places = list(range(size, x.tensor.shape[where], size))
    return [_Value(part, last=x.last) for part in _ops().split(x.tensor, places, where)]


def _slice(_: _Layers, x: _Value, axis: int, start: int, end: int) -> _Value:
    parts = [slice(None)] * len(x.tensor.shape)
    # The end of an axis is the largest integer there is, which Keras does not take.
    parts[_axis(axis, last=x.last)] = slice(start, None if end >= 2**31 else end)
    return _Value(x.tensor[tuple(parts)], last=x.last)


def _flip(_: _Layers, x: _Value, axes: list[int]) -> _Value:
    return _Value(_ops().flip(x.tensor, [_axis(axis, last=x.last) for axis in axes]), last=x.last)


def _softmax(_: _Layers, x: _Value, axis: int) -> _Value:
    return _Value(_ops().softmax(x.tensor, _axis(axis, last=x.last)), last=x.last)


def _view(_: _Layers, x: _Value, shape: list[Any]) -> _Value:
    return _Value(_ops().reshape(x.first(), [-1 if size is _BATCH else size for size in shape]))


def _permute(_: _Layers, x: _Value, axes: list[int]) -> _Value:
    if x.last and tuple(axes) == _TO_NHWC:
        return _Value(x.tensor)
    return _Value(_ops().transpose(x.first(), axes))


def _transpose(_: _Layers, x: _Value, one: int, other: int) -> _Value:
    return _Value(_ops().swapaxes(x.first(), one, other))


def _squeeze(_: _Layers, x: _Value, axis: int) -> _Value:
    return _Value(_ops().squeeze(x.first(), axis))


def _unsqueeze(_: _Layers, x: _Value, axis: int) -> _Value:
    return _Value(_ops().expand_dims(x.first(), axis))


_OPERATIONS: dict[str, Callable[..., Any]] = {
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
    "sym_size": lambda *_: _BATCH,
    "transpose": _transpose,
    "unsqueeze": _unsqueeze,
    "upsample_nearest2d": _enlarge,
    "view": _view,
}
"""By ATen name; each takes `_Layers` and the operation's own arguments."""
