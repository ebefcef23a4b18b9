"""What a small file may lose, and what becomes of one that loses more."""

from __future__ import annotations

import importlib
import json
import signal
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.compressing import candidate, files
from pocketface.compressing.promise import Promise
from pocketface.data.labelled_faces import read_labelled_faces
from pocketface.errors import UserError
from pocketface.exporting.certificate import certificate_path
from pocketface.exporting.formats import writer_of
from pocketface.model_templates.contract import Compression
from pocketface.models.weights import read_weights, write_weights
from pocketface.tasks.measuring import Labels, Measured
from pocketface.tasks.model import Model

from .conftest import export, needs_quantizers, post_training, shipped

pytestmark = needs_quantizers


class _Promise:
    """Stands for quantizer and figures: 0.4 points are lost once enough layers are float."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, enough: int) -> None:
        self.kept: list[list[str]] = []
        quantizer = importlib.import_module("pocketface.compressing.onnx")
        real = quantizer.quantize

        def quantize(*arguments: Any) -> None:
            keep_float: Collection[str] = arguments[4]
            self.kept.append(list(keep_float))
            real(*arguments)

        def figures(_: Any, model: Model[Any]) -> Measured:
            small = "int8" in model.path.name
            lost = 0.0 if not small else 0.004 if len(self.kept[-1]) >= enough else 0.02
            return Measured({"balanced_accuracy": 0.99 - lost, "f1": None})

        monkeypatch.setattr(quantizer, "quantize", quantize)
        monkeypatch.setattr(Promise, "measure", figures)
        monkeypatch.setattr(
            candidate, "most_guilty_first", lambda module, path, *_: module.layers(path)[::-1]
        )


def as_compressed(path: Path) -> Path:
    """An exported file that says that it was compressed."""
    said = Compression(method="int8", photos=(), seed=0, metric="f1")
    contract = pocketface.load(path).contract.model_copy(update={"compression": said})
    writer_of("onnx").embed(path, contract)
    return path


def test_layers_are_given_back_until_the_promise_holds(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise = _Promise(monkeypatch, enough=3)
    monkeypatch.setattr(candidate, "FASTER", 0)
    (row,) = post_training(lists, tmp_path, goal="speed").rows
    assert [len(kept) for kept in promise.kept] == [0, 1, 2, 4]
    layers = importlib.import_module("pocketface.compressing.onnx").layers
    assert row.status == "compressed"
    contract = pocketface.load(tmp_path / "model_int8.onnx").contract
    assert contract.compression is not None
    assert contract.compression.kept_float == row.kept_float == tuple(promise.kept[-1])
    assert contract.compression.drop == 0.4
    assert [one.value for one in contract.metrics] == [98.6, None]
    assert len(layers(tmp_path / "model_int8.onnx")) == row.layers == 10
    assert ", ".join(row.kept_float) in (tmp_path / "compression.md").read_text()


def test_of_a_file_that_is_not_faster_no_layer_is_given_back(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise = _Promise(monkeypatch, enough=3)
    monkeypatch.setattr(candidate, "FASTER", 1e6)
    found = post_training(lists, tmp_path, goal="speed")
    assert promise.kept == [[]]
    assert len(found.failed) == 1
    assert "expected more than 1e+06" in found.failed[0]


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
    contract = pocketface.load(shipped("face-detection-n").path).contract
    promise = Promise(contract, (), 0.5)
    assert promise.limits == {"ap50": 0.5, "ap_over_64": 1.0}
    before: dict[str, float | None] = {"ap50": 0.5, "ap_over_64": 0.9}
    loss = promise.loss(before, after)
    assert (loss.figure, loss.share) == (figure, pytest.approx(share))
    no_large_faces = promise.loss(before | {"ap_over_64": None}, after)
    assert no_large_faces.figure == "ap50"


def test_photos_without_a_face_agree_in_nothing(lists: Labels) -> None:
    faces = read_labelled_faces(lists.files, lists.roots, classes=["no_glass", "glass"])
    lost = [replace(face, landmarks=np.full((5, 2), np.nan, np.float32)) for face in faces[:2]]
    model = pocketface.load(shipped("glasses-n").path)
    verdicts = Promise(model.contract, [*lost, *faces[2:4]], 0.5).measure(model).verdicts
    assert verdicts is not None
    assert np.isnan(verdicts).tolist() == [True, True, False, False]


def test_a_single_face_is_right_or_wrong(lists: Labels) -> None:
    """NNCF asks for the loss of each."""
    model = pocketface.load(shipped("glasses-n").path)
    faces = read_labelled_faces(lists.files, lists.roots, classes=model.contract.rules["labels"])
    promise = Promise(model.contract, faces, 0.5)
    wrong = replace(faces[0], label=1 - faces[0].label)
    for face, share in ((faces[0], 1.0), (wrong, 0.0)):
        assert promise.measure(model, [face]).figures["balanced_accuracy"] == share


def test_a_promise_that_cannot_be_kept(
    lists: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _Promise(monkeypatch, enough=99)
    # An earlier run's would stand beside a report that speaks of another.
    earlier = as_compressed(export(shipped("glasses-n"), tmp_path, "onnx"))
    earlier.rename(tmp_path / "model_int8.onnx")
    (tmp_path / "model_int8.onnx.parity.json").write_text("{}")
    found = post_training(lists, tmp_path)
    assert found.failed == [
        "model_int8.onnx: balanced_accuracy drops by 2.00 points at best; expected no more than 0.5"
    ]
    assert "model_int8.onnx of an earlier run is removed" in caplog.text
    names = {"model.onnx", "model.onnx.parity.json", "compression.md", "compression.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert pocketface.load(tmp_path / "model.onnx").contract.precision == "fp32"


def test_what_nobody_compressed_is_not_removed(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "FASTER", 1e6)
    exported = export(shipped("glasses-n"), tmp_path, "onnx", precisions=["fp16"], verify=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert exported.name in before
    assert len(before) == 2
    (tmp_path / "model_int8.onnx").mkdir()
    (tmp_path / "model_int8.onnx" / "mine").touch()
    found = post_training(lists, tmp_path, goal="speed", precisions=["int8", "fp16"])
    assert len(found.failed) == 2
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert (tmp_path / "model_int8.onnx" / "mine").exists()


def test_what_is_faster_by_chance_alone_is_not_written(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ratio's lower bound decides."""
    speedups = iter([(1.5, 1.04), (1.5, 1.06)])
    monkeypatch.setattr(candidate, "speedup", lambda *_: next(speedups))
    monkeypatch.setattr(candidate, "FASTER", 1.05)
    (row,) = post_training(lists, tmp_path, goal="speed").rows
    assert (row.status, row.faster) == ("float", 1.5)
    assert row.reason == "1.50 times as fast, at least 1.04; expected more than 1.05"
    (row,) = post_training(lists, tmp_path, goal="speed").rows
    assert (row.status, row.faster, row.reason) == ("compressed", 1.5, None)


