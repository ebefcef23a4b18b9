"""OpenVINO's own files of networks that we have too: weights back out of a graph.

Model Optimizer folds norms into convolutions, and keeps the names of what it folded beside each
layer (`fused_names`). By these a convolution and its bias become a convolution and a norm again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from torch import Tensor

from ..errors import MissingPackageError, ModelFileError
from ..model_templates.architecture import ArchitectureSpec
from .file_checks import check_file, reason
from .name_map import WAYS, Place, Renamed, map_of, our_name
from .unfolded import FOLDED_EPS

_BY_LEVEL, _SCALES = "head.levels.0.boxes.weight", "head.scales"
"""What predicts the boxes of all levels, and each level's factor, which may be folded into it."""
_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_BY_NUMBERS = ("Add", "Subtract", "Multiply", "Divide")


def read_ir(
    path: Path, architecture: ArchitectureSpec, expected: dict[str, Tensor]
) -> tuple[Renamed, tuple[int, int]]:
    """Read the weights of an OpenVINO file.

    Norms get mean 0 and variance 1, so that they give what the file gives. They must learn the
    statistics of photos before the network is trained: `unfolded.unfold_norms`.

    Args:
        path: The `.xml`, its `.bin` beside it.
        architecture: The network that it is for.
        expected: That network's tensors, on any device.

    Returns:
        The tensors by our names, and height and width of the input.

    Raises:
        ModelFileError: The file is damaged, one of ours, of int8, or of another network.
        MissingPackageError: OpenVINO is not installed.
    """
    try:
        import openvino  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("openvino") from error
    if not path.with_suffix(".bin").is_file():
        raise ModelFileError(
            f"{path}: its weights {path.with_suffix('.bin').name} are not beside it"
        )
    check_file(path.with_suffix(".bin"))
    try:
        ops = openvino.Core().read_model(path).get_ordered_ops()
        root = ElementTree.parse(path).getroot()
    except (RuntimeError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise ModelFileError(f"{path}: OpenVINO cannot load it: {reason(error)}") from error
    return _Reader(path, architecture, expected, root).read(ops)


class _Reader:
    """The tensors found so far in a graph, by our names."""

    def __init__(
        self,
        path: Path,
        architecture: ArchitectureSpec,
        expected: dict[str, Tensor],
        root: ElementTree.Element,
    ) -> None:
        self.path = path
        self.architecture = architecture
        self.expected = expected
        self.found: dict[str, Tensor] = {}
        self.levels: list[tuple[int, Tensor, Tensor]] = []
        self.factors: dict[str, float] = {}
        self.unknown: list[str] = []
        self.names = {
            str(layer.get("name")): [
                name.strip()
                for attribute in layer.findall("rt_info/attribute")
                if attribute.get("name") == "fused_names"
                for name in str(attribute.get("value")).split(",")
            ]
            for layer in root.iter("layer")
        }
        if root.find("rt_info/pocketface") is not None:
            raise self.refusal("a model file of pocketface, from which no weights are read back")
        reversed_ = next(root.iter("reverse_input_channels"), None)
        self.takes_bgr = reversed_ is None or reversed_.get("value") != "False"
        everything = [name for names in self.names.values() for name in names]
        name_map = map_of([*everything, *self.names])
        if name_map is None:
            raise self.refusal(
                "its layers do not say which weights are in them (fused_names); those of Open "
                "Model Zoo of 2022 and later do"
            )
        self.name_map = name_map

    def refusal(self, reason: str) -> ModelFileError:
        return ModelFileError(f"{self.path}: {reason}")

    def read(self, ops: list[Any]) -> tuple[Renamed, tuple[int, int]]:
        """See `read_ir`."""
        kinds = {op.get_type_name() for op in ops}
        if "FakeQuantize" in kinds:
            raise self.refusal("of int8; expected the file of FP16 or FP32 weights")
        if "BatchNormInference" in kinds:
            raise self.refusal("its norms are not folded; expected a file of OpenVINO's converter")
        image = next((op for op in ops if op.get_type_name() == "Parameter"), None)
        shape = None if image is None else image.get_output_partial_shape(0)
        if shape is None or shape.is_dynamic or len(shape) != 4:
            raise self.refusal("expected one input of fixed size, 1 x 3 x height x width")
        convolutions = [op for op in ops if op.get_type_name() in _CONVOLUTIONS]
        for index, op in enumerate(convolutions):
            self._convolution(op, first=index == 0)
        for op in ops:
            if op.get_type_name() == "Constant":
                self._constant(op)
        self._factors()
        missing = [
            name
            for name in self.expected
            if name not in self.found and not name.endswith(".num_batches_tracked")
        ]
        counters = (name for name in self.expected if name.endswith(".num_batches_tracked"))
        self.found |= {name: torch.zeros((), dtype=torch.long) for name in counters}
        size = int(shape[2].get_length()), int(shape[3].get_length())
        return Renamed(self.found, (), tuple(self.unknown), tuple(missing), ()), size

    def _places(self, *ops: Any) -> Iterator[Place]:
        for op in ops:
            layer = op.get_friendly_name()
            for name in (layer, *self.names.get(layer, ())):
                place = our_name(name, self.name_map, self.expected)
                if place is not None:
                    yield place

    def _convolution(self, op: Any, *, first: bool) -> None:
        """A convolution and the bias behind it, with the norm that may be folded into them."""
        weight_op = op.input_value(1).get_node()
        weight = _numbers(weight_op)
        adds = [port.get_node() for port in _users(op)]
        add = adds[0] if len(adds) == 1 and adds[0].get_type_name() == "Add" else None
        bias = None if add is None else _numbers(add.input_value(1).get_node())
        if weight is None:
            raise self.refusal(
                f"the weights of its layer {op.get_friendly_name()!r} are not constant"
            )
        parts = [op, *_constants(weight_op)]
        parts += [] if add is None else [add, *_constants(add.input_value(1).get_node())]
        places = self._places(*parts)
        norm, name, way = self._names(places)
        wanted = self.expected.get(name)
        if wanted is None or weight.numel() != wanted.numel():
            self.unknown.append(op.get_friendly_name())
            return
        weight = weight.reshape(wanted.shape)
        if first:
            weight = self._of_raw_images(op, weight)
        if name == _BY_LEVEL and bias is not None:
            cells = int(op.get_output_partial_shape(0)[2].get_length())
            self.levels.append((cells, weight, bias.reshape(-1)))
            return
        self._put(name, weight, way=way)
        count = len(weight)
        if norm:
            self._put(f"{norm}.weight", torch.ones(count))
            self._put(f"{norm}.bias", torch.zeros(count) if bias is None else bias.reshape(-1))
            self._put(f"{norm}.running_mean", torch.zeros(count))
            self._put(f"{norm}.running_var", torch.full((count,), 1 - FOLDED_EPS))
        elif bias is not None:
            self._put(f"{name.removesuffix('weight')}bias", bias.reshape(-1), way=way)
        group = f"{name.rpartition('.')[0].rpartition('.')[0]}.1"
        if (
            not norm
            and f"{group}.weight" in self.expected
            and f"{name[:-6]}bias" not in self.expected
        ):
            for last, values in zip(("weight", "bias"), _group_norm(op, count), strict=True):
                self._put(f"{group}.{last}", values)

    def _names(self, places: Iterator[Place]) -> tuple[str, str, str]:
        """Of what a convolution bears names: our norm or "", our kernel, and its way."""
        kernel = Place(to="", way="")
        for place in places:
            parent, _, last = place.to.rpartition(".")
            if last == "running_mean":
                return parent, f"{parent.rpartition('.')[0]}.0.weight", ""
            if last == "weight" and len(self.expected[place.to].shape) == 4:
                kernel = place
        # The norm behind a kernel of ours that has no bias.
        norm = f"{kernel.to.rpartition('.')[0].rpartition('.')[0]}.1"
        return norm if f"{norm}.running_mean" in self.expected else "", kernel.to, kernel.way

    def _constant(self, op: Any) -> None:
        """A constant that bears the name of a weight, as those of group norms do."""
        for place in self._places(op):
            wanted, value = self.expected.get(place.to), _numbers(op)
            if value is not None and value.numel() == 1 and place.to.startswith(f"{_SCALES}["):
                self.factors[place.to] = value.item()
            if place.to not in self.found and wanted is not None and value is not None:
                if value.numel() == wanted.numel():
                    self._put(place.to, value.reshape(wanted.shape), way=place.way)
                return

    def _factors(self) -> None:
        """One kernel for the boxes of all levels, where each has it times the level's factor."""
        if not self.levels:
            return
        levels = sorted(self.levels, key=lambda level: -level[0])  # finest first
        _, kernel, bias = levels[0]
        factors = []
        for index, (_, one, its_bias) in enumerate(levels):
            factor = (one * kernel).sum() / kernel.square().sum()
            for found, meant in ((one, factor * kernel), (its_bias, factor * bias)):
                if not torch.allclose(found, meant, rtol=0, atol=2e-3 * found.abs().max().item()):
                    raise self.refusal(f"has several values of {_BY_LEVEL}, which levels share")
            factors.append(factor * self.factors.get(f"{_SCALES}[{index}]", 1.0))
        self._put(_BY_LEVEL, kernel)
        self._put(f"{_BY_LEVEL.removesuffix('weight')}bias", bias)
        scales = self.expected.get(_SCALES)
        if scales is not None and len(scales) == len(factors):
            self._put(_SCALES, torch.stack(factors))

    def _put(self, name: str, value: Tensor, *, way: str = "") -> None:
        value = WAYS[way](value, None) if way else value
        before = self.found.get(name)
        if before is not None and not torch.equal(before, value):
            raise self.refusal(f"has two different values of {name}, which levels share in ours")
        self.found[name] = value.contiguous()

    def _of_raw_images(self, op: Any, weight: Tensor) -> Tensor:
        """The first kernel (C, 3, H, W) for images that our network normalises, in its colours.

        Raises:
            ModelFileError: The file subtracts another mean than the template says.
        """
        scale, offset = torch.ones(3), torch.zeros(3)
        steps = []
        node = op.input_value(0).get_node()
        while node.get_type_name() in _BY_NUMBERS:
            number = _numbers(node.input_value(1).get_node())
            if number is None or number.numel() not in (1, 3):
                raise self.refusal(f"its layer {node.get_friendly_name()!r} is no normalisation")
            steps.append((node.get_type_name(), number.reshape(-1).expand(3)))
            node = node.input_value(0).get_node()
        for kind, number in reversed(steps):
            if kind in ("Add", "Subtract"):
                offset = offset + (number if kind == "Add" else -number)
            else:
                factor = number if kind == "Multiply" else 1 / number
                scale, offset = scale * factor, offset * factor
        mean, std = (torch.tensor(one) for one in (self.architecture.mean, self.architecture.std))
        swapped = self.takes_bgr and self.architecture.colour == "RGB"
        if swapped:
            weight, scale, offset = weight.flip(1), scale.flip(0), offset.flip(0)
        if not torch.allclose(offset, -mean * scale, rtol=0, atol=0.01):
            raise self.refusal(
                f"subtracts {[round(float(v), 2) for v in -offset / scale]} from its images, the "
                f"template {[round(float(v), 2) for v in mean]}"
            )
        return weight * (scale * std)[:, None, None]


def _group_norm(op: Any, count: int) -> tuple[Tensor, Tensor]:
    """Factors and shifts (C,) of the channels between a convolution and its activation."""
    weight, bias = torch.ones(count), torch.zeros(count)
    while len(users := _users(op)) == 1:
        (port,) = users
        op = port.get_node()
        kind = op.get_type_name()
        if kind == "GroupNormalization":
            numbers = [_numbers(op.input_value(index).get_node()) for index in (1, 2)]
            if numbers[0] is not None and numbers[1] is not None:
                weight, bias = numbers[0].reshape(-1), numbers[1].reshape(-1)
        elif kind in ("Multiply", "Add"):
            number = _numbers(op.input_value(1 - port.get_index()).get_node())
            if number is None or number.numel() not in (1, count):
                continue  # of the groups, whose factors are 1 and shifts 0
            if kind == "Multiply":
                weight, bias = weight * number.reshape(-1), bias * number.reshape(-1)
            else:
                bias = bias + number.reshape(-1)
        elif kind not in ("Reshape", "MVN"):
            break
    return weight, bias


def _users(op: Any) -> list[Any]:
    """The inputs that take what an operation gives, except those that want its shape alone."""
    ports = op.output(0).get_target_inputs()
    return [port for port in ports if port.get_node().get_type_name() != "ShapeOf"]


def _constants(node: Any) -> list[Any]:
    """The constant behind a node of constants, and what lies between."""
    chain = [node]
    while chain[-1].get_type_name() in ("Convert", "Reshape"):
        chain.append(chain[-1].input_value(0).get_node())
    return chain


def _numbers(node: Any) -> Tensor | None:
    """The value of a node of constants, as FP32; None if it is none."""
    last = _constants(node)[-1]
    if last.get_type_name() != "Constant":
        return None
    return torch.from_numpy(last.get_data().astype("float32"))
