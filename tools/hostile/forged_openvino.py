"""Forged `.xml` files with their `.bin`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from .forged_any import Forge


def set_contract(path: Path, change: Callable[[str], str]) -> None:
    """Change the contract of a file."""

    def edit(root: ElementTree.Element) -> None:
        entry = root.find("rt_info/pocketface/contract")
        assert entry is not None
        text = change(entry.attrib["value"])
        # XML has no such characters, not even escaped.
        entry.set("value", re.sub(r"[\x00-\x08\x0b-\x1f]", "?", text))

    _edit(edit)(path)


def _edit(change: Callable[[ElementTree.Element], object]) -> Forge:
    def forge(path: Path) -> None:
        tree = ElementTree.parse(path)
        change(tree.getroot())
        tree.write(path)

    return forge


def _layer(root: ElementTree.Element, kind: str) -> ElementTree.Element:
    return next(one for one in root.iter("layer") if one.get("type") == kind)


def _data(kind: str, **values: str) -> Forge:
    def change(root: ElementTree.Element) -> None:
        data = _layer(root, kind).find("data")
        assert data is not None
        for key, value in values.items():
            data.set(key.rstrip("_"), value)

    return _edit(change)


def _text(old: str, new: str) -> Forge:
    def forge(path: Path) -> None:
        text = path.read_text()
        assert old in text, old
        path.write_text(text.replace(old, new, 1))

    return forge


def _big_weights(root: ElementTree.Element) -> None:
    weights = [one for one in root.iter("layer") if one.get("type") == "Const"]
    parts = [part for one in weights for part in one.iter("data")]
    data = max(parts, key=lambda part: int(part.get("size", 0)))
    data.set("shape", "99999, 99999")


def _edges(root: ElementTree.Element) -> None:
    edges = root.find("edges")
    assert edges is not None
    first, *_, last = edges
    first.set("from-layer", last.get("to-layer", ""))


def _replace_bin(make: Callable[[Path], object]) -> Forge:
    def forge(path: Path) -> None:
        weights = path.with_suffix(".bin")
        weights.unlink()
        make(weights)

    return forge


def _upsampling(factor: int) -> Forge:
    """A model that enlarges the picture: any array of any size, from a file of a few bytes."""

    def forge(path: Path) -> None:
        import openvino  # type: ignore[import-untyped]

        core = openvino.Core()
        model = core.read_model(path)
        ops = openvino.opset13
        image = model.input().get_node().output(0)
        sizes = ops.constant(np.array([factor * 64, factor * 96]))
        large = ops.interpolate(
            image, sizes, "nearest", "sizes", axes=ops.constant(np.array([2, 3]))
        )
        least = ops.reduce_min(large, ops.constant(np.array([1, 2, 3])), keep_dims=False)
        _added_to_scores(model, ops, least)
        _saved(model, path)

    return forge


def _looping(path: Path) -> None:
    import openvino

    model = openvino.Core().read_model(path)
    ops = openvino.opset13
    value = ops.parameter([1], np.float32)
    body = openvino.Model(
        [ops.add(value, ops.constant(np.ones(1, np.float32))), ops.constant(np.array([True]))],
        [value],
    )
    loop = ops.loop(ops.constant(np.array(2**62)), ops.constant(np.array(True)))
    loop.set_function(body)
    loop.set_special_body_ports([-1, 1])
    start = ops.constant(np.zeros(1, np.float32))
    loop.set_merged_input(value, start.output(0), body.outputs[0].get_node().input_value(0))
    end = loop.get_iter_value(body.outputs[0].get_node().input_value(0), -1)
    _added_to_scores(model, ops, end)
    _saved(model, path)


def _added_to_scores(model: object, ops: object, value: object) -> None:
    result = model.output("scores").get_node()  # type: ignore[attr-defined]
    scores = result.input_value(0)
    names = scores.get_names()
    added = ops.add(scores, value)  # type: ignore[attr-defined]
    scores.set_names(set())
    added.output(0).set_names(names)
    result.input(0).replace_source_output(added.output(0))


def _saved(model: object, path: Path) -> None:
    import openvino

    for file in (path, path.with_suffix(".bin")):
        file.unlink()
    openvino.serialize(model, str(path), str(path.with_suffix(".bin")))


FORGERIES: dict[str, Forge] = {
    "weights: a named pipe": _replace_bin(os.mkfifo),
    "weights: a device": _replace_bin(lambda file: file.symlink_to("/dev/zero")),
    "weights: a folder": _replace_bin(lambda file: file.mkdir()),
    "weights: nothing in it": _replace_bin(lambda file: file.write_bytes(b"")),
    "weights: missing": _replace_bin(lambda _: None),
    "an offset beyond the end": _data("Const", offset="999999999"),
    "an offset of -1": _data("Const", offset="-1"),
    "an offset of 2^63": _data("Const", offset=str(2**63)),
    "an offset that overflows": _data("Const", offset=str(2**64 - 8)),
    "a size of 2^62": _data("Const", size=str(2**62)),
    "a size of 0": _data("Const", size="0"),
    "a shape of 10^10 values": _edit(_big_weights),
    "a shape of 2^80 values": _data("Const", shape="1099511627776, 1099511627776"),
    "a negative shape": _data("Const", shape="-1, 3"),
    "a shape that is no number": _data("Const", shape="a, b"),
    "a wrong type of weights": _data("Const", element_type="f64"),
    "an unknown type of weights": _data("Const", element_type="f7"),
    "a stride of 0": _data("Convolution", strides="0,0"),
    "a stride of -1": _data("Convolution", strides="-1,-1"),
    "padding of 10^9": _data("Convolution", pads_begin="1000000000,1000000000"),
    "padding of 30,000": _data("Convolution", pads_begin="30000,30000"),
    "an unknown operation": _text('type="Convolution"', 'type="Evil"'),
    "an unknown opset": _text('version="opset1"', 'version="opset999"'),
    "edges in a circle": _edit(_edges),
    "an edge to no layer": _text('to-layer="', 'to-layer="9'),
    "two layers of one id": _text('id="1"', 'id="0"'),
    "no result": _edit(lambda root: root[0].remove(_layer(root, "Result"))),
    "no layers": _edit(lambda root: root.remove(root[0])),
    "entities that grow": _text(
        '<?xml version="1.0"?>',
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY a{n} "{"&a" + str(n - 1) + ";" if n else "&a;"}">' for n in range(9))
        + "]>",
    ),
    "nested 100,000 times": _text("<rt_info>", "<rt_info>" + "<a>" * 10**5 + "</a>" * 10**5),
    "an input of 10^12 pixels": _data("Parameter", shape="?,3,1000000,1000000"),
    "enlarges the picture 300 times": _upsampling(300),
    "enlarges the picture 100,000 times": _upsampling(100_000),
    "a loop of 2^62 turns": _looping,
}
