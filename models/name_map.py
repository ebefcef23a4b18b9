"""Give the tensors of other people's checkpoints our names, by maps kept as data.

A map is a YAML file in model_templates/names. A name in it may have numbers, `{s}`, perhaps of a
range, `{u:5-7}`, and an end that stays, `{rest}`; ours has them as they are, or shifted: `{u-5}`.
`head.scales[{i}]` is an element of a tensor of ours. Several names of ours are a list: the first
that the network has is meant. `way` is a key of `WAYS`, for a tensor that is laid out differently.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, JsonValue
from torch import Tensor

from ..model_templates.architecture import ArchitectureSpec
from ..model_templates.catalogue import NAMES
from ..model_templates.spec import Spec
from ..model_templates.strict_yaml import read_yaml
from .anchors import cell_corners

_HOLE = re.compile(r"\{(?:(rest)|([a-z])(?::(\d+)-(\d+))?)\}")
_FILLED = re.compile(r"\{(rest|[a-z])([+-]\d+)?\}")
_ELEMENT = re.compile(r"(.+)\[(\d{1,6})\]")
_NUMBER = "0|[1-9][0-9]{0,5}"
_COUNTER = ".num_batches_tracked"
_SHOWN = 3


class Place(Spec):
    """Where a tensor goes that is laid out differently.

    Args:
        to: Our name of it.
        way: Key of `WAYS`.
    """

    to: str
    way: str


class NameMap(Spec):
    """The names of one kind of checkpoint.

    Args:
        kind: Who writes it, in words.
        signs: Beginnings of names by which such a checkpoint is known.
        requires: What keys of an architecture must be, where it has them, one of a list: that
            which no tensor's shape tells.
        says: Keys of an architecture that must be what tensors of theirs are, by their names,
            where these are there.
        cells: Keys of anchors that must have the corners that tensors of theirs are, by their
            names, where these are there; `{i}` in a name is the level.
        anew: Our names, with holes, of what a training may begin without: layers of other classes,
            and parts that the checkpoint does not have.
        names: Our name, names or place of each of theirs.
        unused: Their names that have no place in our networks, and why.
    """

    kind: str
    signs: list[str]
    requires: dict[str, list[JsonValue]] = Field(default={})
    says: dict[str, str] = Field(default={})
    cells: dict[str, str] = Field(default={})
    anew: list[str] = Field(default=[])
    names: dict[str, str | list[str] | Place]
    unused: dict[str, str]


def _background_last(tensor: Tensor, _: Tensor | None) -> Tensor:
    """(A * 2, …) of face, background for each of A anchors to background, face."""
    if len(tensor) % 2:
        return tensor  # its shape will be refused
    return tensor.reshape(-1, 2, *tensor.shape[1:]).flip(1).reshape(tensor.shape)


def _bias_before_norm(bias: Tensor, mean: Tensor | None) -> Tensor:
    """The mean of what a convolution gives without its bias, of the mean with it."""
    if mean is not None and mean.shape != bias.shape:
        return bias  # its shape will be refused
    return -bias if mean is None else mean - bias


def _boxes_of_face(tensor: Tensor, _: Tensor | None) -> Tensor:
    """(2 * 4, …) of background, face to the face's."""
    return tensor[4:]


def _by_ratios(tensor: Tensor, _: Tensor | None) -> Tensor:
    """(A * n, …), A three ratios of three sizes each, to three sizes of three ratios each."""
    if len(tensor) % 9:
        return tensor  # its shape will be refused
    return tensor.reshape(3, 3, -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)


def _face_by_ratios(tensor: Tensor, _: Tensor | None) -> Tensor:
    """(A * 2, …) of background, face for each anchor to (A, …) of faces, as by `_by_ratios`."""
    return _by_ratios(tensor, None)[1::2]


WAYS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "background_last": _background_last,
    "bias_before_norm": _bias_before_norm,
    "boxes_of_face": _boxes_of_face,
    "by_ratios": _by_ratios,
    "face_by_ratios": _face_by_ratios,
}
"""Functions of a tensor, and of what is in its place already, to ours; they come last."""


