"""What a failed export leaves behind, and what it spares."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

import pocketface
from pocketface.errors import ContractError, UserError
from pocketface.exporting import EXPORTERS, ExportRequest, export_model
from pocketface.exporting import coreml as coreml_format
from pocketface.exporting import onnx as onnx_format
from pocketface.exporting.coreml_spec import store_as_fp16
from pocketface.exporting.place import check_kept
from pocketface.models.weights import build_network, read_weights, write_weights
from pocketface.runtimes import DEFAULT_RUNTIMES
from pocketface.runtimes.seal import check_seal

from .conftest import FILES, MakeWeights, no_conversion, run


@pytest.fixture
def written_before(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files must survive the test."""
    for name in FILES:
        (tmp_path / name).write_text(f"old {name}")
    yield tmp_path
    for name in FILES:
        assert (tmp_path / name).read_text() == f"old {name}"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def fail(*_: object, **__: object) -> list[Path]:
    raise RuntimeError("disk on fire")


def test_what_works_is_kept_and_what_fails_is_named(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_format, "convert", fail)
    (tmp_path / "model.onnx").write_text("old")
    report = run(weights, tmp_path)
    assert [(row.format, row.status) for row in report.files] == [
        ("openvino", "passed"),
        ("onnx", "failed"),
    ]
    assert [row.reason for row in report.failed] == ["RuntimeError: disk on fire"]
    assert pocketface.load(tmp_path / "model.xml").contract.name == "tiny"
    assert (tmp_path / "model.onnx").read_text() == "old"


