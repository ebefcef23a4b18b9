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
from pocketface.benchmarks.measure import Judge, measure
from pocketface.benchmarks.pipelines import Pipeline
from pocketface.benchmarks.plan import plan_for
from pocketface.benchmarks.results import RESULTS_FILE, Results, read_results
from pocketface.benchmarks.worker import Turn
from pocketface.data.pictures import public_domain_photos
from pocketface.errors import DataError, MissingPackageError, PocketfaceError, UserError
from pocketface.evaluation.figures import Figures
from pocketface.exporting import ExportRequest, export_model
from pocketface.models.weights import read_weights
from pocketface.tasks.measuring import Labels

from ..labelled_lists import write_labelled_faces
from ..one_process import JobHere, in_this_process, without_processes
from .conftest import GLASSES, WEIGHTS, case_of

__all__ = ["in_this_process"]


@pytest.fixture
def airport(shared: Path) -> Labels:
    """Ten photos with their faces."""
    return Labels([shared / "airport/annotation_faces_train.json"], [shared / "airport"])


def _raise_missing() -> None:
    raise MissingPackageError("nothing")


def test_measures_what_it_can_and_lists_the_rest(exported: Path, tmp_path: Path) -> None:
    # A process that starts with much memory would lend it to those that it starts.
    ballast = np.ones(200_000_000)
    cases = [
        case_of(exported / "model.onnx", "onnxruntime"),
        case_of(exported / "model.xml", "openvino", batch=2),
        case_of(exported / "model.xml", "openvino", device="gpu", provider="gpu"),
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
        # Where others use the machine, medians do not add up, and the probe loses time too.
        assert min(step.p50.value for step in row.steps.values()) > 0
        assert row.ms.low <= row.ms.value <= row.ms.high
        assert len(row.rounds) == 10
        assert row.memory < ballast.nbytes
        assert row.peak_share is not None
        assert row.peak_share > 0
        assert row.figures == {}
    (absent,) = results.absent
    assert absent.device == "gpu"
    assert "gpu" in absent.reason.lower()
    assert set(results.probes) == {"fp32, 1", "int8, 1"}
    assert "cpu" in results.host


def test_accuracy_is_that_of_eval(exported: Path, airport: Labels, tmp_path: Path) -> None:
    """What measures it is sent to the process of a case."""
    path = exported / "model.onnx"
    plan = plan_for(
        [case_of(path, "onnxruntime")], data=airport.files, roots=airport.roots, duration=0.1
    )
    (row,) = measure(plan, output=tmp_path).rows
    wanted = {one.key: one.value for one in measure_accuracy(load(path), airport)}
    assert row.figures["ap50"] is not None
    for key, value in row.figures.items():
        wished = wanted[key]
        assert (value is None) == (wished is None)
        if value is not None:
            assert round(100 * value, 2) == wished


@pytest.mark.usefixtures("in_this_process")
def test_what_was_timed_is_kept_when_it_is_interrupted(exported: Path, tmp_path: Path) -> None:
    cases = [case_of(exported / "model.onnx", "onnxruntime")]

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    results = measure(plan_for(cases, duration=0.2), output=tmp_path, on_progress=interrupt)
    assert not results.finished
    assert [row.name for row in results.rows] == ["model.onnx"]
    assert read_results(tmp_path / RESULTS_FILE) == results


@pytest.mark.usefixtures("in_this_process")
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
            r"'nothing' is not installed: needs `pip install 'pocketface\[all",
        ),
    ],
)
def test_what_goes_wrong_in_a_process_is_one_line(job: Any, reason: str) -> None:
    with room._Processes() as processes, pytest.raises(PocketfaceError, match=reason):
        processes.start(job).call("open")


