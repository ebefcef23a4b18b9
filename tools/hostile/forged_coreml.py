"""Forged `.mlmodel` files and `.mlpackage` folders."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pocketface.runtimes.coreml import read_spec
from pocketface.runtimes.seal import model_files

from .forged_any import Forge


def set_contract(path: Path, change: Callable[[str], str]) -> None:
    """Change the contract of a file."""

    def edit(spec: Any) -> None:
        about = spec.description.metadata.userDefined
        about["pocketface.contract"] = change(about["pocketface.contract"])

    _edit(edit)(path)


def _edit(change: Callable[[Any], object]) -> Forge:
    def forge(path: Path) -> None:
        spec = read_spec(path)
        change(spec)
        model_files(path)[0].write_bytes(spec.SerializeToString())

    return forge


def _layer(kind: str, change: Callable[[Any], object]) -> Forge:
    def edit(spec: Any) -> None:
        layers = spec.neuralNetwork.layers
        change(getattr(next(one for one in layers if one.WhichOneof("layer") == kind), kind))

    return _edit(edit)


def _set(field: str, value: Any) -> Callable[[Any], object]:
    def change(message: Any) -> None:
        *way, last = field.split(".")
        for name in way:
            message = getattr(message, name)
        if isinstance(value, list):
            del getattr(message, last)[:]
            getattr(message, last).extend(value)
        else:
            setattr(message, last, value)

    return change


def _picture(height: int, width: int) -> Forge:
    def edit(spec: Any) -> None:
        image = spec.description.input[0].type.imageType
        image.height, image.width = height, width

    return _edit(edit)


def _padded(params: Any) -> None:
    for amount in params.valid.paddingAmounts.borderAmounts:
        amount.startEdgeSize = 30_000


def _nested_pipelines(spec: Any) -> None:
    inner = type(spec)()
    inner.CopyFrom(spec)
    for _ in range(45):
        outer = type(spec)()
        outer.description.CopyFrom(spec.description)
        outer.pipeline.models.add().CopyFrom(inner)
        inner = outer
    spec.CopyFrom(inner)


def _too_many_bits(params: Any) -> None:
    weights = params.weights
    weights.ClearField("floatValue")
    weights.rawValue = b"\1" * 64
    weights.quantization.numberOfBits = 2**40
    weights.quantization.linearQuantization.scale.append(1)


def _half_weights(params: Any) -> None:
    del params.weights.floatValue[len(params.weights.floatValue) // 2 :]


def _odd_half_floats(params: Any) -> None:
    params.weights.ClearField("floatValue")
    params.weights.float16Value = b"123"


def _outside_package(spec: Any) -> None:
    spec.ClearField("neuralNetwork")
    block = spec.mlProgram.functions["main"].block_specializations["CoreML7"]
    spec.mlProgram.functions["main"].opset = "CoreML7"
    operation = block.operations.add(type="const")
    operation.outputs.add(name="x")
    value = operation.attributes["val"]
    value.type.tensorType.dataType = 11
    value.blobFileValue.fileName = "@model_path/secret.bin"


def _output_gone(spec: Any) -> None:
    del spec.description.output[0]


def _output_renamed(spec: Any) -> None:
    spec.neuralNetwork.layers[-1].output[0] = "elsewhere"


MLMODEL: dict[str, Forge] = {
    "2^40 output channels": _layer("convolution", _set("outputChannels", 2**40)),
    "2^63 output channels": _layer("convolution", _set("outputChannels", 2**63)),
    "no kernel channels": _layer("convolution", _set("kernelChannels", 0)),
    "a kernel of one size": _layer("convolution", _set("kernelSize", [3])),
    "a kernel of 2^62": _layer("convolution", _set("kernelSize", [2**62, 2**62])),
    "a stride of 0": _layer("convolution", _set("stride", [0, 0])),
    "2^40 groups": _layer("convolution", _set("nGroups", 2**40)),
    "padding of 30,000": _layer("convolution", _padded),
    "half of the weights": _layer("convolution", _half_weights),
    "weights of 1.5 numbers": _layer("convolution", _odd_half_floats),
    "weights of 2^40 bits": _layer("convolution", _too_many_bits),
    "enlarges 1000 times": _layer("upsample", _set("scalingFactor", [1000, 1000])),
    "enlarges 10^9 times": _layer("upsample", _set("scalingFactor", [10**9, 10**9])),
    "a constant of 2^80 values": _layer("loadConstantND", _set("shape", [2**40, 2**40])),
    "a shape of -5": _layer("reshapeStatic", _set("targetShape", [-5, 2])),
    "axes that are not there": _layer("transpose", _set("axes", [7, 8, 9])),
    "a layer without inputs": _edit(lambda spec: spec.neuralNetwork.layers[5].ClearField("input")),
    "a layer of what is not there": _edit(
        lambda spec: _set("input", ["nothing"])(spec.neuralNetwork.layers[5])
    ),
    "a layer of somebody's own": _edit(
        lambda spec: _set("custom.className", "Evil")(spec.neuralNetwork.layers[5])
    ),
    "no layers": _edit(lambda spec: spec.neuralNetwork.ClearField("layers")),
    "a model of somebody's own": _edit(_set("customModel.className", "Evil")),
    "a model elsewhere": _edit(
        _set("linkedModel.linkedModelFile.linkedModelFileName.defaultValue", "../../x.mlmodel")
    ),
    "pipelines nested 45 times": _edit(_nested_pipelines),
    "an empty pipeline": _edit(lambda spec: spec.pipeline.SetInParent()),
    "weights beside the file": _edit(_outside_package),
    "an output is gone": _edit(_output_gone),
    "an output that nothing makes": _edit(_output_renamed),
    "a picture of 10^12 pixels": _picture(10**6, 10**6),
    "a picture of -1": _picture(-1, -1),
    "a picture of 0": _picture(0, 0),
}


def _operations(spec: Any) -> Any:
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return block.operations


def _operation(kind: str, change: Callable[[Any], object]) -> Forge:
    return _edit(lambda spec: change(next(o for o in _operations(spec) if o.type == kind)))


def _blobs(spec: Any) -> list[Any]:
    return [
        value.blobFileValue
        for operation in _operations(spec)
        for value in operation.attributes.values()
        if value.WhichOneof("value") == "blobFileValue"
    ]


def _blob(field: str, value: Any) -> Forge:
    return _edit(lambda spec: setattr(_blobs(spec)[0], field, value))


def _header(position: int, code: str, value: int) -> Forge:
    """Change a field in the header of the first tensor of weight.bin."""

    def forge(path: Path) -> None:
        file = _weights_of(path)
        data = bytearray(file.read_bytes())
        start = _blobs(read_spec(path))[0].offset
        struct.pack_into(code, data, start + position, value)
        file.write_bytes(data)

    return forge


def _weights_of(path: Path) -> Path:
    return model_files(path)[0].parent / "weights" / "weight.bin"


def _replaced(make: Callable[[Path], object]) -> Forge:
    def forge(path: Path) -> None:
        file = _weights_of(path)
        aside = path.with_name("aside.bin")
        file.rename(aside)
        make(file)

    return forge


def _folder_outside(path: Path) -> None:
    folder = _weights_of(path).parent
    aside = path.with_name("aside")
    folder.rename(aside)
    folder.symlink_to(aside)


def _manifest(change: Callable[[dict[str, Any]], object]) -> Forge:
    def forge(path: Path) -> None:
        file = path / "Manifest.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return forge


def _manifest_path(way: str) -> Forge:
    return _manifest(lambda c: [one.update(path=way) for one in c["itemInfoEntries"].values()])


def _manifest_text(text: str) -> Forge:
    return lambda path: (path / "Manifest.json").write_text(text)


def _dimension(operation: Any, size: int) -> None:
    for dimension in operation.attributes["val"].type.tensorType.dimensions:
        dimension.constant.size = size


def _many_files(path: Path) -> None:
    for index in range(2000):
        (path / "Data" / f"{index}").write_text("x")


MLPACKAGE: dict[str, Forge] = {
    "weights: a path that leads out": _blob("fileName", "@model_path/../../../aside.bin"),
    "weights: an absolute path": _blob("fileName", "@model_path//etc/passwd"),
    "weights: another path": _blob("fileName", "/etc/passwd"),
    "weights: a path of 100,000 letters": _blob("fileName", "@model_path/" + "a/" * 50_000),
    "weights: a path with a zero": _blob("fileName", "@model_path/a\0b"),
    "weights: a link that leads out": _replaced(
        lambda file: file.symlink_to(file.parents[4] / "aside.bin")
    ),
    "weights: a folder that leads out": _folder_outside,
    "weights: a named pipe": _replaced(os.mkfifo),
    "weights: a device": _replaced(lambda file: file.symlink_to("/dev/zero")),
    "weights: a folder": _replaced(lambda file: file.mkdir()),
    "weights: nothing in it": _replaced(lambda file: file.write_bytes(b"")),
    "weights: missing": _replaced(lambda _: None),
    "a link to the folder above": lambda path: (path / "Data" / "again").symlink_to(".."),
    "2000 files": _many_files,
    "an offset of 2^63": _blob("offset", 2**63),
    "an offset beyond the end": _blob("offset", 10**9),
    "a tensor of 2^62 bytes": _header(8, "<Q", 2**62),
    "a tensor of 10 bytes": _header(8, "<Q", 10),
    "a tensor of no known kind": _header(4, "<I", 77),
    "a tensor that begins at 2^63": _header(16, "<Q", 2**63),
    "a tensor that begins beyond the end": _header(16, "<Q", 10**9),
    "a constant of 2^80 values": _operation("const", lambda one: _dimension(one, 2**40)),
    "a constant without a value": _operation("const", lambda one: one.attributes.clear()),
    "an operation without outputs": _operation("conv", lambda one: one.ClearField("outputs")),
    "an operation without inputs": _operation("conv", lambda one: one.inputs.clear()),
    "an operation of what is not there": _operation(
        "conv", lambda one: _set("name", "nothing")(one.inputs["x"].arguments[0])
    ),
    "no main function": _edit(lambda spec: spec.mlProgram.functions.clear()),
    "outputs that are not there": _edit(
        lambda spec: [
            _set("outputs", ["nothing"])(block)
            for block in spec.mlProgram.functions["main"].block_specializations.values()
        ]
    ),
    "manifest: paths that lead out": _manifest_path("../../../../etc/passwd"),
    "manifest: absolute paths": _manifest_path("/etc/passwd"),
    "manifest: paths that are numbers": _manifest(
        lambda c: [one.update(path=7) for one in c["itemInfoEntries"].values()]
    ),
    "manifest: no entries": _manifest(lambda c: c.pop("itemInfoEntries")),
    "manifest: a list": _manifest_text("[]"),
    "manifest: nested 100,000 times": _manifest_text("[" * 100_000),
    "manifest: not JSON": _manifest_text("hello"),
    "manifest: missing": lambda path: (path / "Manifest.json").unlink(),
}