@pytest.mark.parametrize(
    ("goal", "limit", "reason"),
    [("speed", "FASTER", "times as fast, at least"), ("size", "SMALLER", "of the size; exp")],
)
def test_a_file_that_is_no_better_is_not_written(
    goal: str,
    limit: str,
    reason: str,
    lists: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidate, limit, {"FASTER": 1e6, "SMALLER": 1e-6}[limit])
    (tmp_path / "model.onnx").write_text("an older one")
    found = post_training(lists, tmp_path, goal=goal)
    assert len(found.failed) == 1
    assert reason in found.failed[0]
    assert certificate_path(tmp_path / "model.onnx").is_file()
    assert pocketface.load(tmp_path / "model.onnx").contract.precision == "fp32"
    assert not (tmp_path / "model_int8.onnx").exists()


def test_photos_without_a_face_keep_no_promise(shared: Path, tmp_path: Path) -> None:
    annotations = shared / "airport" / "annotation_faces_train.json"
    content = json.loads(annotations.read_text())
    content["annotations"] = []
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps(content))
    roots = [shared / "airport"]
    lists, unlabelled = Labels([annotations], roots), Labels([empty], roots)
    weights = shipped("face-detection-n")
    with pytest.raises(UserError, match=r"--val-ann-files .*empty\.json: no labelled face"):
        post_training(lists, tmp_path / "out", weights=weights, validation=unlabelled)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_done_before_an_interruption_is_reported(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before = signal.getsignal(number)

    def interrupt(*_: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(candidate, "FASTER", 0)
    monkeypatch.setattr(
        importlib.import_module("pocketface.compressing.openvino"), "quantize", interrupt
    )
    for name in ("compression.md", "compression.json"):
        (tmp_path / name).write_text("of an earlier run")
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        post_training(lists, tmp_path, formats=["onnx", "openvino"])
    assert signal.getsignal(number) is before
    saved = json.loads((tmp_path / "compression.json").read_text())
    assert [row["format"] for row in saved["rows"]] == ["onnx"]
    assert not saved["finished"]
    told = (tmp_path / "compression.md").read_text()
    assert "| model_int8.onnx | int8 | yes |" in told
    assert "It was interrupted" in told
    names = {"model_int8.onnx", "compression.md", "compression.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_float_files_are_at_hand_until_all_are_done(
    lists: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers of a file with NMS inside are found by the one without."""
    at_hand: list[list[str]] = []
    real = files._compressed

    def watched(job: Any, name: str, path: Path, *others: Any) -> Any:
        at_hand.append(sorted(one.name for one in path.parent.glob("model.*")))
        yield from real(job, name, path, *others)

    monkeypatch.setattr(files, "_compressed", watched)
    monkeypatch.setattr(candidate, "SMALLER", 1e-6)
    post_training(lists, tmp_path, formats=["onnx", "openvino"])
    assert "model.onnx" in at_hand[0]
    assert at_hand[0] == at_hand[1]
    assert {path.suffix for path in tmp_path.glob("model.*")} >= {".onnx", ".xml"}


def test_a_float_file_of_other_weights_is_told_of(
    lists: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = shipped("glasses-n")
    other = tmp_path / "other.safetensors"
    state = {name: 2 * tensor for name, tensor in ours.state_dict.items()}
    write_weights(other, template_text=ours.template_text, state_dict=state, epochs=1)
    for folder, weights in (("ours", ours), ("other", read_weights(other))):
        file = export(weights, tmp_path / folder, "onnx")
        caplog.clear()
        post_training(lists, tmp_path / folder)
        assert (f"{file} is of other weights" in caplog.text) == (weights is not ours)
        assert file.is_file()


def test_no_file_of_another_template_is_replaced(lists: Labels, tmp_path: Path) -> None:
    file = export(shipped("glasses-cnn"), tmp_path, "onnx")
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"holds model.onnx of glasses-cnn; expected of glasses-n"):
        post_training(lists, tmp_path)
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == before


def test_files_with_their_nms_inside_say_from_where_their_figures_begin() -> None:
    contract = pocketface.load(shipped("face-detection-n").path).contract
    promise = Promise(contract, (), 0.5)
    inside = contract.model_copy(update={"rules": contract.rules | {"nms": "graph"}})
    assert "score floor 0.02, NMS IoU 0.45" in promise.protocol(contract)
    assert f"score floor {contract.rules['score_threshold']:g}" in promise.protocol(inside)