@pytest.mark.usefixtures("in_this_process")
def test_cases_take_turns_now_forwards_now_backwards(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []
    call = JobHere.call

    def noted(self: JobHere, method: str, *arguments: Any) -> Any:
        if method == "turn":
            turns.append(self.made.case.runtime)
        return call(self, method, *arguments)

    monkeypatch.setattr(JobHere, "call", noted)
    monkeypatch.setattr(room, "_TOGETHER", 2)
    path = exported / "model.onnx"
    cases = [
        case_of(path, "onnxruntime"),
        case_of(path, "openvino"),
        case_of(exported / "model.xml", "openvino"),
    ]
    results = measure(plan_for(cases, duration=0.1), output=tmp_path)
    assert [row.group for row in results.rows] == [0, 0, 1]
    one, other = turns[:2]  # the warm-up, in order
    assert one != other
    assert turns[2:6] == [other, one, one, other]
    assert len(turns) == 2 + 2 * 10 + 1 + 10


@pytest.mark.usefixtures("in_this_process")
def test_figures_of_a_batch_are_of_its_photos(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Throughput counts photos; times are those of a whole batch, in milliseconds."""
    turn = Turn(
        seconds=np.tile([0.004, 0.001, 0.008, 0.001], (3, 1)),
        cpu=0.005,
        memory=1000,
        resident=np.zeros(0),
    )
    monkeypatch.setattr(worker.CaseWorker, "turn", lambda *_: turn)
    cases = [case_of(exported / "model.xml", "openvino", batch=4)]
    (row,) = measure(plan_for(cases), output=tmp_path).rows
    assert row.throughput == pytest.approx(4 / 0.010)
    assert row.cpu_ms == pytest.approx(5)
    medians = {name: one.p50.value for name, one in row.steps.items()}
    assert medians == pytest.approx(
        {
            "decode": 4,
            "prepare": 1,
            "network": 8,
            "finish": 1,
            "predict": 10,
            "end_to_end": 14,
        }
    )
    assert row.rounds == pytest.approx((10,) * 10)
    assert (row.runs, row.memory, row.resident) == (30, 1000, None)
    assert row.gflops is not None
    # Of 100 GFLOPs/s that the probe found.
    assert row.peak_share == pytest.approx(4 * row.gflops / 0.008 / 100)


@pytest.fixture(scope="module")
def of_peers(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Other people's detectors, measured on the photos of `airport`."""
    targets = peers_in(shared / "peers", ["yunet-n", "openvino-face-detection-0200-int8"])
    cases = cases_of(
        targets,
        devices=["cpu"],
        threads=[1],
        batches=[1],
        runtimes=["openvino", "onnxruntime", "opencv"],
    )
    labels = [shared / "airport/annotation_faces_train.json"]
    plan = plan_for(cases, data=labels, roots=[shared / "airport"], duration=0.1)
    with pytest.MonkeyPatch.context() as patch:
        without_processes(patch)
        return measure(plan, output=tmp_path_factory.mktemp("peers"))


def test_other_peoples_detectors_go_through_the_same(of_peers: Results) -> None:
    found = {(row.name, row.runtime): row for row in of_peers.rows}
    assert {key: row.precision for key, row in found.items()} == {
        ("yunet-n", "opencv"): "fp32",
        ("yunet-n", "openvino"): "fp32",
        ("yunet-n", "onnxruntime"): "fp32",
        ("openvino-face-detection-0200-int8", "openvino"): "int8",
    }
    assert all(row.peer for row in of_peers.rows)
    ap = {key: row.figures["ap50"] or 0.0 for key, row in found.items()}
    assert ap["yunet-n", "openvino"] == pytest.approx(ap["yunet-n", "onnxruntime"], abs=1e-3)
    # OpenCV prepares photos in its own way.
    assert ap["yunet-n", "opencv"] == pytest.approx(ap["yunet-n", "onnxruntime"], abs=0.03)
    assert min(ap.values()) > 0.3


@pytest.mark.usefixtures("in_this_process")
def test_accuracy_of_an_earlier_run_is_taken_from_it(
    of_peers: Results, shared: Path, airport: Labels, tmp_path: Path
) -> None:
    """Of the same file in the same runtime, on the same labels, on such a machine."""
    rows = [
        row.model_copy(update={"figures": {"ap50": 0.125}})
        for row in of_peers.rows
        if row.runtime == "onnxruntime"
    ]
    earlier = of_peers.model_copy(update={"rows": tuple(rows)})
    targets = peers_in(shared / "peers", ["yunet-n"])

    def figures_with(known: Results, *runtimes: str) -> dict[str, float | None]:
        cases = cases_of(targets, devices=["cpu"], threads=[1], batches=[1], runtimes=runtimes)
        plan = plan_for(
            cases, data=airport.files, roots=airport.roots, duration=0.05, known=[known]
        )
        plan.accuracy["face-detection"] = lambda _: {"ap50": 0.25}
        results = measure(plan, output=tmp_path)
        said = "taken from the run of" in results.protocol.get("accuracy", "")
        figures = {row.runtime: row.figures["ap50"] for row in results.rows}
        assert said == (0.125 in figures.values())
        return figures

    found = figures_with(earlier, "onnxruntime", "opencv")
    assert found == {"onnxruntime": 0.125, "opencv": 0.25}
    for change in (
        {"host": earlier.host | {"cpu": "another"}},
        {"protocol": earlier.protocol | {"face-detection": "other photos"}},
    ):
        other = earlier.model_copy(update=change)
        assert figures_with(other, "onnxruntime") == {"onnxruntime": 0.25}


def test_classifiers_need_faces(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("")
    with pytest.raises(UserError, match=r"labels\.txt: expected some of \.json .*, \.csv "):
        plan_for([], data=[tmp_path / "labels.txt"], roots=[tmp_path])


def test_a_list_without_a_found_face(tmp_path: Path) -> None:
    write_labelled_faces(tmp_path / "l.csv", [("a.jpg", "glass", None)])
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"l\.csv: no photo with a face"):
        plan_for([], data=[tmp_path / "l.csv"], roots=[tmp_path])


@pytest.mark.usefixtures("in_this_process")
def test_a_classifier_is_judged_by_lists_of_its_own_labels_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A list of other labels is another classifier's; without any of its own it has no figures."""
    photos = public_domain_photos()
    lists = {}
    for name, labels in (("glasses", ("glass", "no_glass")), ("masks", ("mask", "no_mask"))):
        lists[name] = tmp_path / f"{name}.csv"
        rows = [
            (path.relative_to("/").as_posix(), label, points)
            for (path, points), label in zip(photos, labels, strict=True)
        ]
        write_labelled_faces(lists[name], rows)

    def figures(*names: str) -> dict[str, float | None]:
        plan = plan_for(
            [case_of(GLASSES, "torch")],
            data=[lists[name] for name in names],
            roots=[Path("/")],
            duration=0.05,
        )
        (row,) = measure(plan, output=tmp_path).rows
        return row.figures

    own = figures("glasses")
    assert own["balanced_accuracy"] == 1
    assert not caplog.records
    assert figures("masks", "glasses") == own
    assert "masks.csv: not for glasses-n, which has no label 'mask'" in caplog.text
    assert figures("masks") == {}


@pytest.mark.usefixtures("in_this_process")
def test_a_file_with_its_nms_inside_is_not_judged(
    airport: Labels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It shows no face below its own threshold: its AP is no AP."""
    weights = read_weights(WEIGHTS)
    export_model(
        ExportRequest(
            weights=weights,
            folder=tmp_path,
            formats=["onnx"],
            with_nms=True,
            input_size=(320, 320),
            verify=False,
        )
    )
    cases = [case_of(tmp_path / name, "onnxruntime") for name in ("model.onnx", "model_nms.onnx")]
    plan = plan_for(cases, data=airport.files, roots=airport.roots, duration=0.2)
    plain, inside = measure(plan, output=tmp_path).rows
    assert (plain.nms, inside.nms) == (False, True)
    assert plain.figures["ap50"] is not None
    assert inside.figures == {}
    found = measure_accuracy(
        load(tmp_path / "model_nms.onnx"), airport, metrics_file=tmp_path / "metrics.yaml"
    )
    ap50 = next(one.value for one in found if one.key == "ap50")
    assert ap50 is not None
    assert ap50 < 100 * plain.figures["ap50"]
    assert "knows no faces below" in caplog.text
    threshold = load(WEIGHTS).contract.rules["score_threshold"]
    assert f"score_floor: {threshold:g}\n" in (tmp_path / "metrics.yaml").read_text()


@pytest.mark.usefixtures("in_this_process")
def test_accuracy_that_fails_is_no_reason_to_end(
    exported: Path, tmp_path: Path, airport: Labels, caplog: pytest.LogCaptureFixture
) -> None:
    small = tmp_path / "small.onnx"
    small.write_bytes((exported / "model.onnx").read_bytes())
    cases = [case_of(small, "onnxruntime"), case_of(exported / "model.xml", "openvino")]
    plan = plan_for(cases, data=airport.files, roots=airport.roots, duration=0.1)
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
    whole: Judge

    def __call__(self, pipeline: Pipeline) -> Figures:
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
