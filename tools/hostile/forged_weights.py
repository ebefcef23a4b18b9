"""Forged `.pth` and `.safetensors` files."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .forged_any import Forge, members, with_zeros


def _content(change: Callable[[dict[str, Any]], object]) -> Forge:
    """Change what is pickled in a checkpoint."""

    def forge(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return forge


class _Calls:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _first(content: dict[str, Any], change: Callable[[torch.Tensor], Any]) -> None:
    name = next(name for name, one in content["state_dict"].items() if one.ndim == 4)
    content["state_dict"][name] = change(content["state_dict"][name])


def _section(key: str, value: Any) -> Forge:
    return _content(lambda content: content["pocketface"].update({key: value}))


def _template(change: Callable[[str], str]) -> Forge:
    def edit(content: dict[str, Any]) -> None:
        section = content["pocketface"]
        section["template"] = change(section["template"])

    return _content(edit)


def _pickled(data: bytes) -> Forge:
    return members(lambda parts: parts.update({"archive/data.pkl": data}))


def _itself(content: dict[str, Any]) -> None:
    content["pocketface"]["hooks"] = content


def _declared(path: Path) -> None:
    """Say in the directory of the archive that a member has 4 GB."""
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\1\2")
    struct.pack_into("<I", data, start + 24, 0xFFFF_FFF0)
    path.write_bytes(data)


PTH: dict[str, Forge] = {
    "a pickle that runs a program": _content(
        lambda c: c.update(x=_Calls(exec, "raise SystemExit(77)"))
    ),
    "a pickle that asks for 3 GB": _content(lambda c: c.update(x=_Calls(bytearray, 3 << 30))),
    "a pickle that stops": _pickled(b"\x80\x02}"),
    "a pickle of lists in lists": _pickled(b"\x80\x02" + b"]" * 10**6 + b"."),
    "a pickle without a beginning": _pickled(b"."),
    "a pickle of a number of 10^6 digits": _pickled(b"L" + b"9" * 10**6 + b"L\n."),
    "a pickle of protocol 4": lambda path: torch.save(
        torch.load(path, weights_only=True), path, pickle_protocol=4
    ),
    "no pickle": members(lambda parts: parts.pop("archive/data.pkl")),
    "tensors that are not there": members(
        lambda parts: [parts.pop(name) for name in list(parts) if "/data/" in name]
    ),
    "tensors of half their length": members(
        lambda p: p.update({n: b[: len(b) // 2] for n, b in p.items() if "/data/" in n})
    ),
    "a member that leads out": members(lambda p: p.update({"../../tmp/x": b"x"})),
    "an absolute member": members(lambda p: p.update({"/tmp/x": b"x"})),
    "a member that unpacks to 2.5 GB": with_zeros("archive/data/x", 2_500 << 20),
    "a member that says 4 GB": _declared,
    "a tensor of 10^10 values in 2 bytes": _content(
        lambda c: _first(c, lambda _: torch.zeros(1).half().expand(10**5, 10**5))
    ),
    "a tensor of another shape": _content(lambda c: _first(c, lambda t: t.flatten())),
    "a tensor of another type": _content(lambda c: _first(c, lambda t: t.double())),
    "a sparse tensor": _content(lambda c: _first(c, lambda t: t.to_sparse())),
    "a tensor without data": _content(lambda c: _first(c, lambda t: t.to("meta"))),
    "a complex tensor": _content(lambda c: _first(c, lambda t: t.to(torch.complex64))),
    "a tensor that is not a number": _content(lambda c: _first(c, lambda t: t * torch.nan)),
    "a list for a tensor": _content(lambda c: _first(c, lambda _: [1, 2])),
    "names that are numbers": _content(
        lambda c: c.update(state_dict=dict(enumerate(c["state_dict"].values())))
    ),
    "a list of tensors": _content(lambda c: c.update(state_dict=[1])),
    "no section": _content(lambda c: c.pop("pocketface")),
    "a section that is a text": _content(lambda c: c.update(pocketface="x")),
    "a section in itself": _content(_itself),
    "epochs that are a text": _section("epochs", "many"),
    "figures of a wrong type": _section("metrics", [{"key": 1}]),
    "hooks of a wrong type": _section("hooks", {"a": [None, {"b": 1}]}),
    "hooks that are numbers": _section("hooks", {"compression_state": [1]}),
    "hooks without a name": _section("hooks", {"compression_state": [{}]}),
    "a template of 10 MB": _template(lambda text: text + "#" * 10_000_000),
    "a template of aliases": _template(
        lambda text: text + "a: &a [1]\n" + "".join(f"b{n}: [*a, *a]\n" for n in range(30))
    ),
    "a template nested 10,000 times": _template(lambda _: "[" * 10_000),
    "a template of 10^9 channels": _template(
        lambda text: text.replace("stem_channels: 8", "stem_channels: 1000000000")
    ),
    "a template of 10^9 blocks": _template(
        lambda text: text.replace("blocks: 1", "blocks: 1000000000")
    ),
    "a template of 10^9 levels": _template(
        lambda text: text.replace("tower: 1", "tower: 1000000000")
    ),
    "a template of an input of 10^12 pixels": _template(
        lambda text: text.replace("height: 64, width: 96", "height: 1000000, width: 1000000")
    ),
    "a list for everything": lambda path: torch.save([1, 2], path),
    "a plain pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    "what PyTorch wrote before 1.6": lambda path: torch.save(
        torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False
    ),
}


def _header(change: Callable[[dict[str, Any]], object]) -> Forge:
    def forge(path: Path) -> None:
        data = path.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        change(header)
        _write(path, json.dumps(header).encode(), data[start:])

    return forge


def _write(path: Path, header: bytes, rest: bytes) -> None:
    path.write_bytes(len(header).to_bytes(8, "little") + header + rest)


def _length(value: int) -> Forge:
    return lambda path: path.write_bytes(value.to_bytes(8, "little") + path.read_bytes()[8:])


def _tensor(**fields: Any) -> Forge:
    def change(header: dict[str, Any]) -> None:
        name = next(name for name in header if name != "__metadata__")
        header[name].update(fields)

    return _header(change)


def _metadata(key: str, change: Callable[[str], str]) -> Forge:
    def edit(header: dict[str, Any]) -> None:
        metadata = header["__metadata__"]
        metadata[key] = change(metadata[key])

    return _header(edit)


def _raw(header: bytes) -> Forge:
    return lambda path: _write(path, header, bytes(64))


def _nan(path: Path) -> None:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    count = (len(data) - start) // 4
    path.write_bytes(data[:start] + np.full(count, np.nan, np.float32).tobytes())


SAFETENSORS: dict[str, Forge] = {
    "a header of 2^63 bytes": _length(2**63),
    "a header of 10^9 bytes": _length(10**9),
    "a header of 0 bytes": _length(0),
    "a header of all bytes and more": _length(2**64 - 1),
    "offsets beyond the end": _tensor(data_offsets=[0, 10**12]),
    "offsets the other way round": _tensor(data_offsets=[100, 0]),
    "offsets of -1": _tensor(data_offsets=[-1, 4]),
    "offsets of 2^64": _tensor(data_offsets=[2**64 - 4, 2**64]),
    "a shape of 2^80 values": _tensor(shape=[2**40, 2**40]),
    "a shape of -1": _tensor(shape=[-1, 3]),
    "a shape that is a text": _tensor(shape="big"),
    "a type that is unknown": _tensor(dtype="F7"),
    "a type of another width": _tensor(dtype="F64"),
    "no metadata": _header(lambda header: header.pop("__metadata__")),
    "metadata of numbers": _header(lambda h: h["__metadata__"].update({"a": 1})),
    "no tensors": _header(lambda h: [h.pop(name) for name in list(h) if name != "__metadata__"]),
    "a header that is a list": _raw(b"[]"),
    "a header nested 100,000 times": _raw(b"[" * 100_000),
    "keys nested 100,000 times": _raw(b'{"a":' * 100_000),
    "a name twice": _raw(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}'
    ),
    "a section nested 100,000 times": _metadata("pocketface.section", lambda _: "[" * 100_000),
    "a section that is a list": _metadata("pocketface.section", lambda _: "[]"),
    "a section of wrong types": _metadata("pocketface.section", lambda _: '{"epochs": "x"}'),
    "a template that is none": _metadata("pocketface.template", lambda _: "- 1"),
    "a template of 10 MB": _metadata("pocketface.template", lambda t: t + "#" * 10**7),
    "a template of 10^9 blocks": _metadata(
        "pocketface.template", lambda t: t.replace("blocks: 1", "blocks: 1000000000")
    ),
    "a digest of another file": _metadata("pocketface.content_sha256", lambda _: "0" * 64),
    "weights that are not numbers": _nan,
}
