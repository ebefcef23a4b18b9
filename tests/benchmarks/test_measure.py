"""Cases in processes of their own: what they answer, what they leave, and how they end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketface import load
from pocketface.benchmarks import measure as room
from pocketface.benchmarks import worker
from pocketface.benchmarks.accuracy import measure_accuracy
from pocketface.benchmarks.cases import cases_of, peers_in
from pocketface.benchmarks.measure import Measure, measure
from pocketface.benchmarks.pipelines import Pipeline
from pocketface.benchmarks.plan import plan_for
from pocketface.benchmarks.results import RESULTS_FILE, read_results
from pocketface.data.labelled_faces import write_labelled_faces
from pocketface.errors import DataError, MissingPackageError, PocketfaceError, UserError
from pocketface.export import export_model

from .conftest import WEIGHTS, case_of


def _raise_missing() -> None:
    raise MissingPackageError("nothing")


def test_measures_what_it_can_and_lists_the_rest(exported: Path, tmp_path: Path) -> None:
    # A process that starts with much memory would lend it to those that it starts.
    ballast = np.ones(200_000_000)
    cases = [
        case_of(exported / "model.onnx", "onnxruntime"),
        case_of(exported / "model.xml", "openvino", batch=2),
        case_of(WEIGHTS, "torch", device="cuda", provider="cuda"),
    ]
    told: list[tuple[int, int]] = []
    results = measure(
        plan_for(cases, duration=0.5),
        output=tmp_path,
        on_progress=lambda done, of: told.append((done, of)),
    )
    assert results.finished
    assert read_results(tmp_path / RESULTS_FILE) == results
    assert told[-1] == (3, 3)
    first, second = results.rows
    assert (first.name, first.runtime, first.batch) == ("model.onnx", "onnxruntime", 1)
    assert (second.name, second.runtime, second.batch) == ("model.xml", "openvino", 2)
    for row in results.rows:
        assert set(row.steps) == {
            *("decode", "prepare", "network", "finish"),
            *("predict", "end_to_end"),
        }
        parts = sum(row.steps[name].p50.value for name in ("prepare", "network", "finish"))
        assert row.ms.value == pytest.approx(parts, rel=0.5)
        assert row.ms.low <= row.ms.value <= row.ms.high
        assert len(row.rounds) == 10
        assert row.memory < ballast.nbytes
        assert row.peak_share is not None
        assert 0 < row.peak_share < 2  # where other tests take time from the probe
        assert row.figures == {}
    (absent,) = results.absent
    assert absent.device == "cuda"
    assert "not usable by PyTorch" in absent.reason
    assert set(results.probes) == {"fp32, 1", "int8, 1"}
    assert "cpu" in results.host


def test_accuracy_is_that_of_eval(shared: Path, tmp_path: Path) -> None:
    labels, root = shared / "airport/annotation_faces_train.json", shared / "airport"
    plan = plan_for([case_of(WEIGHTS, "torch")], data=[labels], roots=[root], duration=0.1)
    (row,) = measure(plan, output=tmp_path).rows
    wanted = {
        one.key: one.value
        for one in measure_accuracy(weights=WEIGHTS, annotations=[labels], roots=[root])
    }
    assert row.figures["ap50"] is not None
    for key, value in row.figures.items():
        wished = wanted[key]
        assert (value is None) == (wished is None)
        if value is not None:
            assert round(100 * value, 2) == wished


def test_what_was_timed_is_kept_when_it_is_interrupted(exported: Path, tmp_path: Path) -> None:
    cases = [case_of(exported / "model.onnx", "onnxruntime")]

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    results = measure(plan_for(cases, duration=0.2), output=tmp_path, on_progress=interrupt)
    assert not results.finished
    assert [row.name for row in results.rows] == ["model.onnx"]
    assert read_results(tmp_path / RESULTS_FILE) == results


def test_a_run_that_measured_nothing_leaves_an_older_one_alone(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> bool:
        raise KeyboardInterrupt

    (tmp_path / RESULTS_FILE).write_text("older")
    cases = [case_of(exported / "model.onnx", "onnxruntime")] * 2
    monkeypatch.setattr(room, "_memory_is_free", interrupt)
    assert not measure(plan_for(cases, duration=0.2), output=tmp_path).rows
    assert (tmp_path / RESULTS_FILE).read_text() == "older"


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (partial(os._exit, 7), "its process ended with 7"),
        (partial(int, "no number"), "^ValueError: invalid literal"),
        (
            partial(_raise_missing),
            r"'nothing' is not installed: needs `pip install pocketface\[all",
        ),
    ],
)
def test_what_goes_wrong_in_a_process_is_one_line(job: Any, reason: str) -> None:
    with room._Processes() as processes, pytest.raises(PocketfaceError, match=reason):
        processes.start(job).call("open")


def test_cases_take_turns_now_forwards_now_backwards(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    call = room._Process.call

    def noted(self: room._Process, method: str, *arguments: Any) -> Any:
        answer = call(self, method, *arguments)
        if method == "open":
            names[id(self)] = answer.task
        order.append(f"{method} {sorted(names).index(id(self)) if id(self) in names else ''}")
        return answer

    names: dict[int, str] = {}
    monkeypatch.setattr(room._Process, "call", noted)
    monkeypatch.setattr(room, "_TOGETHER", 2)
    path = exported / "model.onnx"
    cases = [
        case_of(path, "onnxruntime"),
        case_of(path, "openvino"),
        case_of(exported / "model.xml", "openvino"),
    ]
    results = measure(plan_for(cases, duration=0.1), output=tmp_path)
    assert [row.group for row in results.rows] == [0, 0, 1]
    turns = [one for one in order if one.startswith("turn")]
    one, other = turns[:2]  # the warm-up, in order
    assert one != other
    assert turns[2:6] == [other, one, one, other]
    assert len(turns) == 2 + 2 * 10 + 1 + 10


def test_other_peoples_detectors_go_through_the_same(shared: Path, tmp_path: Path) -> None:
    labels, root = shared / "airport/annotation_faces_train.json", shared / "airport"
    targets = peers_in(shared / "peers", ["yunet-n", "openvino-face-detection-0200-int8"])
    cases = cases_of(
        targets,
        devices=["cpu"],
        threads=[1],
        batches=[1],
        runtimes=["openvino", "onnxruntime", "opencv"],
    )
    plan = plan_for(cases, data=[labels], roots=[root], duration=0.1)
    results = measure(plan, output=tmp_path)
    found = {(row.name, row.runtime): row for row in results.rows}
    assert {key: row.precision for key, row in found.items()} == {
        ("yunet-n", "opencv"): "fp32",
        ("yunet-n", "openvino"): "fp32",
        ("yunet-n", "onnxruntime"): "fp32",
        ("openvino-face-detection-0200-int8", "openvino"): "int8",
    }
    assert all(row.peer for row in results.rows)
    ap = {key: row.figures["ap50"] or 0.0 for key, row in found.items()}
    assert ap["yunet-n", "openvino"] == pytest.approx(ap["yunet-n", "onnxruntime"], abs=1e-3)
    # OpenCV prepares photos in its own way.
    assert ap["yunet-n", "opencv"] == pytest.approx(ap["yunet-n", "onnxruntime"], abs=0.03)
    assert min(ap.values()) > 0.3

    again = plan_for(cases, data=[labels], roots=[root], duration=0.1, known=[results])
    assert again.known == {row.answers: row.figures for row in results.rows}
    assert "taken from the run of" in again.protocol["accuracy"]
    elsewhere = results.model_copy(update={"host": results.host | {"cpu": "another"}})
    assert not plan_for(cases, data=[labels], roots=[root], known=[elsewhere]).known
    assert not plan_for(cases, wider=shared / "wider_face", known=[results]).known


def test_classifiers_need_faces(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("")
    with pytest.raises(UserError, match=r"labels\.txt: expected COCO \.json .* or \.csv"):
        plan_for([], data=[tmp_path / "labels.txt"], roots=[tmp_path])


def test_a_list_without_a_found_face(tmp_path: Path) -> None:
    write_labelled_faces(tmp_path / "l.csv", [("a.jpg", "glass", None)])
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"l\.csv: no photo with a face"):
        plan_for([], data=[tmp_path / "l.csv"], roots=[tmp_path])


def test_a_file_with_its_nms_inside_is_not_judged(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It shows no face below its own threshold: its AP is no AP."""
    export_model(
        weights=WEIGHTS, template=None, folder=tmp_path, formats=["onnx"], with_nms=True,
        input_size=(320, 320), verify=False,
    )  # fmt: skip
    labels, root = shared / "airport/annotation_faces_train.json", shared / "airport"
    cases = [case_of(tmp_path / name, "onnxruntime") for name in ("model.onnx", "model_nms.onnx")]
    plan = plan_for(cases, data=[labels], roots=[root], duration=0.2)
    plain, inside = measure(plan, output=tmp_path).rows
    assert (plain.nms, inside.nms) == (False, True)
    assert plain.figures["ap50"] is not None
    assert inside.figures == {}
    found = measure_accuracy(
        weights=tmp_path / "model_nms.onnx", annotations=[labels], roots=[root],
        metrics_file=tmp_path / "metrics.yaml",
    )  # fmt: skip
    ap50 = next(one.value for one in found if one.key == "ap50")
    assert ap50 is not None
    assert ap50 < 100 * plain.figures["ap50"]
    assert "knows no faces below" in caplog.text
    threshold = load(WEIGHTS).contract.score_threshold
    assert f"score_floor: {threshold:g}\n" in (tmp_path / "metrics.yaml").read_text()


