"""All forgeries: by suffix and name, what is done to a copy of a sound model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import (
    forged_coreml,
    forged_litert,
    forged_onnx,
    forged_openvino,
    forged_tensorflow,
    forged_torchscript,
    forged_weights,
)
from .forged_any import CONTRACTS, IN_PLACE, Forge
from .mutations import copy_model, sealed_anew

_OWN: dict[str, dict[str, Forge]] = {
    ".xml": forged_openvino.FORGERIES,
    ".onnx": forged_onnx.FORGERIES,
    ".mlmodel": forged_coreml.MLMODEL,
    ".mlpackage": forged_coreml.MLPACKAGE,
    ".tflite": forged_litert.FORGERIES,
    ".savedmodel": forged_tensorflow.SAVED_MODEL,
    ".keras": forged_tensorflow.KERAS,
    ".pt": forged_torchscript.FORGERIES,
    ".pth": forged_weights.PTH,
    ".safetensors": forged_weights.SAFETENSORS,
}

_SET_CONTRACT: dict[str, Callable[[Path, Callable[[str], str]], None]] = {
    ".xml": forged_openvino.set_contract,
    ".onnx": forged_onnx.set_contract,
    ".mlmodel": forged_coreml.set_contract,
    ".mlpackage": forged_coreml.set_contract,
    ".tflite": forged_litert.set_contract,
    ".savedmodel": forged_tensorflow.set_saved_model_contract,
    ".keras": forged_tensorflow.set_keras_contract,
    ".pt": forged_torchscript.set_contract,
}


def names_for(suffix: str) -> list[str]:
    """Names of the forgeries of a format."""
    contracts = CONTRACTS if suffix in _SET_CONTRACT else {}
    return [*IN_PLACE, *contracts, *_OWN[suffix]]


def forge(path: Path, copy: Path, name: str) -> None:
    """Write a forged copy of a model, sealed anew where a seal can be.

    Args:
        path: The sound model.
        copy: Where the copy goes, with the same suffix.
        name: One of `names_for`.
    """
    copy_model(path, copy)
    if name in IN_PLACE:
        IN_PLACE[name](copy)
        return
    if name in CONTRACTS and path.suffix in _SET_CONTRACT:
        _SET_CONTRACT[path.suffix](copy, CONTRACTS[name])
    else:
        _OWN[path.suffix][name](copy)
    sealed_anew(copy)
