"""TensorFlow: SavedModel folders, `.savedmodel`, and `.keras` files."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError, ModelFileError, UserError
from ..files import path_in_utf8
from ..model_templates.contract import CONTRACT_KEY
from ..models.file_checks import reason
from ..quiet import IMPORTING, quiet
from .keras_file import check_config, check_sizes, check_weights
from .saved_model_graph import check_arrays, check_operations
from .seal import SAVED_MODEL_CONTRACT
from .session import Outputs, Session, Shape

SIGNATURE = "serving_default"
"""Name of a SavedModel's signature, which TensorFlow Serving calls by default."""

KERAS_CONTRACT = "pocketface.json"
"""Name of the contract's file in a `.keras` archive."""

_DEVICES = {"cpu": "CPU", "gpu": "GPU", "cuda": "GPU"}


def open_session(path: Path, *, threads: int | None, device: str) -> Session:
    """Open a SavedModel or a Keras file.

    Args:
        path: The `.savedmodel` folder or `.keras` file.
        threads: Threads for one inference, the same in the whole process; None for one per core.
        device: "cpu", or "gpu" (also called "cuda").

    Raises:
        MissingPackageError: TensorFlow is not installed.
        ModelFileError: TensorFlow cannot load the file.
        UserError: The device does not exist, or the process has another number of threads already.
    """
    tensorflow = import_tensorflow()
    _check_device(tensorflow, device)
    _set_threads(tensorflow, threads)
    place = f"/{_DEVICES[device]}:0"
    opener = _open_saved_model if path.is_dir() else _open_keras
    try:
        with quiet(), tensorflow.device(place):
            contract_json, inputs, outputs, call = opener(tensorflow, path)
    except (ModelFileError, UserError):
        raise
    except Exception as error:  # TensorFlow raises many kinds of exceptions
        raise ModelFileError(
            f"{path}: TensorFlow cannot load it, is it whole? {reason(error)}"
        ) from error

    def run(batch: NDArray[np.float32]) -> Outputs:
        with tensorflow.device(place):
            found = call(tensorflow.constant(batch.transpose(0, 2, 3, 1)))
        return {name: tensor.numpy() for name, tensor in found.items()}

    return Session(
        runtime="tensorflow",
        device=device,
        contract_json=contract_json,
        input_shapes=inputs,
        output_shapes=outputs,
        run=run,
    )


def import_tensorflow() -> Any:
    """Import TensorFlow without its start-up messages.

    Raises:
        MissingPackageError: TensorFlow is not installed.
        UserError: KERAS_BACKEND names another backend.
    """
    # Both are read only at the import: the first silences messages on instruction sets and GPUs;
    # the second sets Keras's backend, whatever ~/.keras/keras.json says.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise UserError(f"environment variable KERAS_BACKEND: {backend!r}: expected 'tensorflow'")
    with IMPORTING, quiet():
        try:
            import tensorflow  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingPackageError("tensorflow") from error
    return tensorflow


def import_keras() -> Any:
    """Import Keras on TensorFlow.

    Raises:
        MissingPackageError: TensorFlow is not installed.
        UserError: Keras runs on another backend in this process.
    """
    import_tensorflow()
    with IMPORTING, quiet():
        import keras  # type: ignore[import-untyped]
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UserError(f"Keras runs on {backend!r} in this process: expected 'tensorflow'")
    return keras


_Opened = tuple[str | None, dict[str, Shape], dict[str, Shape], Callable[[Any], dict[str, Any]]]


def _open_saved_model(tensorflow: Any, path: Path) -> _Opened:
    check_operations(path)
    with path_in_utf8(path) as plain:
        loaded = tensorflow.saved_model.load(str(plain))
    if SIGNATURE not in loaded.signatures:
        raise ModelFileError(f"{path}: has no signature {SIGNATURE}, as ours have")
    function = loaded.signatures[SIGNATURE]
    check_arrays(function, path)
    inputs = {
        name: _shape(spec.shape) for name, spec in function.structured_input_signature[1].items()
    }
    outputs = {name: _shape(spec.shape) for name, spec in function.structured_outputs.items()}
    (name,) = inputs if len(inputs) == 1 else [""]
    # `loaded` is kept, as only it keeps the variables alive.
    contract = _contract(path)
    return contract, inputs, outputs, lambda image, _kept=loaded: function(**{name: image})


def _contract(path: Path) -> str | None:
    """The contract of a SavedModel."""
    file = path / SAVED_MODEL_CONTRACT
    if not file.exists():
        return None
    entries = json.loads(file.read_bytes())
    if not isinstance(entries, dict) or not isinstance(entries.get(CONTRACT_KEY, ""), str):
        raise ModelFileError(f"{path}: {file.name}: expected texts by name")
    return entries.get(CONTRACT_KEY)


def _open_keras(tensorflow: Any, path: Path) -> _Opened:
    keras = import_keras()
    with zipfile.ZipFile(path) as archive:
        named = KERAS_CONTRACT in archive.namelist()
        text = archive.read(KERAS_CONTRACT).decode() if named else None
        config = check_config(archive, path)
        check_weights(archive, path)
    check_sizes(keras, config, path)
    model = keras.saving.load_model(path, compile=False)
    inputs = {tensor.name: _shape(tensor.shape) for tensor in model.inputs}
    answers = _by_name(model.output, model.outputs)
    outputs = {name: _shape(tensor.shape) for name, tensor in answers.items()}
    function = tensorflow.function(
        lambda image: _by_name(model(image, training=False), model.outputs)
    )
    return text, inputs, outputs, function


def _by_name(answers: Any, described: list[Any]) -> dict[str, Any]:
    """Answers by name; third-party models may answer with one tensor or a list."""
    if isinstance(answers, dict):
        return answers
    parts = list(answers) if isinstance(answers, list | tuple) else [answers]
    return {one.name: part for one, part in zip(described, parts, strict=True)}


def _check_device(tensorflow: Any, device: str) -> None:
    able = [
        name for name, kind in _DEVICES.items() if tensorflow.config.list_physical_devices(kind)
    ]
    if device not in able:
        raise UserError(
            f"device {device!r}: not usable by TensorFlow here; expected one of {', '.join(able)}"
        )


def _set_threads(tensorflow: Any, threads: int | None) -> None:
    if threads is None:
        return
    settings = tensorflow.config.threading
    try:
        settings.set_intra_op_parallelism_threads(threads)
        settings.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        used = settings.get_intra_op_parallelism_threads()
        if used != threads:
            raise UserError(
                f"threads {threads}: TensorFlow takes one number per process, and this one has "
                f"{used or 'one per core'}"
            ) from error


def _shape(shape: Any) -> Shape:
    return tuple(-1 if size is None else int(size) for size in shape)