def test_accuracy_that_fails_is_no_reason_to_end(
    exported: Path, tmp_path: Path, shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels, root = shared / "airport/annotation_faces_train.json", shared / "airport"
    small = tmp_path / "small.onnx"
    small.write_bytes((exported / "model.onnx").read_bytes())
    cases = [case_of(small, "onnxruntime"), case_of(exported / "model.xml", "openvino")]
    plan = plan_for(cases, data=[labels], roots=[root], duration=0.1)
    judge = plan.accuracy["face-detection"]
    plan.accuracy["face-detection"] = FailsOn("onnxruntime", judge)
    results = measure(plan, output=tmp_path)
    assert results.finished
    failed, whole = results.rows
    assert failed.figures == {}
    assert whole.figures["ap50"] is not None
    assert "small.onnx, onnxruntime: ValueError: bad luck" in caplog.text


@dataclass(frozen=True)
class FailsOn:
    """Measures accuracy, but not with one runtime."""

    runtime: str
    whole: Measure

    def __call__(self, pipeline: Pipeline) -> dict[str, float | None]:
        assert pipeline.session is not None
        if pipeline.session.runtime == self.runtime:
            raise ValueError("bad luck")
        return self.whole(pipeline)


def test_errors_do_not_tell_where_this_is_installed() -> None:
    place = Path(worker.__file__).resolve().parents[1] / "models" / "layers.py"
    assert (
        str(worker._told(RuntimeError(f"in {place}, 79")))
        == "RuntimeError: in models/layers.py, 79"
    )
