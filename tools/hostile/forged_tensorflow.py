"""Forged SavedModels and `.keras` files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pocketface.runtimes.seal import BLANK_SEAL, SAVED_MODEL_CONTRACT
from pocketface.runtimes.tensorflow import import_tensorflow

from .forged_any import Forge, each, members, with_zeros

CONTRACT = "pocketface.contract"


def set_saved_model_contract(path: Path, change: Callable[[str], str]) -> None:
    """Change the contract of a SavedModel."""
    file = path / SAVED_MODEL_CONTRACT
    entries = json.loads(file.read_text())
    file.write_text(json.dumps(entries | {CONTRACT: change(entries[CONTRACT])}))


def set_keras_contract(path: Path, change: Callable[[str], str]) -> None:
    """Change the contract of a `.keras` file."""
    members(
        lambda parts: parts.update(
            {"pocketface.json": change(parts["pocketface.json"].decode()).encode()}
        )
    )(path)


def _graph(change: Callable[[Any], object]) -> Forge:
    """Change the protobuf of a SavedModel."""

    def forge(path: Path) -> None:
        import_tensorflow()
        from tensorflow.core.protobuf import saved_model_pb2  # type: ignore[import-untyped]

        model = saved_model_pb2.SavedModel()
        model.ParseFromString((path / "saved_model.pb").read_bytes())
        change(model)
        (path / "saved_model.pb").write_bytes(model.SerializeToString())

    return forge


def _rewritten(make: Callable[[Any, Any], Any]) -> Forge:
    """A SavedModel whose scores have something added, which `make` computes from the picture."""

    def forge(path: Path) -> None:
        tensorflow = import_tensorflow()
        sound = tensorflow.saved_model.load(str(path))
        signature = sound.signatures["serving_default"]
        spec = tensorflow.TensorSpec((None, 64, 96, 3), tensorflow.float32, name="image")

        @tensorflow.function(input_signature=[spec])  # type: ignore[untyped-decorator]
        def run(image: Any) -> Any:
            found = signature(image=image)
            return found | {"scores": found["scores"] + make(tensorflow, image)}

        module = tensorflow.Module()
        module.sound = sound
        contract = (path / SAVED_MODEL_CONTRACT).read_bytes()
        tensorflow.saved_model.save(module, str(path), {"serving_default": run})
        (path / SAVED_MODEL_CONTRACT).parent.mkdir(exist_ok=True)
        (path / SAVED_MODEL_CONTRACT).write_bytes(contract)

    return forge


def _write_file(tensorflow: Any, _: Any) -> Any:
    done = tensorflow.raw_ops.WriteFile(filename="/tmp/pocketface-was-here", contents="x")
    with tensorflow.control_dependencies([done] if done is not None else []):
        return tensorflow.constant(0.0)


def _read_file(tensorflow: Any, _: Any) -> Any:
    text = tensorflow.io.read_file("/etc/passwd")
    return tensorflow.cast(tensorflow.strings.length(text), tensorflow.float32)


def _python(tensorflow: Any, _: Any) -> Any:
    return tensorflow.reshape(tensorflow.py_function(lambda: 0.0, [], tensorflow.float32), [])


def _prints(tensorflow: Any, _: Any) -> Any:
    tensorflow.print("hello")
    return tensorflow.constant(0.0)


def _loops(tensorflow: Any, image: Any) -> Any:
    (found,) = tensorflow.while_loop(
        lambda x: x < 1e30, lambda x: [x * 0.5], [tensorflow.reduce_max(image)]
    )
    return found


def _fills(tensorflow: Any, image: Any) -> Any:
    side = tensorflow.cast(tensorflow.reduce_max(image), tensorflow.int32) * 0 + 100_000
    return tensorflow.reduce_max(tensorflow.fill([side, side], 0.0))


def _enlarges(tensorflow: Any, image: Any) -> Any:
    return tensorflow.reduce_min(tensorflow.image.resize(image, [19_200, 28_800])) * 0


def _tiles(tensorflow: Any, image: Any) -> Any:
    return tensorflow.reduce_min(tensorflow.tile(image, [1, 300, 300, 1])) * 0


def _reads_variables(tensorflow: Any, _: Any) -> Any:
    (found,) = tensorflow.raw_ops.RestoreV2(
        prefix="/tmp/x", tensor_names=["x"], shape_and_slices=[""], dtypes=[tensorflow.float32]
    )
    return tensorflow.reduce_max(found)


def _nodes(model: Any) -> Any:
    graph = model.meta_graphs[0].graph_def
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _recursive(model: Any) -> None:
    names = {f.signature.name for f in model.meta_graphs[0].graph_def.library.function}
    inner = next(name for name in names if "wrapper" in name)
    for function in model.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if node.op == "StatefulPartitionedCall":
                node.attr["f"].func.name = inner


def _constants(change: Callable[[Any], object]) -> Forge:
    return _graph(lambda m: [change(n.attr["value"].tensor) for n in _nodes(m) if n.op == "Const"])


def _set_shape(tensor: Any, *sizes: int) -> None:
    del tensor.tensor_shape.dim[:]
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)


def _objects(change: Callable[[Any], object]) -> Forge:
    return _graph(lambda model: change(model.meta_graphs[0].object_graph_def.nodes))


def _asset_outside(model: Any) -> None:
    meta = model.meta_graphs[0]
    asset = meta.asset_file_def.add()
    asset.filename, asset.tensor_info.name = "../../../../etc/passwd", "Const:0"


def _text_instead(path: Path) -> None:
    import_tensorflow()
    from google.protobuf import text_format  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(model))
    (path / "saved_model.pb").unlink()


def _variables(change: Callable[[Path], object]) -> Forge:
    return lambda path: change(next((path / "variables").glob("*.data*")))


def _linked_out(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


SAVED_MODEL: dict[str, Forge] = {
    "writes a file": _rewritten(_write_file),
    "reads a file": _rewritten(_read_file),
    "calls Python": _rewritten(_python),
    "prints": _rewritten(_prints),
    "restores variables from elsewhere": _rewritten(_reads_variables),
    "a loop that never ends": _rewritten(_loops),
    "an array of 10^10 values": _rewritten(_fills),
    "enlarges the picture 300 times": _rewritten(_enlarges),
    "tiles the picture 10^5 times": _rewritten(_tiles),
    "functions that call themselves": _graph(_recursive),
    "constants of 10^10 values": _constants(lambda t: _set_shape(t, 10**5, 10**5)),
    "constants of 2^80 values": _constants(lambda t: _set_shape(t, 2**40, 2**40)),
    "constants of -5 values": _constants(lambda t: _set_shape(t, -5)),
    "constants without a value": _constants(lambda t: t.Clear()),
    "an unknown operation": _graph(
        lambda m: each((n for n in _nodes(m) if n.op == "Conv2D"), "op", "Evil")
    ),
    "operations without inputs": _graph(
        lambda m: [n.ClearField("input") for n in _nodes(m) if n.op == "Conv2D"]
    ),
    "operations of what is not there": _graph(
        lambda m: [n.input.__setitem__(0, "nothing:0") for n in _nodes(m) if n.op == "Conv2D"]
    ),
    "strides of 0": _graph(
        lambda m: [
            n.attr["strides"].list.i.__setitem__(slice(0, 4), [1, 0, 0, 1])
            for n in _nodes(m)
            if n.op == "Conv2D"
        ]
    ),
    "variables of 2^80 values": _objects(lambda nodes: _set_shapes(nodes, 2**40)),
    "variables of 10^10 values": _objects(lambda nodes: _set_shapes(nodes, 10**5)),
    "objects of no object": _objects(
        lambda nodes: each((c for n in nodes for c in n.children), "node_id", 10**6)
    ),
    "objects in a circle": _objects(
        lambda nodes: each((c for n in nodes for c in n.children), "node_id", 0)
    ),
    "no objects": _graph(lambda m: m.meta_graphs[0].ClearField("object_graph_def")),
    "no graphs": _graph(lambda m: m.ClearField("meta_graphs")),
    "no signature": _graph(lambda m: m.meta_graphs[0].signature_def.clear()),
    "assets that lead out": _graph(_asset_outside),
    "a text for the protobuf": _text_instead,
    "variables: missing": _variables(lambda file: file.unlink()),
    "variables: nothing in it": _variables(lambda file: file.write_bytes(b"")),
    "variables: a link that leads out": _variables(_linked_out),
    "variables: half": _variables(lambda file: file.write_bytes(file.read_bytes()[:70_000])),
    "a contract file that is a list": lambda path: (path / SAVED_MODEL_CONTRACT).write_text(
        f'["{BLANK_SEAL}"]'
    ),
    "a contract file nested 100,000 times": lambda path: (path / SAVED_MODEL_CONTRACT).write_text(
        "[" * 100_000 + f'"{BLANK_SEAL}"'
    ),
    "a contract that is a number": lambda path: (path / SAVED_MODEL_CONTRACT).write_text(
        json.dumps({CONTRACT: 5, "pocketface.seal": BLANK_SEAL})
    ),
}


def _set_shapes(nodes: Any, side: int) -> None:
    """Make all variables squares."""
    for node in nodes:
        if node.WhichOneof("kind") == "variable":
            del node.variable.shape.dim[:]
            for _ in range(2):
                node.variable.shape.dim.add(size=side)


def _config(change: Callable[[dict[str, Any]], object]) -> Forge:
    def edit(parts: dict[str, bytes]) -> None:
        config = json.loads(parts["config.json"])
        change(config)
        parts["config.json"] = json.dumps(config).encode()

    return members(edit)


def _layers(kind: str, **values: Any) -> Forge:
    def change(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"]:
            if layer["class_name"] == kind:
                layer["config"].update(values)

    return _config(change)


def _layer_is(**fields: Any) -> Forge:
    """Make the first ReLU something else."""

    def change(config: dict[str, Any]) -> None:
        layer = next(one for one in config["config"]["layers"] if one["class_name"] == "Relu")
        layer.update({"registered_name": None} | fields)
        layer["config"] = {"name": layer["name"]} | fields.get("config", {})

    return _config(change)


def _weights(change: Callable[[Any], object]) -> Forge:
    def edit(parts: dict[str, bytes]) -> None:
        import h5py  # type: ignore[import-untyped]

        held = io.BytesIO(parts["model.weights.h5"])
        with h5py.File(held, "r+") as file:
            change(file)
        parts["model.weights.h5"] = held.getvalue()

    return members(edit)


def _dataset(file: Any) -> tuple[Any, str]:
    """The group and name of a kernel."""
    found: list[str] = []
    file.visititems(lambda name, one: found.append(name) if getattr(one, "ndim", 0) == 4 else None)
    group, name = found[0].rsplit("/", 1)
    return file[group], name


def _replaced(make: Callable[[Any, str, Any], object]) -> Forge:
    def change(file: Any) -> None:
        group, name = _dataset(file)
        old = group[name][()]
        del group[name]
        make(group, name, old)

    return _weights(change)


def _bomb(group: Any, name: str, _: Any) -> None:
    group.create_dataset(
        name, (30_000, 30_000), "f4", chunks=(1000, 1000), compression="gzip", fillvalue=0
    )


def _external(group: Any, name: str, old: Any) -> None:
    group.create_dataset(name, old.shape, "f4", external=[("/etc/passwd", 0, old.nbytes)])


def _link(group: Any, name: str, _: Any) -> None:
    import h5py

    group[name] = h5py.ExternalLink("/tmp/other.h5", "/x")


_LAMBDA = {
    "class_name": "__lambda__",
    "config": {"code": "4wEAAAAAAAAAAAAA", "defaults": None, "closure": None},
}


def _zeros_for_weights(path: Path) -> None:
    members(lambda parts: parts.pop("model.weights.h5"))(path)
    with_zeros("model.weights.h5", 2_500 << 20)(path)


KERAS: dict[str, Forge] = {
    "a member that unpacks to 2.5 GB": with_zeros("assets/x", 2_500 << 20),
    "weights that unpack to 2.5 GB": _zeros_for_weights,
    "a member that leads out": members(lambda parts: parts.update({"../../x": b"x"})),
    "an absolute member": members(lambda parts: parts.update({"/tmp/x": b"x"})),
    "a Lambda layer": _layer_is(
        module="keras.layers", class_name="Lambda", config={"function": _LAMBDA}
    ),
    "a layer of another module": _layer_is(module="os", class_name="system"),
    "a layer of somebody's own": _layer_is(
        module="evil", class_name="Evil", registered_name="evil>Evil"
    ),
    "a layer that opens a SavedModel": _layer_is(
        module="keras.layers", class_name="TFSMLayer", config={"filepath": "/tmp/x"}
    ),
    "a layer that reads a vocabulary": _layer_is(
        module="keras.layers", class_name="StringLookup", config={"vocabulary": "/etc/passwd"}
    ),
    "a layer that downloads": _layer_is(
        module="keras.utils", class_name="get_file", config={"fname": "x", "origin": "file:///etc"}
    ),
    "a function of the interpreter": _layer_is(module="builtins", class_name="exec"),
    "10^9 filters": _layers("Conv2D", filters=10**9),
    "50,000 filters": _layers("Conv2D", filters=50_000),
    "-1 filters": _layers("Conv2D", filters=-1),
    "a kernel of 10^6": _layers("Conv2D", kernel_size=[10**6, 10**6]),
    "strides of 0": _layers("Conv2D", strides=[0, 0]),
    "padding of 30,000": _layers("ZeroPadding2D", padding=[[30_000, 0], [30_000, 0]]),
    "an input of 10^12 pixels": _layers("InputLayer", batch_shape=[None, 10**6, 10**6, 3]),
    "an input of -1": _layers("InputLayer", batch_shape=[None, -1, -1, 3]),
    "an input of wrong type": _layers("InputLayer", batch_shape="big"),
    "no layers": _config(lambda config: config["config"].update(layers=[])),
    "outputs that are not there": _config(
        lambda config: config["config"].update(output_layers=["nothing", 0, 0])
    ),
    "a configuration that is a list": members(lambda parts: parts.update({"config.json": b"[]"})),
    "a configuration nested 100,000 times": members(
        lambda parts: parts.update({"config.json": b"[" * 100_000})
    ),
    "a configuration of 10^5 layers in layers": members(
        lambda parts: parts.update({"config.json": b'{"config":' * 900 + b"1" + b"}" * 900})
    ),
    "no configuration": members(lambda parts: parts.pop("config.json")),
    "no metadata": members(lambda parts: parts.pop("metadata.json")),
    "no weights": members(lambda parts: parts.pop("model.weights.h5")),
    "weights: another kind of file": members(
        lambda parts: parts.update({"model.weights.h5": b"hello" * 1000})
    ),
    "weights: an array of 30,000 x 30,000": _replaced(_bomb),
    "weights: an array in another file": _replaced(_external),
    "weights: a link to another file": _replaced(_link),
    "weights: an array of texts": _replaced(
        lambda group, name, _: group.create_dataset(name, data=[b"a", b"b"])
    ),
    "weights: an array of another shape": _replaced(
        lambda group, name, old: group.create_dataset(name, data=old.ravel())
    ),
    "weights: an array is gone": _replaced(lambda *_: None),
    "weights: a group for an array": _replaced(lambda group, name, _: group.create_group(name)),
    "weights: not numbers": _replaced(
        lambda group, name, old: group.create_dataset(name, data=old * np.nan)
    ),
    "a contract that is no text": members(
        lambda parts: parts.update({"pocketface.json": b"\xff\xfe\x00"})
    ),
}