def test_a_file_that_differs_is_marked_failed(
    weights: Path,
    make_weights: MakeWeights,
    written_before: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exporters are given another network than the one that is compared."""
    other = build_network(read_weights(make_weights(tmp_path_factory.mktemp("other"), seed=1)))
    true = onnx_format.trace
    monkeypatch.setattr(onnx_format, "trace", lambda _, contract: true(other, contract))
    report = run(weights, written_before)
    names = [row.file.name for row in report.failed if row.file is not None]
    assert names == ["model-failed.xml", "model-failed.onnx"]
    for row in report.failed:
        assert row.reason is not None
        assert "differ by" in row.reason
        assert row.file is not None
        assert check_seal(row.file)
        parity = pocketface.load(row.file).contract.parity
        assert parity is not None
        assert parity.status == "failed"
        assert (written_before / f"{row.file.name}.parity.json").is_file()


def test_a_file_that_our_own_loader_refuses_has_failed(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no format was asked for by name."""

    def refuse(path: Path, _: object) -> None:
        raise ContractError(f"{path}: contract does not fit")

    monkeypatch.setattr("pocketface.exporting.verify.check", refuse)
    report = run(weights, tmp_path, formats=None)
    (row,) = [row for row in report.files if row.format == "onnx"]
    assert row.status == "failed"
    assert row.reason == f"{tmp_path}/model.onnx: contract does not fit"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.xml", "model_nms.xml", "model-failed.xml"])
def test_weights_of_others_are_not_replaced_by_what_is_made_of_them(
    weights: Path, tmp_path: Path, name: str
) -> None:
    """OpenVINO's own are named as our files are."""
    theirs = tmp_path / name
    parts = [theirs, theirs.with_suffix(".bin")]
    for part in parts:
        part.write_text("theirs")
    read = replace(read_weights(weights), path=theirs)
    options: dict[str, Any] = {"weights": read, "with_nms": True, "verify": False}
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for folder in (tmp_path, link):
        with pytest.raises(UserError) as caught:
            export_model(ExportRequest(folder=folder, formats=["onnx", "openvino"], **options))
        message = f"--save-model-to {folder / name}: is one of the files to be read"
        assert str(caught.value) == message
    assert [part.read_text() for part in parts] == ["theirs", "theirs"]
    asked: dict[str, Any] = {"precisions": ["fp32"]}
    check_kept(read, tmp_path, "--to", formats=["onnx"], **asked)
    with pytest.raises(UserError, match=f"--to .*{name}: is one of"):
        check_kept(replace(read, path=parts[1]), tmp_path, "--to", formats=["openvino"], **asked)


def test_a_model_of_another_template_stays(weights: Path, tmp_path: Path) -> None:
    run(weights, tmp_path, formats=["onnx"], verify=False)
    before = (tmp_path / "model.onnx").read_bytes()
    read = read_weights(weights)
    other = replace(read, template=read.template.model_copy(update={"name": "other"}))
    options: dict[str, Any] = {"weights": other, "verify": False}
    with pytest.raises(UserError) as caught:
        export_model(ExportRequest(folder=tmp_path, formats=["openvino", "onnx"], **options))
    assert str(caught.value) == (
        f"--save-model-to {tmp_path}: holds model.onnx of tiny; expected of other or none"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == before
    # What is not written over does not matter.
    check_kept(other, tmp_path, "--to", formats=["openvino"], precisions=["fp32"])


def test_each_format_knows_the_names_of_its_files() -> None:
    written = {suffix for one in EXPORTERS.values() for suffix in one.suffixes}
    opened = {one for one, runtime in DEFAULT_RUNTIMES.items() if runtime != "torch"}
    assert written == opened | {".bin"}


def test_a_new_file_does_not_stand_beside_old_ones(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx.parity.json").write_text("old")
    for name in ("model-failed.onnx", "model-failed.onnx.parity.json"):
        (tmp_path / name).write_text("old")
    run(weights, tmp_path, formats=["onnx"], verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_is_in_the_way_stays(weights: Path, tmp_path: Path) -> None:
    """A user's own things that happen to have the name of a file to be written."""
    (tmp_path / "model.onnx").mkdir()
    (tmp_path / "model.onnx" / "thesis.txt").write_text("precious")
    (tmp_path / "model.bin").mkdir()
    report = run(weights, tmp_path, verify=False)
    assert [(row.format, row.status) for row in report.files] == [
        ("openvino", "failed"),
        ("onnx", "failed"),
    ]
    reasons = [str(row.reason) for row in report.files]
    assert "model.bin: is a folder, in the place of a file to be written" in reasons[0]
    assert "model.onnx: is a folder" in reasons[1]
    assert (tmp_path / "model.onnx" / "thesis.txt").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.onnx"]


def test_a_folder_gives_way_only_to_another_of_its_kind(
    weights: Path,
    converted: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_conversion(monkeypatch, coreml_format, converted("coreml"))
    place = tmp_path / "model.mlpackage"
    place.mkdir()
    (place / "thesis.txt").write_text("precious")
    options: dict[str, Any] = {"formats": ["coreml"], "verify": False}
    report = run(weights, tmp_path, **options)
    assert [path.name for path in report.paths] == ["model.mlmodel"]
    (failed,) = report.failed
    assert "model.mlpackage: is a folder, but no model that this" in str(failed.reason)
    assert (place / "thesis.txt").read_text() == "precious"
    (place / "thesis.txt").unlink()
    assert not run(weights, tmp_path, **options).failed
    assert not run(weights, tmp_path, **options).failed  # and again, onto the first
    assert pocketface.load(place).contract.name == "tiny"


def test_a_kernel_beyond_16_bits_is_clipped() -> None:
    coremltools = pytest.importorskip("coremltools", reason="needs coremltools")
    spec = coremltools.proto.Model_pb2.Model()
    weights = spec.neuralNetwork.layers.add().convolution.weights
    weights.floatValue.extend([1e6, -1e6, 0.5])
    store_as_fp16(spec)
    assert np.frombuffer(weights.float16Value, "<f2").tolist() == [65504, -65504, 0.5]


def test_a_kernel_beyond_16_bits_is_clipped_in_onnx_files_too(
    weights: Path, tmp_path: Path
) -> None:
    read = read_weights(weights)
    state = {name: tensor.clone() for name, tensor in read.state_dict.items()}
    kernel = next(name for name in state if name.startswith("head.") and state[name].ndim == 4)
    state[kernel].view(-1)[0] = 1e9
    large = tmp_path / "large.safetensors"
    write_weights(large, template_text=read.template_text, state_dict=state, epochs=0)
    options: dict[str, Any] = {"formats": ["onnx"], "precisions": ["fp16"], "verify": False}
    (path,) = run(large, tmp_path / "out", **options).paths
    kept = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT16
    ]
    assert max(float(np.abs(one).max()) for one in kept) == 65504


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_converter_swallows_ends_the_export_all_the_same(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    true = onnx_format.convert

    def swallows(*arguments: Any, **options: Any) -> list[Path]:
        with suppress(BaseException):
            signal.raise_signal(number)
        return true(*arguments, **options)

    monkeypatch.setattr(onnx_format, "convert", swallows)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        run(weights, tmp_path, formats=["onnx"])
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(number) is before


def test_a_folder_that_cannot_be_written(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError) as caught:
        run(weights, tmp_path / "file")
    assert caught.value.filename == str(tmp_path / "file")


def test_a_disk_that_runs_full_is_named_instead_of_what_a_converter_makes_of_it(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> list[Path]:
        raise RuntimeError("[enforce fail at inline_container.cc] unexpected pos")

    monkeypatch.setattr(onnx_format, "convert", fail)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(OSError, match="No space left on device"):
        run(weights, tmp_path / "out", formats=["onnx"])
    assert not os.listdir(tmp_path / "out")


def test_files_of_another_checkpoint_are_told_of(
    weights: Path, make_weights: MakeWeights, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "out"
    run(weights, folder)
    (tmp_path / "other").mkdir()
    other = make_weights(tmp_path / "other", seed=1)
    run(other, folder, formats=["onnx"])
    assert f"{folder / 'model.xml'} is of another checkpoint" in caplog.text
    caplog.clear()
    run(other, folder)
    assert "another checkpoint" not in caplog.text
