"""Float weights to int8 files, by every runtime's own quantizer; what is judged, and how."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.compress import candidate
from pocketface.compress.graph import behind, beside, last
from pocketface.compress.promise import Promise
from pocketface.compress.quantizers import QUANTIZERS
from pocketface.compress.report import CompressionReport
from pocketface.compress.run import compress
from pocketface.compress.sensitivity import error, most_guilty_first
from pocketface.data.labelled_faces import read_labelled_faces
from pocketface.errors import ModelFileError, UserError
from pocketface.export import export_model
from pocketface.export.certificate import certificate_path
from pocketface.model_templates import template_path
from pocketface.models.weights import shipped_weights
from pocketface.runtimes.model import Model
from pocketface.runtimes.session import Session

pytestmark = pytest.mark.skipif(
    any(
        find_spec(name) is None
        for name in ("nncf", "ai_edge_quantizer", "coremltools", "onnxruntime")
    ),
    reason="needs nncf, ai-edge-quantizer, coremltools and onnxruntime",
)

Lists = tuple[list[Path], list[Path]]
SUFFIXES = {
    ".xml": "openvino",
    ".onnx": "onnx",
    ".mlmodel": "coreml",
    ".mlpackage": "coreml",
    ".tflite": "litert",
}


def shipped(name: str) -> Path:
    weights = shipped_weights(template_path(name))
    assert weights is not None
    return weights


def run(lists: Lists, folder: Path, **options: Any) -> CompressionReport:
    settings: dict[str, Any] = {
        "weights": shipped("glasses-n"),
        "template": None,
        "train": lists,
        "validation": lists,
        "folder": folder,
        "formats": ["onnx"],
        "photos": 12,
        "goal": "size",
        "post_training": True,
    }
    return compress(**(settings | options))


@pytest.fixture(scope="module")
def report(
    lists: Lists, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CompressionReport, Path]:
    folder = tmp_path_factory.mktemp("compressed")
    return run(lists, folder, formats=list(QUANTIZERS)), folder


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
        assert len(contract.compression.photos) == 12
        assert contract.compression.metric == "balanced_accuracy"
        assert contract.compression.drop == 0
        assert contract.compression.kept_float == ()


def test_the_report(report: tuple[CompressionReport, Path]) -> None:
    found, folder = report
    saved = json.loads((folder / "compression.json").read_text())
    assert [row["format"] for row in saved["rows"]] == list(SUFFIXES.values())
    text = (folder / "compression.md").read_text()
    assert text.startswith("# glasses-n, compressed\n")
    assert "Ranges from 12 photos (12 asked for, 0 unreadable), figures from 40." in text
    for row in found.rows:
        assert row.after is not None
        assert f"| {row.file} | int8 | yes | {row.after.bytes / 1e6:.3f} |" in text


def exported_at_128(folder: Path, name: str) -> Path:
    """face-detection-n, small."""
    report = export_model(
        weights=shipped("face-detection-n"),
        template=None,
        folder=folder,
        formats=[name],
        input_size=(128, 128),
        verify=False,
    )
    return report.files[0]


def noise(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.uniform(0, 255, (1, 3, 128, 128)).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("suffix", [".xml", ".onnx", ".tflite"])
def test_layers_given_back_are_float(suffix: str, convolutions: int, tmp_path: Path) -> None:
    """With half of them the answers are nearer to the float file's than with none.

    And with all of them they are the same: nothing else is rounded either.
    """
    path = exported_at_128(tmp_path, SUFFIXES[suffix])
    target = tmp_path / f"int8{suffix}"
    quantizer = importlib.import_module(f"pocketface.compress.{SUFFIXES[suffix]}")
    layers = quantizer.layers(path)
    # In LiteRT's the last nine stay float.
    assert len(layers) == convolutions - (9 if suffix == ".tflite" else 0)
    model = pocketface.load(path)
    batches = noise(4)
    expected = model.raw(batches[0])
    contract = model.contract.model_copy(update={"precision": "int8"})
    differences = {}
    for kept in (layers, layers[: len(layers) // 2], []):
        quantizer.quantize(path, target, contract, batches, kept)
        answer = pocketface.load(target).raw(batches[0])
        assert {key: value.shape for key, value in answer.items()} == {
            key: value.shape for key, value in expected.items()
        }
        differences[len(kept)] = float(np.abs(answer["boxes"] - expected["boxes"]).mean())
    of_all, of_half, of_none = differences.values()
    assert of_all < (0.1 if suffix == ".xml" else 1e-3)  # the former's weights are FP16
    assert of_all < of_half < of_none < 5


class _Promise:
    """Stands for quantizer and figures: as good as float once enough layers are float."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, enough: int) -> None:
        self.kept: list[list[str]] = []
        quantizer = importlib.import_module("pocketface.compress.onnx")
        real = quantizer.quantize

        def quantize(*arguments: Any) -> None:
            keep_float: Collection[str] = arguments[4]
            self.kept.append(list(keep_float))
            real(*arguments)

        def figures(_: Any, model: Model) -> tuple[dict[str, float | None], None]:
            good = "int8" not in model.path.name or len(self.kept[-1]) >= enough
            return {"balanced_accuracy": 0.99 if good else 0.97, "f1": None}, None

        monkeypatch.setattr(quantizer, "quantize", quantize)
        monkeypatch.setattr(Promise, "figures", figures)
        monkeypatch.setattr(
            candidate, "most_guilty_first", lambda module, path, *_: module.layers(path)[::-1]
        )


