"""Forged `.onnx` files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .forged_any import Forge, each


def set_contract(path: Path, change: Callable[[str], str]) -> None:
    """Change the contract of a file."""

    def edit(model: Any) -> None:
        entry = next(one for one in model.metadata_props if one.key == "pocketface.contract")
        entry.value = change(entry.value)

    _edit(edit)(path)


def _edit(change: Callable[[Any], object]) -> Forge:
    def forge(path: Path) -> None:
        import onnx

        model = onnx.ModelProto()
        model.ParseFromString(path.read_bytes())
        change(model)
        path.write_bytes(model.SerializeToString())

    return forge


def _external(location: str, **more: int) -> Forge:
    def change(model: Any) -> None:
        import onnx

        tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in ({"location": location} | more).items():
            tensor.external_data.add(key=key, value=str(value))

    return _edit(change)


def _external_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe.bin"))
    _external("pipe.bin")(path)


def _external_beside(path: Path) -> None:
    path.with_name("weights.bin").write_bytes(bytes(1 << 16))
    _external("weights.bin")(path)


def _weights(change: Callable[[Any], object]) -> Forge:
    return _edit(lambda model: change(max(model.graph.initializer, key=lambda t: len(t.raw_data))))


def _dims(*dims: int) -> Forge:
    def change(tensor: Any) -> None:
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return _weights(change)


def _attribute(operation: str, key: str, values: list[int]) -> Forge:
    def change(model: Any) -> None:
        import onnx

        node = next(one for one in model.graph.node if one.op_type == operation)
        for one in list(node.attribute):
            if one.name == key:
                node.attribute.remove(one)
        kind = onnx.AttributeProto.INTS
        node.attribute.append(onnx.helper.make_attribute(key, values, attr_type=kind))

    return _edit(change)


def _added(make: Callable[[Any], list[Any]], *constants: tuple[str, Any]) -> Forge:
    """More nodes; the array `forged` of shape (1,) is added to the scores."""

    def change(model: Any) -> None:
        import onnx

        helper = onnx.helper
        for name, value in constants:
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
        last = next(one for one in model.graph.node if "scores" in one.output)
        last.output[list(last.output).index("scores")] = "scores before"
        model.graph.node.extend(make(helper))
        model.graph.node.append(helper.make_node("Add", ["scores before", "forged"], ["scores"]))

    return _edit(change)


def _reduced(*nodes: tuple[str, list[str]]) -> Callable[[Any], list[Any]]:
    def make(helper: Any) -> list[Any]:
        made = [
            helper.make_node(kind, inputs, [f"forged {index}"])
            for index, (kind, inputs) in enumerate(nodes)
        ]
        last = f"forged {len(nodes) - 1}"
        return [*made, helper.make_node("ReduceMax", [last], ["forged"], keepdims=0)]

    return make


def _loop(helper: Any) -> list[Any]:
    import onnx

    kinds = onnx.TensorProto
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go on"]),
            helper.make_node("Add", ["sum", "sum"], ["sum on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", kinds.INT64, []),
            helper.make_tensor_value_info("go", kinds.BOOL, []),
            helper.make_tensor_value_info("sum", kinds.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go on", kinds.BOOL, []),
            helper.make_tensor_value_info("sum on", kinds.FLOAT, []),
        ],
    )
    return [helper.make_node("Loop", ["turns", "yes", "zero"], ["forged"], body=body)]


def _nested(depth: int) -> Callable[[Any], list[Any]]:
    def make(helper: Any) -> list[Any]:
        import onnx

        out = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [])
        graph = helper.make_graph(
            [helper.make_node("Identity", ["zero"], ["out"])], "in", [], [out]
        )
        for _ in range(depth):
            node = helper.make_node("If", ["yes"], ["out"], then_branch=graph, else_branch=graph)
            node.attribute[1].g.Clear()
            node.attribute[1].g.CopyFrom(
                helper.make_graph([helper.make_node("Identity", ["zero"], ["out"])], "e", [], [out])
            )
            graph = helper.make_graph([node], "in", [], [out])
        (node,) = graph.node
        node.output[0] = "forged"
        return [node]

    return make


def _recursive_function(model: Any) -> None:
    import onnx

    helper = onnx.helper
    model.opset_import.add(domain="own", version=1)
    imports = [helper.make_opsetid("own", 1), helper.make_opsetid("", 18)]
    call = helper.make_node("Again", ["x"], ["y"], domain="own")
    model.functions.append(helper.make_function("own", "Again", ["x"], ["y"], [call], imports))
    last = next(one for one in model.graph.node if "scores" in one.output)
    last.output[list(last.output).index("scores")] = "scores before"
    model.graph.node.append(helper.make_node("Again", ["scores before"], ["scores"], domain="own"))


def _circle(model: Any) -> None:
    first, *_, last = model.graph.node
    first.input[0] = last.output[0]


def _doubled(count: int) -> Callable[[Any], list[Any]]:
    def make(helper: Any) -> list[Any]:
        nodes = [
            helper.make_node("Concat", [f"d{n}", f"d{n}"], [f"d{n + 1}"], axis=0)
            for n in range(count)
        ]
        return [*nodes, helper.make_node("ReduceMax", [f"d{count}"], ["forged"], keepdims=0)]

    return make


def _nan(tensor: Any) -> None:
    tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()


_SCALES = ("scales", np.array([1, 1, 300, 300], np.float32))

FORGERIES: dict[str, Forge] = {
    "external weights: an absolute path": _external("/etc/passwd"),
    "external weights: a path that leads out": _external("../../../../etc/passwd"),
    "external weights: a named pipe": _external_pipe,
    "external weights: a device": _external("/dev/zero", length=2**20),
    "external weights: in the folder": _external_beside,
    "external weights: missing": _external("none.bin"),
    "external weights: an offset beyond the end": _external("model.onnx", offset=2**40),
    "external weights: a length of 2^62": _external("model.onnx", length=2**62),
    "weights of 2^80 values": _dims(2**40, 2**40),
    "weights of 10^10 values": _dims(10**5, 10**5),
    "weights of -1 values": _dims(-1, 3),
    "weights of half their length": _weights(
        lambda tensor: setattr(tensor, "raw_data", tensor.raw_data[: len(tensor.raw_data) // 2])
    ),
    "weights of a wrong type": _weights(lambda tensor: setattr(tensor, "data_type", 11)),
    "weights of an unknown type": _weights(lambda tensor: setattr(tensor, "data_type", 99)),
    "weights that are not numbers": _weights(_nan),
    "a stride of 0": _attribute("Conv", "strides", [0, 0]),
    "a stride of -1": _attribute("Conv", "strides", [-1, -1]),
    "dilations of 2^62": _attribute("Conv", "dilations", [2**62, 2**62]),
    "padding of 30,000": _attribute("Conv", "pads", [30_000] * 4),
    "padding of 2^62": _attribute("Conv", "pads", [2**62] * 4),
    "no kernel shape": _attribute("Conv", "kernel_shape", []),
    "groups of 0": _edit(
        lambda m: each((a for n in m.graph.node for a in n.attribute if a.name == "group"), "i", 0)
    ),
    "no outputs": _edit(lambda model: model.graph.ClearField("output")),
    "no nodes": _edit(lambda model: model.graph.ClearField("node")),
    "nodes in a circle": _edit(_circle),
    "an unknown operation": _edit(lambda model: setattr(model.graph.node[0], "op_type", "Evil")),
    "an operation of another library": _edit(
        lambda model: setattr(model.graph.node[0], "domain", "com.evil")
    ),
    "opset 10^9": _edit(lambda model: setattr(model.opset_import[0], "version", 10**9)),
    "version -1 of the format": _edit(lambda model: setattr(model, "ir_version", -1)),
    "a function that calls itself": _edit(_recursive_function),
    "a loop of 2^62 turns": _added(
        _loop, ("turns", np.int64(2**62)), ("yes", True), ("zero", np.float32(0))
    ),
    "branches nested 20 times": _added(_nested(20), ("yes", True), ("zero", np.float32(0))),
    "a constant of 10^10 values": _added(
        _reduced(("ConstantOfShape", ["shape"])), ("shape", np.array([10**5, 10**5]))
    ),
    "a constant of 10^9 values": _added(
        _reduced(("ConstantOfShape", ["shape"])), ("shape", np.array([10**9]))
    ),
    "expands to 10^10 values": _added(
        _reduced(("Expand", ["zero", "shape"])),
        ("zero", np.float32(0)),
        ("shape", np.array([10**5, 10**5])),
    ),
    "enlarges the picture 300 times": _added(
        _reduced(("Resize", ["image", "", "scales"])), _SCALES
    ),
    "tiles the picture 10^5 times": _added(
        _reduced(("Tile", ["image", "repeats"])), ("repeats", np.array([1, 1, 300, 300]))
    ),
    "doubles an array 34 times": _added(_doubled(34), ("d0", np.zeros(1, np.float32))),
    "counts to 10^10": _added(
        _reduced(("Range", ["zero", "end", "one"])),
        ("zero", np.float32(0)),
        ("end", np.float32(1e10)),
        ("one", np.float32(1)),
    ),
}
