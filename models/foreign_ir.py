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

_EPS = 1e-5
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
        missing = [
            name
            for name in self.expected
            if name not in self.found and not name.endswith(".num_batches_tracked")
        ]
        counters = (name for name in self.expected if name.endswith(".num_batches_tracked"))
        self.found |= {name: torch.zeros((), dtype=torch.long) for name in counters}
        size = int(shape[2].get_length()), int(shape[3].get_length())
        return Renamed(self.found, (), tuple(self.unknown), tuple(missing)), size

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
        adds = [port.get_node() for port in op.output(0).get_target_inputs()]
        add = adds[0] if len(adds) == 1 and adds[0].get_type_name() == "Add" else None
        bias = None if add is None else _numbers(add.input_value(1).get_node())
        if weight is None:
            raise self.refusal(
                f"the weights of its layer {op.get_friendly_name()!r} are not constant"
            )
        parts = [op, *_constants(weight_op)]
        parts += [] if add is None else [add, *_constants(add.input_value(1).get_node())]
        places = list(self._places(*parts))
        norm = next((one for one in places if one.to.endswith(".running_mean")), None)
        kernel = next((one for one in places if one.to.endswith(".weight")), None)
        if norm is None and kernel is None:
            self.unknown.append(op.get_friendly_name())
            return
        stem = (norm or kernel).to.rpartition(".")[0]  # type: ignore[union-attr]
        name = f"{stem.rpartition('.')[0]}.0.weight" if norm else f"{stem}.weight"
        wanted = self.expected.get(name)
        if wanted is None or weight.numel() != wanted.numel():
            self.unknown.append(op.get_friendly_name())
            return
        weight = weight.reshape(wanted.shape)
        if first:
            weight = self._of_raw_images(op, weight)
        way = kernel.way if kernel and not norm else ""
        self._put(name, weight, way=way)
        count = len(weight)
        values = torch.zeros(count) if bias is None else bias.reshape(-1)
        if norm is None:
            if bias is not None:
                self._put(f"{stem}.bias", values, way=way)
            return
        self._put(f"{stem}.weight", torch.ones(count))
        self._put(f"{stem}.bias", values)
        self._put(f"{stem}.running_mean", torch.zeros(count))
        self._put(f"{stem}.running_var", torch.full((count,), 1 - _EPS))

    def _constant(self, op: Any) -> None:
        """A constant that bears the name of a weight, as those of group norms do."""
        for place in self._places(op):
            wanted, value = self.expected.get(place.to), _numbers(op)
            if place.to not in self.found and wanted is not None and value is not None:
                if value.numel() == wanted.numel():
                    self._put(place.to, value.reshape(wanted.shape), way=place.way)
                return

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