@dataclass(frozen=True)
class Renamed:
    """Tensors by our names.

    Attributes:
        tensors: Those that have a place in the network.
        unused: Their names that have none, for a reason that the map gives.
        unknown: Other names of theirs, which the map does not have or the network does not.
        missing: Our names of tensors that were not among them, but for `anew`.
        anew: Our names of tensors that a training may begin without, as none among them has their
            shape.
    """

    tensors: dict[str, Tensor]
    unused: tuple[str, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]
    anew: tuple[str, ...]


def map_of(names: Iterable[str]) -> NameMap | None:
    """The map whose signs some of these names have; None if there is none."""
    known = list(names)
    for name_map in _maps():
        if any(name.startswith(tuple(name_map.signs)) for name in known):
            return name_map
    return None


def unmet(
    name_map: NameMap, architecture: ArchitectureSpec, tensors: Mapping[str, Tensor]
) -> list[str]:
    """What an architecture lacks of what a map requires and its checkpoint says, in words."""
    wanted = dict(name_map.requires)
    problems = []
    for name, key in name_map.says.items():
        if name not in tensors:
            continue
        tensor, part = tensors[name], _part(architecture, key)
        if tensor.numel() == len(part):
            wanted[key] = [[round(float(one), 4) for one in tensor.flatten()]]
        else:
            problems.append(
                f"architecture.{key} of {tensor.numel():,} numbers (found {_written(part)})"
            )
    for key, allowed in wanted.items():
        part = _part(architecture, key)
        if part is not None and not any(_alike(part, one) for one in allowed):
            either = " or ".join(map(_written, allowed))
            problems.append(f"architecture.{key} {either} (found {_written(part)})")
    for pattern, key in name_map.cells.items():
        anchors = _part(architecture, key)
        for name, tensor in tensors.items():
            values = _match(pattern, name)
            if values is None or anchors is None:
                continue
            level = int(values["i"])
            ours = cell_corners(anchors, level) if level < len(anchors.sizes) else torch.zeros(0, 4)
            if tensor.shape != ours.shape or not torch.allclose(tensor.float(), ours, 1e-4, 1e-3):
                problems.append(
                    f"architecture.{key} of {_sides(tensor)} on level {level} "
                    f"(found {_sides(ours)})"
                )
    return problems


def _part(architecture: ArchitectureSpec, key: str) -> Any:
    """What an architecture has under a key with dots; None if it has no such key."""
    part: Any = architecture
    for step in key.split("."):
        part = getattr(part, step, None)
    return part


def _sides(corners: Tensor) -> str:
    """Widths and heights of the first boxes (A, 4), x1, y1, x2, y2, in words."""
    if corners.ndim != 2 or corners.shape[1] != 4:
        return f"shape {tuple(corners.shape)}"
    shown = [f"{x2 - x1:.1f} x {y2 - y1:.1f}" for x1, y1, x2, y2 in corners[:_SHOWN].tolist()]
    more = ", …" if len(corners) > _SHOWN else ""
    return f"{', '.join(shown)}{more} ({len(corners)})"


def _alike(part: Any, allowed: Any) -> bool:
    """Whether values are the same, numbers as nearly as checkpoints of 32 bits have them."""
    if isinstance(part, (list, tuple)) and isinstance(allowed, (list, tuple)):
        return len(part) == len(allowed) and all(map(_alike, part, allowed))
    if isinstance(part, float) and isinstance(allowed, (int, float)):
        return math.isclose(part, allowed, rel_tol=1e-4)
    return bool(part == allowed)


