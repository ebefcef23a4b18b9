"""The Keras twin: the network's own weights under their own names, in files for two readers."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pocketface
from pocketface.errors import ModelFileError, UserError
from pocketface.exporting import ExportRequest, export_model
from pocketface.exporting import tensorflow as tensorflow_format
from pocketface.model_templates.contract import Contract
from pocketface.models.weights import build_network, read_weights
from pocketface.runtimes import open_session
from pocketface.runtimes.tensorflow import (
    KERAS_CONTRACT,
    SIGNATURE,
    import_keras,
    import_tensorflow,
)
from pocketface.tasks.describe import contract_for
from pocketface.tools.hostile.forgeries import forge

from .conftest import no_conversion

pytest.importorskip("tensorflow", reason="needs tensorflow")

# Another package's, at its import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def contract_of(weights: Path) -> Contract:
    read = read_weights(weights)
    return contract_for(read.template, weights=read).channels_last(batch=-1)


@pytest.fixture(scope="module")
def folder(converted: Callable[[str], Path]) -> Path:
    folder = converted("tensorflow")
    assert {path.name for path in folder.iterdir() if path.suffix != ".json"} == {
        "model.savedmodel",
        "model.keras",
    }
    return folder


@pytest.fixture(scope="module")
def twin(folder: Path) -> Any:
    """As somebody opens it who has no pocketface."""
    return import_keras().saving.load_model(folder / "model.keras")


def test_weights_are_those_of_the_checkpoint(twin: Any, weights: Path) -> None:
    state = build_network(read_weights(weights)).state_dict()
    seen = 0
    for name, tensor in state.items():
        stem, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        layer = twin.get_layer(stem.replace(".", "_"))
        order = ["weight", "bias", "running_mean", "running_var"]
        found = torch.from_numpy(layer.get_weights()[order.index(kind)])
        if found.dim() == 4:
            found = found.permute(3, 2, 0, 1)
        assert torch.equal(found, tensor), name
        seen += tensor.numel()
    assert twin.count_params() == seen


def test_files_say_nothing_of_the_process_that_wrote_them(folder: Path) -> None:
    """Or equal exports would be different files."""
    with zipfile.ZipFile(folder / "model.keras") as archive:
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        about, config = (archive.read(f"{name}.json").decode() for name in ("metadata", "config"))
    assert json.loads(about)["date_saved"] == "1980-01-01@00:00:00"
    ids = re.findall(r'"shared_object_id": (\d+)', config)
    assert ids
    assert list(dict.fromkeys(ids)) == [str(one + 1) for one in range(len(set(ids)))]
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    content = (folder / "model.savedmodel" / "fingerprint.pb").read_bytes()
    fingerprint = FingerprintDef.FromString(content)
    assert fingerprint.saved_model_checksum
    assert not fingerprint.uuid


def test_the_twin_can_be_trained(twin: Any) -> None:
    tensorflow = import_tensorflow()
    image = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    with tensorflow.GradientTape() as tape:
        loss = sum(tensorflow.reduce_sum(one) for one in twin(image, training=True).values())
    gradients = tape.gradient(loss, twin.trainable_variables)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    # Of a depth of layers: not those at the end alone.
    assert np.abs(gradients[0]).max() > 0


def test_tensorflow_serving_reads_the_saved_model(folder: Path, weights: Path) -> None:
    tensorflow = import_tensorflow()
    loaded = tensorflow.saved_model.load(str(folder / "model.savedmodel"))
    function = loaded.signatures[SIGNATURE]
    ((name, spec),) = function.structured_input_signature[1].items()
    assert (name, tuple(spec.shape)) == ("image", (None, 64, 96, 3))
    image = np.random.default_rng(1).uniform(0, 255, (3, 3, 64, 96)).astype(np.float32)
    expected = pocketface.load(weights).raw(image)
    found = function(image=tensorflow.constant(image.transpose(0, 2, 3, 1)))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name].numpy(), array, atol=1e-3, rtol=0)


@pytest.mark.parametrize("head", ["fcos", "ssd"])
def test_other_heads(
    make_weights: Callable[..., Path], texts: dict[str, str], tmp_path: Path, head: str
) -> None:
    """The latter behind a backbone that halves channels, shuffles them, and pools.

    In a folder whose name is not UTF-8, which is all that TensorFlow takes.
    """
    text = texts[head]
    if head == "ssd":
        start, end = text.index("    type: plain\n"), text.index("  neck:")
        shuffling = "    type: shufflenet_v2\n    outputs: [116]\n"
        text = text[:start] + shuffling + text[end:]
    weights = make_weights(tmp_path, text)
    request = ExportRequest(
        weights=read_weights(weights),
        folder=tmp_path / os.fsdecode(b"mod\xe8les"),
        formats=["tensorflow"],
    )
    report = export_model(request)
    assert [row.status for row in report.files] == ["passed", "passed"]


def test_fp16_is_told_to_be_out_of_reach(
    weights: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_conversion(monkeypatch, tensorflow_format, folder)
    request = ExportRequest(
        weights=read_weights(weights),
        folder=tmp_path,
        formats=["tensorflow", "onnx"],
        precisions=["fp32", "fp16"],
        verify=False,
    )
    report = export_model(request)
    assert [(row.format, row.precision, row.status, row.reason) for row in report.files] == [
        ("tensorflow", "fp32", "unchecked", None),
        ("tensorflow", "fp32", "unchecked", None),
        ("onnx", "fp32", "unchecked", None),
        ("tensorflow", "fp16", "skipped", "expected fp32 in this format"),
        ("onnx", "fp16", "unchecked", None),
    ]
    assert not report.failed


def test_an_operation_without_twin_is_named(weights: Path) -> None:
    from pocketface.exporting.keras_twin import keras_twin

    network = build_network(read_weights(weights))
    network.backbone.register_forward_hook(lambda _, __, maps: [one.erf() for one in maps])
    with pytest.raises(UserError, match=r"operation aten\.erf\.default has no twin"):
        keras_twin(network, contract_of(weights))


def test_other_peoples_files_are_refused(folder: Path, tmp_path: Path, twin: Any) -> None:
    twin.save(tmp_path / "model.keras")
    with pytest.raises(pocketface.ContractError, match="carries no pocketface contract"):
        pocketface.load(tmp_path / "model.keras")
    text = (folder / "model.savedmodel" / "assets.extra" / "pocketface.json").read_text()
    assert json.loads(text).keys() == {"pocketface.contract", "pocketface.seal"}
    (tmp_path / "empty.savedmodel").mkdir()
    with pytest.raises(ModelFileError, match="no SavedModel, or damaged"):
        pocketface.load(tmp_path / "empty.savedmodel")


@pytest.mark.parametrize(
    ("name", "forgery", "message"),
    [
        ("model.savedmodel", "writes a file", "operation 'WriteFile': expected arithmetic alone"),
        ("model.savedmodel", "reads a file", "operation 'ReadFile': expected arithmetic alone"),
        ("model.keras", "a Lambda layer", "'keras.layers Lambda': expected layers of arithmetic"),
        ("model.keras", "weights: an array in another file", "are in another file"),
    ],
)
def test_programs_are_refused(
    folder: Path, tmp_path: Path, name: str, forgery: str, message: str
) -> None:
    forge(folder / name, tmp_path / name, forgery)
    with pytest.raises(ModelFileError, match=message):
        pocketface.load(tmp_path / name)


def test_the_archive_is_a_sound_one(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.keras") as archive:
        assert archive.testzip() is None
        assert archive.namelist().count(KERAS_CONTRACT) == 1


def test_threads_are_those_of_the_process(folder: Path) -> None:
    import_tensorflow().constant(0)  # from here on they cannot be changed
    with pytest.raises(UserError, match="threads 61: TensorFlow takes one number per process"):
        pocketface.load(folder / "model.keras", threads=61)


def test_another_backend_of_keras_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_keras().backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="Keras runs on 'jax' in this process: expected 'tensorf"):
        pocketface.load(folder / "model.keras")
    monkeypatch.setenv("KERAS_BACKEND", "foo")
    with pytest.raises(UserError, match="variable KERAS_BACKEND: 'foo': expected 'tensorflow'"):
        pocketface.load(folder / "model.savedmodel")


def test_somebody_elses_keras_model_has_names_for_its_outputs(tmp_path: Path) -> None:
    keras = import_keras()
    image = keras.Input((8, 8, 3), name="image")
    keras.Model(image, keras.layers.Flatten(name="flat")(image)).save(tmp_path / "one.keras")
    session = open_session(tmp_path / "one.keras")
    assert list(session.output_shapes.values()) == [(-1, 192)]
    found = session.run(np.ones((1, 3, 8, 8), np.float32))
    assert found.keys() == session.output_shapes.keys()
