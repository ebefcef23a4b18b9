"""`pocketface benchmark` and `pocketface select`, as users call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketface.benchmarks.results import read_results

from ..one_process import in_this_process, without_processes
from .conftest import Result

__all__ = ["in_this_process"]

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def report(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three files of the tiny network, with its accuracy on made-up labels."""
    from pocketface.cli import main

    folder = tmp_path_factory.mktemp("report")
    labels = {
        "categories": [{"id": 1, "name": "face"}],
        "images": [{"id": 1, "file_name": "photo.jpg", "width": 160, "height": 120}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 20, 40, 40], "iscrowd": 0}
        ],
    }
    (folder / "labels.json").write_text(json.dumps(labels))
    arguments = [
        *("benchmark", made / "model", made / "tiny.pth"),
        *("--data", folder / "labels.json", "--root", made, "--duration", "0.2"),
        *("--runtimes", "openvino,onnxruntime,torch", "--output", folder),
    ]
    with pytest.MonkeyPatch.context() as patch:
        without_processes(patch)
        assert main([str(one) for one in arguments]) == 0
    return folder


def test_writes_a_row_for_each_file_and_way(report: Path) -> None:
    results = read_results(report / "results.json")
    assert results.finished
    assert {(row.name.split("/")[-1], row.runtime) for row in results.rows} == {
        ("model.onnx", "onnxruntime"),
        ("model.onnx", "openvino"),
        ("model.xml", "openvino"),
        ("tiny.pth", "torch"),
    }
    assert [one.runtime for one in results.absent] == ["onnxruntime:openvino"]
    figures = {row.name: row.figures["ap50"] for row in results.rows}
    assert len(figures) == 3
    assert len(set(figures.values())) == 1  # the same network
    assert results.command.startswith("pocketface benchmark ")


def test_draws_a_report_again_without_measuring(report: Path, run: Run, tmp_path: Path) -> None:
    done = run("benchmark", "--redraw", report / "results.json", "--output", tmp_path)
    assert done.code == 0
    assert (tmp_path / "report.md").read_text() == (report / "report.md").read_text()
    assert not (tmp_path / "results.json").exists()
    assert "4 rows" in done.out
    assert "absent here: 1;" in done.out
    (tmp_path / "results.json").write_text("of another run")
    again = ("benchmark", "--redraw", report / "results.json", "--output", tmp_path)
    done = run(*again)
    assert done.code == 2
    assert f"--output {tmp_path}: holds the results.json of another run" in done.err
    assert run(*again, "--force").code == 0
    assert (tmp_path / "results.json").read_text() == "of another run"


def test_compares_two_runs(report: Path, run: Run) -> None:
    results = report / "results.json"
    done = run("benchmark", "--compare", results, results)
    assert done.code == 0
    assert done.out.count("not told apart") == 4


@pytest.mark.parametrize(
    ("alone", "flag"),
    [
        (("--compare", "a.json", "b.json"), ("--output", "report")),
        (("--compare", "a.json", "b.json"), ("--duration", "1")),
        (("--redraw", "a.json"), ("--threads", "2")),
    ],
)
def test_settings_of_a_measurement_need_one(
    alone: tuple[str, ...], flag: tuple[str, ...], run: Run
) -> None:
    done = run("benchmark", *alone, *flag)
    assert (done.code, done.out) == (2, "")
    assert f"{flag[0]}: {alone[0]} measures nothing, and takes no such flag" in done.err


@pytest.mark.usefixtures("place", "in_this_process")
def test_what_measures_nothing_leaves_an_older_report(report: Path, run: Run) -> None:
    before = {path.name: path.read_bytes() for path in report.iterdir()}
    Path("damaged.onnx").write_bytes(b"no model")
    again = ("benchmark", "damaged.onnx", "--runtimes", "onnxruntime", "--output", report)
    done = run(*again)
    assert (done.code, done.out) == (2, "")
    assert f"--output {report}: holds the results.json of an earlier run" in done.err
    done = run(*again, "--force")
    assert (done.code, done.out) == (2, "")
    assert "nothing could be measured: place/damaged.onnx, onnxruntime: " in done.err
    assert {path.name: path.read_bytes() for path in report.iterdir()} == before


@pytest.mark.usefixtures("place")
def test_a_place_that_is_taken_is_seen_before_the_work(run: Run) -> None:
    done = run("benchmark", "model/model.xml", "--output", "photo.jpg")
    assert (done.code, done.out) == (2, "")
    assert "--output photo.jpg: cannot be written: photo.jpg is in the way" in done.err


def test_selects_from_what_was_measured(report: Path, run: Run, tmp_path: Path) -> None:
    select = ("select", "--task", "face-detection", "--results", report / "results.json")
    done = run(*select, "--max-ms", "10000")
    assert done.code == 0
    assert done.out.startswith("chosen")
    assert "next" in done.out
    for flag, value in (("--threads", "9"), ("--device", "npu"), ("--runtime", "litert")):
        done = run(*select, "--max-ms", "10000", flag, value)
        assert done.code == 2
        assert f"{flag} {value}: nothing was measured of that" in done.err
    done = run(*select, "--min-iou", "90")
    assert done.code == 2
    assert "--min-iou: files for face-detection have no IoU" in done.err
    # Stopped before the accuracy of one was measured.
    content = json.loads((report / "results.json").read_text())
    content["rows"][0]["figures"] = {}
    part = tmp_path / "part.json"
    part.write_text(json.dumps(content))
    done = run("select", "--task", "face-detection", "--results", part, "--max-ms", "10000")
    assert (done.code, done.err) == (0, "")
    done = run(*select, "--max-ms", "0.0001", "--runtime", "openvino")
    assert done.code == 3
    assert "none of the files measured meets this; nearest is " in done.err
    assert " ms, not 0.0001 ms" in done.err


TELLING = """
import signal, sys
from pocketface.benchmarks import measure
from pocketface.cli import main

ask = measure._Process.call

def call(self, method, *arguments):
    answer = ask(self, method, *arguments)
    if method == "turn":
        print(method, flush=True)
    return answer

measure._Process.call = call
# Where the tests run in a shell's background, Ctrl-C is ignored unless asked for.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main())
"""
"""`pocketface` that says on stdout when a file had its turn."""


def test_ctrl_c_leaves_a_report_of_what_was_timed(place: Path) -> None:
    arguments = ["benchmark", "model", "--runtimes", "openvino", "--duration", "5"]
    process = subprocess.Popen(
        [sys.executable, "-c", TELLING, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    # Two files warm up, and have the first of ten turns each; with the next, both are recorded.
    for _ in range(5):
        assert process.stdout.readline() == b"turn\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == "pocketface: interrupted"
    assert b"Traceback" not in said
    results = read_results(place / "report/results.json")
    assert not results.finished
    assert len(results.rows) == 2
    assert "Interrupted: not all rows are here." in (place / "report/report.md").read_text()