def _written(value: object) -> str:
    """As YAML has it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def our_name(name: str, name_map: NameMap, expected: Mapping[str, Any]) -> Place | None:
    """Where a tensor of theirs goes.

    Args:
        name: Their name of it.
        name_map: The map.
        expected: What the network has, by our names.

    Returns:
        Its place, whose `way` may be ""; None if it has none in this network.
    """
    for theirs, ours in name_map.names.items():
        values = _match(theirs, name)
        if values is None:
            continue
        way = ours.way if isinstance(ours, Place) else ""
        for one in (
            [ours.to] if isinstance(ours, Place) else [ours] if isinstance(ours, str) else ours
        ):
            to = _filled(one, values)
            element = _ELEMENT.fullmatch(to)
            if (element[1] if element else to) in expected:
                return Place(to=to, way=way)
    return None


def renamed(
    tensors: Mapping[str, Tensor], name_map: NameMap, expected: Mapping[str, Tensor]
) -> Renamed:
    """Give tensors our names.

    Args:
        tensors: Theirs.
        name_map: The map.
        expected: The network's, whose shapes and types matter; on any device.

    Returns:
        Those of our shapes in our precision. A second tensor for a place is unknown.
    """
    found: dict[str, Tensor] = {}
    last: list[tuple[Place, Tensor]] = []
    unused: list[str] = []
    unknown: list[str] = []
    elements: set[str] = set()
    taken: set[Place] = set()
    for name, tensor in tensors.items():
        place = our_name(name, name_map, expected)
        if place is None:
            known = any(_match(pattern, name) is not None for pattern in name_map.unused)
            (unused if known else unknown).append(name)
            continue
        if place in taken:
            unknown.append(name)
            continue
        taken.add(place)
        if place.way:
            last.append((place, tensor))
        elif element := _ELEMENT.fullmatch(place.to):
            whole = found.setdefault(element[1], torch.zeros(expected[element[1]].shape))
            if int(element[2]) < len(whole) and tensor.numel() == 1:
                whole[int(element[2])] = tensor.reshape(())
                elements.add(place.to)
            else:
                unknown.append(name)
        else:
            found[place.to] = tensor
    for place, tensor in last:
        # A tensor of other dimensions stays as it is: its shape will be refused.
        if tensor.ndim == len(expected[place.to].shape):
            tensor = WAYS[place.way](tensor, found.get(place.to))
        found[place.to] = tensor
    # A count of batches, which nothing depends on: older checkpoints have none.
    counters = (name for name in expected if name.endswith(_COUNTER) and name not in found)
    found |= {name: torch.zeros((), dtype=torch.long) for name in counters}
    anew = [
        name
        for pattern in name_map.anew
        for name, wanted in expected.items()
        if (name not in found or found[name].shape != wanted.shape)
        and _match(pattern, name) is not None
    ]
    for name in anew:
        found.pop(name, None)
    for name, tensor in found.items():
        wanted = expected[name]
        if tensor.shape == wanted.shape and tensor.is_floating_point():
            found[name] = tensor.to(wanted.dtype)
    missing = [name for name in expected if name not in found and name not in anew]
    missing += [
        f"{name}[{index}]"
        for name in {one.partition("[")[0] for one in elements}
        for index in range(len(expected[name]))
        if f"{name}[{index}]" not in elements
    ]
    return Renamed(found, tuple(unused), tuple(unknown), tuple(missing), tuple(anew))


@cache
def _maps() -> tuple[NameMap, ...]:
    return tuple(_read(path) for path in sorted(NAMES.glob("*.yaml")))


def _read(path: Path) -> NameMap:
    return NameMap.model_validate(read_yaml(path))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts, end = [], 0
    for hole in _HOLE.finditer(text):
        parts.append(re.escape(text[end : hole.start()]))
        parts.append("(?P<rest>.+)" if hole[1] else f"(?P<{hole[2]}>{_NUMBER})")
        end = hole.end()
    return re.compile("".join(parts) + re.escape(text[end:]))


def _match(pattern: str, name: str) -> dict[str, str] | None:
    """What a name has in the holes of a pattern; None if it does not match."""
    found = _pattern(pattern).fullmatch(name)
    if found is None:
        return None
    for hole in _HOLE.finditer(pattern):
        if hole[3] and not int(hole[3]) <= int(found[hole[2]]) <= int(hole[4]):
            return None
    return found.groupdict()


def _filled(text: str, values: Mapping[str, str]) -> str:
    def value(hole: re.Match[str]) -> str:
        given = values[hole[1]]
        return str(int(given) + int(hole[2])) if hole[2] else given

    return _FILLED.sub(value, text)
