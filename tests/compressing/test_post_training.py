"""Float weights to int8 files, by every runtime's own quantizer; what is judged, and how."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.compressing.formats import QUANTIZERS
from pocketface.compressing.report import CompressionReport, read_report
from pocketface.errors import ModelFileError, PocketfaceError, UserError
from pocketface.models.weights import rewritten
from pocketface.tasks.measuring import Labels

from .conftest import SUFFIXES, needs_quantizers, post_training, shipped

pytestmark = needs_quantizers


@pytest.fixture(scope="module")
def report(
    lists: Labels, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CompressionReport, Path]:
    folder = tmp_path_factory.mktemp("compressed")
    return post_training(lists, folder, formats=list(QUANTIZERS)), folder


def test_files_that_load_and_answer(
    report: tuple[CompressionReport, Path],
) -> None:
    found, folder = report
    assert found.failed == []
    names = {f"model_int8{suffix}" for suffix in SUFFIXES}
    others = {"model_int8.bin", "compression.md", "compression.json"}
    assert {path.name for path in folder.iterdir()} == names | others
    assert [row.file for row in found.rows] == [f"model_int8{suffix}" for suffix in SUFFIXES]
    for row in found.rows:
        assert row.format == SUFFIXES[Path(row.file).suffix]
        assert row.after is not None
        assert row.after.bytes < 0.6 * row.before.bytes
        assert row.after.figures == {"balanced_accuracy": 1.0, "f1": 1.0, "same_label": 1.0}
        model = pocketface.load(folder / row.file)
        contract = model.contract
        assert contract.precision == "int8"
        assert contract.parity is None
        assert [one.value for one in contract.metrics] == [100.0, 100.0]
        assert contract.compression is not None
        # Core ML's weights need no ranges.
        assert len(contract.compression.photos) == (0 if row.format == "coreml" else 12)
        assert contract.compression.metric == "balanced_accuracy"
        assert contract.compression.drop == 0
        assert contract.compression.kept_float == ()


def test_the_report(report: tuple[CompressionReport, Path]) -> None:
    found, folder = report
    saved = json.loads((folder / "compression.json").read_text())
    assert [row["format"] for row in saved["rows"]] == list(SUFFIXES.values())
    text = (folder / "compression.md").read_text()
    assert text.startswith("# glasses-n, compressed\n")
    assert "Ranges from 12 photos (12 asked for, 0 unreadable). Figures from 40 photos." in text
    for row in found.rows:
        assert row.after is not None
        assert f"| {row.file} | int8 | yes | {row.after.bytes / 1e6:.3f} |" in text


@pytest.mark.parametrize("error", [RuntimeError("no kernel"), ModelFileError("no kernel")])
def test_a_quantizer_that_fails_costs_only_its_own_format(
    error: Exception, lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a runtime that refuses what it made."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("pocketface.compressing.onnx"), "quantize", fail)
    found = post_training(lists, tmp_path, formats=["onnx", "openvino"])
    assert [row.status for row in found.rows] == ["failed", "compressed"]
    assert found.failed == [f"model.onnx: {type(error).__name__}: no kernel"]
    assert (tmp_path / "model.onnx").is_file()
    assert (tmp_path / "model_int8.xml").is_file()


def test_a_format_without_a_float_file_costs_no_other(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(importlib.import_module("pocketface.exporting.openvino"), "convert", fail)
    found = post_training(lists, tmp_path, formats=["openvino", "onnx"])
    (failed,) = found.failed
    assert failed.startswith("openvino: ")
    assert "no such operator" in failed
    assert ".scratch" not in failed
    assert failed in (tmp_path / "compression.md").read_text()
    assert [row.file for row in found.rows] == ["model_int8.onnx"]
    with pytest.raises(PocketfaceError, match=r"openvino: .*no such operator"):
        post_training(lists, tmp_path, formats=["openvino"])


def test_a_taken_name_costs_only_its_own_format(lists: Labels, tmp_path: Path) -> None:
    (tmp_path / "model_int8.onnx").mkdir()
    found = post_training(lists, tmp_path, formats=["onnx", "openvino"])
    assert [row.status for row in found.rows] == ["failed", "compressed"]
    assert "model_int8.onnx: is a folder" in found.failed[0]
    assert (tmp_path / "model_int8.onnx").is_dir()
    assert (tmp_path / "compression.md").is_file()


def test_the_place_of_the_report_is_looked_at_first(lists: Labels, tmp_path: Path) -> None:
    (tmp_path / "compression.md").mkdir()
    with pytest.raises(UserError, match=r"--save-checkpoints-to .*compression\.md"):
        post_training(lists, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["compression.md"]


@pytest.mark.parametrize("name", ["model.xml", "model_int8.xml"])
def test_weights_of_others_are_not_replaced(name: str, lists: Labels, tmp_path: Path) -> None:
    for part in (tmp_path / name, (tmp_path / name).with_suffix(".bin")):
        part.write_text("theirs")
    weights = replace(shipped("glasses-n"), path=tmp_path / name)
    with pytest.raises(UserError, match=r"--save-checkpoints-to .* is one of the files to be read"):
        post_training(lists, tmp_path, formats=["openvino"], weights=weights)
    assert {part.read_text() for part in tmp_path.iterdir()} == {"theirs"}


def test_two_runs_into_one_folder_have_one_report(
    lists: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = post_training(lists, tmp_path, formats=["onnx"])
    post_training(lists, tmp_path, formats=["openvino"])
    told = read_report(tmp_path)
    assert told is not None
    assert [row.format for row in told.rows] == ["onnx", "openvino"]
    assert told.rows[0] == first.rows[0]
    assert "judged otherwise" not in caplog.text
    again = post_training(lists, tmp_path, formats=["onnx"])
    told = read_report(tmp_path)
    assert told is not None
    assert [row.format for row in told.rows] == ["openvino", "onnx"]
    assert told.rows[1] == again.rows[0]
    # Judged otherwise: not to be compared.
    post_training(lists, tmp_path, formats=["onnx"], max_drop=1.0)
    told = read_report(tmp_path)
    assert told is not None
    assert [row.format for row in told.rows] == ["onnx"]
    assert "model_int8.xml was judged otherwise than now: compression.md" in caplog.text


def test_files_of_other_weights_are_told_of(
    lists: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    post_training(lists, tmp_path, formats=["onnx"])
    weights = shipped("glasses-n")
    state = dict(weights.state_dict)
    state["backbone.stem.0.weight"] = state["backbone.stem.0.weight"] * 1.01
    other = rewritten(tmp_path / "other.safetensors", weights, state)
    post_training(lists, tmp_path, formats=["openvino"], weights=other, max_drop=100)
    assert f"{tmp_path / 'model_int8.onnx'} is of other weights than the files" in caplog.text
    told = read_report(tmp_path)
    assert told is not None
    assert [row.format for row in told.rows] == ["openvino"]


def test_nncf_reports_to_nobody() -> None:
    code = (
        "from pocketface.models.nncf_hooks import import_nncf; import_nncf()\n"
        "from nncf.telemetry.wrapper import telemetry; print(type(telemetry).__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "MagicMock"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["keras"]}, "format 'keras': expected some of openvino, onnx, coreml, litert"),
        ({"precisions": ["palette6"]}, "precision 'palette6' in onnx: expected some of fp16, int8"),
        ({"precisions": []}, "precision '' in onnx: expected some of fp16, int8"),
        ({"formats": []}, "expected some of openvino"),
        ({"precisions": ["int8", "fp32"]}, "precision fp32: is what files are compared with"),
    ],
)
def test_arguments(options: dict[str, Any], message: str, lists: Labels, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        post_training(lists, tmp_path / "out", **options)
    assert not list((tmp_path / "out").glob("*"))


def test_what_cannot_be_read_is_not_counted(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = shared / "airport" / "annotation_faces_train.json"
    names = [image["file_name"] for image in json.loads(annotations.read_text())["images"]]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((shared / "airport" / name).read_bytes())
    (tmp_path / names[0]).write_bytes(b"damaged")
    seen: list[int] = []
    whole = importlib.import_module("pocketface.compressing.run")
    monkeypatch.setattr(whole, "compress_files", lambda wanted: seen.append(len(wanted.validation)))
    post_training(
        Labels([annotations], [shared / "airport"]), tmp_path / "out",
        weights=shipped("face-detection-n"), validation=Labels([annotations], [tmp_path]),
    )  # fmt: skip
    assert seen == [len(names) - 1]


def test_the_seed_chooses_the_photos(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[tuple[str, ...]] = []
    whole = importlib.import_module("pocketface.compressing.run")
    monkeypatch.setattr(
        whole, "compress_files", lambda wanted: chosen.append(wanted.calibration.photos)
    )
    for seed in (0, 1, 0):
        post_training(lists, tmp_path, seed=seed, photos=6)
    assert chosen[0] == chosen[2] != chosen[1]
    assert {len(photos) for photos in chosen} == {6}