def test_layers_are_given_back_until_the_promise_holds(
    lists: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise = _Promise(monkeypatch, enough=3)
    monkeypatch.setattr(candidate, "FASTER", 0)
    (row,) = run(lists, tmp_path, goal="speed").rows
    assert [len(kept) for kept in promise.kept] == [0, 1, 2, 4]
    layers = importlib.import_module("pocketface.compress.onnx").layers
    assert row.status == "compressed"
    contract = pocketface.load(tmp_path / "model_int8.onnx").contract
    assert contract.compression is not None
    assert contract.compression.kept_float == row.kept_float == tuple(promise.kept[-1])
    assert len(layers(tmp_path / "model_int8.onnx")) == row.layers == 10
    assert ", ".join(row.kept_float) in (tmp_path / "compression.md").read_text()


def test_nncf_gives_back_what_costs_most(tmp_path: Path) -> None:
    """Until half of what the rounding moved boxes by is lost, and no more layers than that."""
    path = exported_at_128(tmp_path, "openvino")
    quantizer = importlib.import_module("pocketface.compress.openvino")
    model = pocketface.load(path)
    contract = model.contract.model_copy(update={"precision": "int8"})
    batches = noise(4)
    expected = [model.raw(batch)["boxes"] for batch in batches]

    def moved(session: Session, indices: Sequence[int]) -> float:
        answers = [session.run(batches[index])["boxes"] for index in indices]
        pairs = zip(answers, [expected[index] for index in indices], strict=True)
        return float(np.mean([np.abs(one - other).mean() for one, other in pairs]))

    target = tmp_path / "int8.xml"
    quantizer.quantize(path, target, contract, batches)
    with_all = moved(pocketface.load(target).session, range(4))
    kept = quantizer.restore(
        path, target, contract, batches, loss=moved, count=4, max_loss=with_all / 2
    )
    assert 0 < moved(pocketface.load(target).session, range(4)) <= with_all / 2
    assert kept
    assert set(kept) < set(quantizer.layers(path))
    quantizer.quantize(path, target, contract, batches, kept)
    assert moved(pocketface.load(target).session, range(4)) < with_all


def test_openvino_files_are_restored_within_the_promise(
    lists: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What NNCF is told is lost is the share of what may be lost, and its layers are reported."""
    told: list[float] = []
    quantizer = importlib.import_module("pocketface.compress.openvino")

    def restore(path: Path, target: Path, *others: Any, loss: Any, count: int, **_: Any) -> Any:
        quantizer.quantize(path, target, *others)
        session = pocketface.load(path).session
        told.extend([loss(session, range(count)), loss(session, [0])])
        return quantizer.layers(path)[:2]

    def figures(_: Any, model: Model, samples: Any = None) -> tuple[dict[str, float], None]:
        after_restoring = bool(told)
        good = model.contract.precision == "fp32" or after_restoring
        some = samples is not None
        value = 0.9825 if some and len(samples) == 40 else 0.97 if some else 0.99 if good else 0.97
        return {"balanced_accuracy": value, "f1": 1.0}, None

    monkeypatch.setattr(quantizer, "restore", restore)
    monkeypatch.setattr(Promise, "figures", figures)
    (row,) = run(lists, tmp_path, formats=["openvino"]).rows
    assert told == [pytest.approx(1.5), pytest.approx(4)]
    assert row.status == "compressed"
    assert len(row.kept_float) == 2


@pytest.mark.parametrize(
    ("after", "figure", "share"),
    [
        ({"ap50": 0.498, "ap_over_64": 0.90}, "ap50", 0.4),
        ({"ap50": 0.498, "ap_over_64": 0.885}, "ap_over_64", 1.5),
        ({"ap50": None, "ap_over_64": 0.895}, "ap_over_64", 0.5),
    ],
)
def test_large_faces_have_a_promise_of_their_own(
    after: dict[str, float | None], figure: str, share: float
) -> None:
    contract = pocketface.load(shipped("face-detection-n")).contract
    promise = Promise(contract, (), 0.5)
    assert promise.limits == {"ap50": 0.5, "ap_over_64": 1.0}
    before: dict[str, float | None] = {"ap50": 0.5, "ap_over_64": 0.9}
    loss = promise.loss(before, after)
    assert (loss.figure, loss.share) == (figure, pytest.approx(share))
    no_large_faces = promise.loss(before | {"ap_over_64": None}, after)
    assert no_large_faces.figure == "ap50"


def test_photos_without_a_face_agree_in_nothing(lists: Lists) -> None:
    faces = read_labelled_faces(*lists, classes=["no_glass", "glass"])
    lost = [replace(face, landmarks=np.full((5, 2), np.nan, np.float32)) for face in faces[:2]]
    model = pocketface.load(shipped("glasses-n"))
    _, labels = Promise(model.contract, [*lost, *faces[2:4]], 0.5).figures(model)
    assert labels is not None
    assert np.isnan(labels).tolist() == [True, True, False, False]


def test_a_single_face_is_right_or_wrong(lists: Lists) -> None:
    """NNCF asks for the loss of each."""
    model = pocketface.load(shipped("glasses-n"))
    faces = read_labelled_faces(*lists, classes=model.contract.labels)
    promise = Promise(model.contract, faces, 0.5)
    wrong = replace(faces[0], label=1 - faces[0].label)
    for face, share in ((faces[0], 1.0), (wrong, 0.0)):
        assert promise.figures(model, [face])[0]["balanced_accuracy"] == share


def test_a_promise_that_cannot_be_kept(
    lists: Lists,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _Promise(monkeypatch, enough=99)
    # An earlier run's would stand beside a report that speaks of another.
    export_model(
        weights=shipped("glasses-n"), template=None, folder=tmp_path, formats=["onnx"], verify=False
    )
    (tmp_path / "model.onnx").rename(tmp_path / "model_int8.onnx")
    (tmp_path / "model_int8.onnx.parity.json").write_text("{}")
    found = run(lists, tmp_path)
    assert found.failed == [
        "model_int8.onnx: balanced_accuracy drops by 2.00 points at best; expected no more than 0.5"
    ]
    assert "model_int8.onnx of an earlier run is removed" in caplog.text
    names = {"model.onnx", "model.onnx.parity.json", "compression.md", "compression.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert pocketface.load(tmp_path / "model.onnx").contract.precision == "fp32"


@pytest.mark.parametrize(
    ("goal", "limit", "reason"),
    [("speed", "FASTER", "times as fast, at least"), ("size", "SMALLER", "of the size; exp")],
)
def test_a_file_that_is_no_better_is_not_written(
    goal: str,
    limit: str,
    reason: str,
    lists: Lists,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidate, limit, {"FASTER": 1e6, "SMALLER": 1e-6}[limit])
    (tmp_path / "model.onnx").write_text("an older one")
    found = run(lists, tmp_path, goal=goal)
    assert len(found.failed) == 1
    assert reason in found.failed[0]
    assert certificate_path(tmp_path / "model.onnx").is_file()
    assert pocketface.load(tmp_path / "model.onnx").contract.precision == "fp32"
    assert not (tmp_path / "model_int8.onnx").exists()


@pytest.mark.parametrize("error", [RuntimeError("no kernel"), ModelFileError("no kernel")])
def test_a_quantizer_that_fails_costs_only_its_own_format(
    error: Exception, lists: Lists, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a runtime that refuses what it made."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("pocketface.compress.onnx"), "quantize", fail)
    found = run(lists, tmp_path, formats=["onnx", "litert"])
    assert [row.status for row in found.rows] == ["failed", "compressed"]
    assert found.failed == [f"model.onnx: {type(error).__name__}: no kernel"]
    assert (tmp_path / "model.onnx").is_file()
    assert (tmp_path / "model_int8.tflite").is_file()


def test_the_most_guilty_layer_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three layers, given back alone: one mends all, one half, one nothing."""
    export_model(
        weights=shipped("glasses-n"), template=None, folder=tmp_path, formats=["onnx"], verify=False
    )
    path = tmp_path / "model.onnx"
    model = pocketface.load(path)
    off = {"half": 0.2, "nothing": 0.4, "all": 0.0}

    class Quantizer:
        layers = staticmethod(lambda _: list(off))

        @staticmethod
        def quantize(_: Path, target: Path, *others: Any) -> None:
            target.write_text(others[-1][0])

    class Tried:
        def __init__(self, path: Path) -> None:
            self.off = off[path.read_text()]

        def raw(self, batch: np.ndarray) -> dict[str, np.ndarray]:
            return {name: value + self.off for name, value in model.raw(batch).items()}

    load = pocketface.load
    monkeypatch.setattr(
        "pocketface.compress.sensitivity.load",
        lambda file: load(file) if file == path else Tried(file),
    )
    batch = np.full((1, 3, 80, 80), 100, np.float32)
    found = most_guilty_first(Quantizer, path, model.contract, [batch])  # type: ignore[arg-type]
    assert found == ["all", "half", "nothing"]


def test_error_counts_what_is_shown() -> None:
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 100, 100]]])
    expected = {"scores": np.float32([[0.9, 0.01]]), "boxes": boxes}
    assert error(expected, expected) == 0
    background = {"scores": np.float32([[0.9, 0.04]]), "boxes": boxes + np.float32([[0], [50]])}
    assert error(expected, background) == 0
    shown = {"scores": np.float32([[0.7, 0.01]]), "boxes": boxes + np.float32([[2], [0]])}
    assert error(expected, shown) == pytest.approx(0.2 + 0.2)


