"""The pipeline is whole: its values are there, and its stages write what they say."""

from __future__ import annotations

import csv
import json
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

import pocketface
from pocketface.cli import main
from pocketface.compressing.report import CompressionReport
from pocketface.data.identities import read_identities
from pocketface.tasks.templates import open_template

from ..pixel_recognizer import (
    MEASURED,
    landmarks_of,
    write_detector,
    write_photo,
    write_recognizer,
)
from ..tasks.recognition.tiny_recognizer import write_list

PIPELINE = Path(__file__).parents[2] / "examples" / "pipeline"
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((PIPELINE / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, dict[str, Any]] = yaml.safe_load((PIPELINE / "params.yaml").read_text())
VALUE = re.compile(r"\$\{([^}]+)\}")
PEOPLE, PHOTOS = 40, 4


def found(params: dict[str, Any], name: str) -> Any:
    value: Any = params
    for key in name.split("."):
        value = value[key]
    return value


def filled(text: str, params: dict[str, Any]) -> str:
    """A text of dvc.yaml as DVC fills it: a mapping becomes flags."""

    def fill(match: re.Match[str]) -> str:
        value = found(params, match[1])
        if not isinstance(value, dict):
            return str(value)
        flags = []
        for key, one in value.items():
            flags.append(f"--{key}" + ("" if one is True else f" {shlex.quote(str(one))}"))
        return " ".join(flags)

    return VALUE.sub(fill, text)


def names(stage: dict[str, Any], key: str) -> Iterator[str]:
    """Of files or parameters, which may have settings."""
    for one in stage.get(key, []):
        yield one if isinstance(one, str) else next(iter(one))


def test_values_are_there_and_each_is_a_parameter_of_its_stage() -> None:
    used = set()
    for stage in STAGES.values():
        values = VALUE.findall(stage["cmd"])
        for name in values:
            found(PARAMS, name)
        sections = {name.partition(".")[0] for name in values}
        # A change of `data` makes other lists, on which all else depends, or is one of the command.
        assert sections - {"data"} == set(names(stage, "params")) - {"data", "template.yaml"}
        used |= sections
    assert used == set(PARAMS)


def test_what_a_stage_needs_is_there_or_made_by_one_before() -> None:
    made = {path.name for path in PIPELINE.iterdir()} | {"${data.folder}"}
    for name, stage in STAGES.items():
        for needed in names(stage, "deps"):
            assert needed.partition("/")[0] in made or needed in made, f"{name}: {needed}"
        made |= {*names(stage, "outs"), *names(stage, "metrics")}


def test_photos_that_were_replaced_make_all_anew_that_reads_them() -> None:
    """Under their old names too, which leaves the lists as they are."""
    readers = {name for name, stage in STAGES.items() if "${data." in stage["cmd"]}
    assert readers == {"prepare", "train", "evaluate", "compress", "report"}
    for name in readers:
        assert "${data.folder}" in names(STAGES[name], "deps"), name


def test_all_of_the_template_is_watched() -> None:
    assert {"template.yaml": None} in STAGES["train"]["params"]
    assert PARAMS["train"]["template"] == "template.yaml"
    spec = open_template(str(PIPELINE / "template.yaml")).spec
    assert spec.hyper_parameters.optimizer.weight_decay > 0
    assert spec.architecture.head.dropout > 0  # type: ignore[union-attr]


def test_paths_are_one_word_whatever_is_in_them() -> None:
    data = {key: f"my {key}; touch x" for key in PARAMS["data"]}
    for stage in STAGES.values():
        words = shlex.split(filled(stage["cmd"], {**PARAMS, "data": data}))
        for name in VALUE.findall(stage["cmd"]):
            section, _, key = name.partition(".")
            assert section != "data" or data[key] in words


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pipeline, which is the current folder for the test."""
    shutil.copytree(PIPELINE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "pipeline")
    monkeypatch.syspath_prepend(str(tmp_path / "pipeline"))
    return tmp_path / "pipeline"


def write_people(folder: Path) -> None:
    """Pictures of people who differ in their colours, as faces already aligned."""
    random = np.random.default_rng(0)
    for person in range(PEOPLE):
        (folder / f"p{person}").mkdir(parents=True)
        face = random.integers(0, 256, (4, 4, 3), np.uint8)
        for photo in range(PHOTOS):
            noise = random.integers(0, 60, (64, 64, 3), np.uint8)
            large = cv2.resize(face, (64, 64), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / f"p{person}" / f"{photo}.png"), cv2.add(large, noise))


def write_params(folder: Path, **of_stages: dict[str, Any]) -> dict[str, Any]:
    """The example's settings for photos in `folder`, with a few others."""
    params = {name: {**values, **of_stages.get(name, {})} for name, values in PARAMS.items()}
    params["data"] |= dict.fromkeys(("folder", "source", "root"), str(folder))
    Path("params.yaml").write_text(yaml.safe_dump(params))
    return params


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a stage's command in this process: each would take seconds to import what all need."""
    program, *words = shlex.split(command)
    if program == "pocketface":
        return main(words)
    assert program == "python"
    monkeypatch.setattr(sys, "argv", words)
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as left:
        return int(left.code or 0)
    return 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_stages_run_and_write_what_they_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "nncf", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    write_people(folder.parent / "people")
    params = write_params(
        folder.parent / "people",
        # Val and test with 1,000 pairs of two people.
        prepare={"aligned": True, "val-fraction": 0.4, "test-fraction": 0.4},
        train={"epochs": 1, "batch-size": 8, "gpu-num": 0},
        export={"formats": "openvino"},
        compress={"max-drop": 100, "photos": 8},
        report={"examples": 4},
    )
    for stage in STAGES.values():
        assert run(filled(stage["cmd"], params), monkeypatch) == 0
        for made in (*names(stage, "outs"), *names(stage, "metrics")):
            path = Path(made)
            assert path.stat().st_size if path.is_file() else any(path.iterdir())
    metrics = json.loads(Path("metrics.json").read_text())
    assert 0 <= metrics["test"]["roc_auc"] <= 100
    assert set(metrics["int8"]) == {"megabytes", "tar_1e-3"}
    rows = table("report/predictions.csv")
    assert [row["same person"] for row in rows] == ["yes", "yes", "no", "no"]
    for row in rows:
        are_same = Path(row["image"]).parent == Path(row["other"]).parent
        assert are_same is (row["same person"] == "yes")
        answer = next(value for key, value in row.items() if key.startswith("answer"))
        assert (row["right"] == "yes") is (answer == row["same person"])
    (epoch,) = table("report/training.csv")
    assert epoch["epoch"] == "1"
    assert float(epoch["loss"]) > 0
    assert 0 <= float(epoch["validated"]) <= 1
    rates = [(float(row["FAR"]), float(row["TAR"])) for row in table("report/roc.csv")]
    assert rates == sorted(rates)
    assert rates[-1][1] == 1
    assert Path("report/report.pdf").read_bytes().startswith(b"%PDF")
    page = Path("report/report.html").read_text()
    HTMLParser().feed(page)
    assert page.count("data:image/png;base64,") == 4


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def trained(folder: Path) -> Path:
    """A folder of photos of three people and their list, and a recogniser of pixels."""
    photos = folder.parent / "photos"
    found = []
    for person in range(3):
        for number in range(6):
            photo = write_photo(photos / f"p{person}" / f"{number}.png", person, blur=0.1)
            found.append((photo.relative_to(photos).as_posix(), f"p{person}"))
    write_params(photos)
    Path("data").mkdir()
    write_list(Path(PARAMS["data"]["test"]), found, landmarks_of())
    Path("export").mkdir()
    write_recognizer(Path("export/model.onnx"), **MEASURED)
    write_detector(Path("one.onnx"), 40)
    return photos


@pytest.mark.usefixtures("trained")
def test_a_probability_that_was_never_measured_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    write_recognizer(Path("export/model.onnx"), thresholds=MEASURED["thresholds"])
    model = pocketface.load("export/model.onnx")
    assert isinstance(model, pocketface.FaceRecognizer)
    params = yaml.safe_load(Path("params.yaml").read_text())["data"]
    photos = read_identities([Path(params["test"])], [Path(params["root"])]).photos
    Path("report").mkdir()
    monkeypatch.setattr(sys, "argv", ["report.py"])
    verified = runpy.run_path("report.py")["verified"]
    rows = verified(model, photos, 4, np.random.default_rng(0))
    assert [row["probability"] for row in rows] == ["", "", "", ""]
    assert all(float(row["cosine"]) <= 1 for row in rows)


def write_compression(**changes: Any) -> None:
    """Of no file, but for `changes`."""
    nothing = {
        **{"name": "test", "input_size": (64, 64), "limits": {}, "goal": "size", "rows": ()},
        **{"calibration": 0, "asked": 0, "unreadable": 0, "validation": 0, "host": {}},
        **{"date": "", "no_float": {"onnx": "it failed"}},
    }
    Path("compress").mkdir()
    report = CompressionReport.model_validate({**nothing, **changes})
    Path("compress/compression.json").write_text(report.model_dump_json())


@pytest.mark.usefixtures("trained")
def test_a_report_without_a_compressed_file_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_compression()
    assert run("python report.py export data/test.identities.json photos", monkeypatch) == 2
    assert "compress/compression.json has no file: onnx: it failed" in capsys.readouterr().err
    assert not Path("report").exists()


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("script", ["report.py export list photos", "demo.py"])
def test_without_an_exported_file_it_says_so(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"file": "model.onnx", "precision": "fp32", "bytes": 1, "zipped": 1, "figures": {}}
    status = {"status": "failed", "format": "onnx", "precision": "int8", "goal": "size"}
    write_compression(rows=({**status, "before": row},))
    Path("export/model.onnx").unlink()
    assert run(f"python {script}", monkeypatch) == 2
    assert "export has no model file" in capsys.readouterr().err


def demonstrate(monkeypatch: pytest.MonkeyPatch, seed: int) -> int:
    return run(f"python demo.py --seed {seed} --detector one.onnx", monkeypatch)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("seed", range(3))
def test_the_demo_compares_a_person_with_five_photos_of_the_same_and_ten_of_others(
    seed: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demonstrate(monkeypatch, seed) == 0
    told = capsys.readouterr().out
    who = told.splitlines()[0].split("-")[1]
    answers = {Path(row["image"]).name.split("-")[1]: row for row in table("demo/answers.csv")}
    assert len({path.read_bytes() for path in Path("demo/photos").iterdir()}) == 16
    assert len(list(Path("demo/drawn").iterdir())) == 15
    assert {name: row["answer"] for name, row in answers.items()} == {
        name: "yes" if name == who else "no" for name in ("p0", "p1", "p2")
    }
    assert "the person's photos: 5 of 5 right" in told
    assert "other people's photos: 10 of 10 right" in told


@pytest.mark.parametrize(("mistaken", "told"), [("same", "0 of 5"), ("others", "0 of 10")])
def test_a_demo_of_a_bad_recogniser_fails(
    mistaken: str,
    told: str,
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for index, photo in enumerate(sorted(trained.rglob("*.png"))):
        write_photo(photo, index if mistaken == "same" else 0)
    assert demonstrate(monkeypatch, 0) == 1
    assert told in capsys.readouterr().out


@pytest.mark.usefixtures("trained")
def test_a_demo_without_enough_photos_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_list(Path(PARAMS["data"]["test"]), [("p0/0.png", "p0")], landmarks_of())
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with pytest.raises(SystemExit, match="expected a person with 6 photos"):
        runpy.run_path("demo.py")["main"]()
