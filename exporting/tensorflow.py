"""TensorFlow: a SavedModel and a `.keras` file of the network's Keras twin."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from ..files import atomic_write, path_in_utf8
from ..model_templates.contract import CONTRACT_KEY, Contract
from ..quiet import quiet
from ..runtimes.seal import BLANK_SEAL, SAVED_MODEL_CONTRACT, SEAL_KEY, seal
from ..runtimes.tensorflow import KERAS_CONTRACT, SIGNATURE, import_keras, import_tensorflow
from .archive import embed_in_archive
from .formats import Order

_OBJECT = re.compile(rb'("shared_object_id": )(\d+)')
"""In a Keras file's configuration, what tells which layers have one object in common."""


def convert(order: Order) -> list[Path]:
    """Write `<stem>.savedmodel` and `<stem>.keras`: float32 `image` (B, H, W, 3), 0-255, BGR.

    The SavedModel, a folder, has the signature `serving_default`, as TensorFlow Serving and the
    converter of TensorFlow.js expect; the Keras model can be trained further. NMS cannot be
    inside.

    Raises:
        MissingPackageError: TensorFlow is not installed.
        UserError: An operation of the network has no Keras version.
    """
    from .keras_twin import keras_twin

    import_keras()

    contract = order.contract.channels_last(batch=-1)
    saved_model = order.folder / f"{order.stem}.savedmodel"
    keras_file = order.folder / f"{order.stem}.keras"
    with quiet():  # Keras prints what it exports
        twin = keras_twin(order.network, contract)
        twin.save(keras_file)
        _save(twin, contract, saved_model)
    _forget_the_process(keras_file)
    for path in (saved_model, keras_file):
        embed(path, contract)
    return [saved_model, keras_file]


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of a file that `convert` wrote."""
    if not path.is_dir():
        embed_in_archive(path, contract, member=KERAS_CONTRACT, compression=zipfile.ZIP_DEFLATED)
        return
    target = path / SAVED_MODEL_CONTRACT
    target.parent.mkdir(exist_ok=True)
    entries = {CONTRACT_KEY: contract.to_json(), SEAL_KEY: BLANK_SEAL}
    with atomic_write(target) as handle:
        handle.write(json.dumps(entries).encode())
    seal(path)


def _save(twin: Any, contract: Contract, path: Path) -> None:
    tensorflow = import_tensorflow()
    spec = contract.input
    signature = tensorflow.TensorSpec(
        (None, spec.height, spec.width, 3), tensorflow.float32, name=spec.name
    )
    function = tensorflow.function(lambda image: twin(image, training=False), [signature])
    module = tensorflow.Module()
    # Each variable once; Keras's own archive lists them twice.
    module.weights = [variable.value for variable in twin.variables]
    options = tensorflow.saved_model.SaveOptions(experimental_custom_gradients=False)
    with path_in_utf8(path) as plain:
        tensorflow.saved_model.save(module, str(plain), {SIGNATURE: function}, options)
    # A number of its own for each file that is saved; the rest of it are digests of the content.
    from tensorflow.core.protobuf.fingerprint_pb2 import (  # type: ignore[import-untyped]
        FingerprintDef,
    )

    file = path / "fingerprint.pb"
    fingerprint = FingerprintDef.FromString(file.read_bytes())
    fingerprint.uuid = ""
    file.write_bytes(fingerprint.SerializeToString(deterministic=True))


def _forget_the_process(path: Path) -> None:
    """Take addresses in memory and the time out of a Keras file: equal exports are equal files."""
    with zipfile.ZipFile(path) as archive:
        parts = {one.filename: archive.read(one) for one in archive.infolist()}
    addresses: dict[bytes, int] = {}

    def number(found: re.Match[bytes]) -> bytes:
        return found[1] + str(addresses.setdefault(found[2], len(addresses) + 1)).encode()

    parts["config.json"] = _OBJECT.sub(number, parts["config.json"])
    about = json.loads(parts["metadata.json"]) | {"date_saved": "1980-01-01@00:00:00"}
    parts["metadata.json"] = json.dumps(about).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