def test_what_follows_the_last_convolutions() -> None:
    readers = {
        "in": ["one"], "one": ["relu"], "relu": ["two", "three"], "two": ["boxes"],
        "three": ["scores"], "boxes": ["out"], "scores": ["out"], "out": [], "anchors": ["boxes"],
    }  # fmt: skip
    convolutions = {name: name in ("one", "two", "three") for name in readers}
    assert set(behind(convolutions, readers)) == {"boxes", "scores", "out", "anchors"}
    assert last(convolutions, readers) == ["two", "three"]


def test_what_has_only_float_convolutions_on_a_side_is_float() -> None:
    readers = {
        "sub": ["one"], "one": ["relu"], "relu": ["two", "add"], "two": ["add"], "add": ["resize"],
        "resize": ["three"], "three": ["boxes"], "boxes": [],
    }  # fmt: skip
    convolutions = {name: name in ("one", "two", "three") for name in readers}
    beside_of = {
        (): set(),
        ("one",): {"sub", "relu"},
        ("two",): set(),
        ("three",): {"add", "resize", "boxes"},
        ("one", "two", "three"): {"sub", "relu", "add", "resize", "boxes"},
    }
    for kept, expected in beside_of.items():
        assert set(beside(convolutions, readers, kept)) == expected, kept


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
    ],
)
def test_arguments(options: dict[str, Any], message: str, lists: Lists, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run(lists, tmp_path / "out", **options)
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
    whole = importlib.import_module("pocketface.compress.run")
    monkeypatch.setattr(
        whole, "compress_files", lambda **asked: seen.append(len(asked["validation"]))
    )
    lists = [annotations], [shared / "airport"]
    run(
        lists, tmp_path / "out", weights=shipped("face-detection-n"),
        validation=([annotations], [tmp_path]),
    )  # fmt: skip
    assert seen == [len(names) - 1]


def test_photos_without_a_face_keep_no_promise(shared: Path, tmp_path: Path) -> None:
    annotations = shared / "airport" / "annotation_faces_train.json"
    content = json.loads(annotations.read_text())
    content["annotations"] = []
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps(content))
    lists = [annotations], [shared / "airport"]
    weights = shipped("face-detection-n")
    with pytest.raises(UserError, match=r"--val-ann-files .*empty\.json: no labelled face"):
        run(lists, tmp_path / "out", weights=weights, validation=([empty], lists[1]))
    assert not (tmp_path / "out").exists()
