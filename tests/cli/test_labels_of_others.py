"""Labels in other people's words and ways, in every command that reads them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..one_process import in_this_process

__all__ = ["in_this_process"]

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("labels")

GIVEN = "--{0}-ann-files {1} --{0}-data-roots photos"
EVAL = f"eval --load-weights tiny.pth {GIVEN.format('test', '{0}')} --save-metrics-to out/m.yaml"
TRAIN = f"train --template tiny.yaml {GIVEN.format('train', '{0}')} --save-checkpoints-to out"
COMPRESS = (
    f"compress --load-weights tiny.pth {GIVEN.format('train', '{0}')} "
    f"{GIVEN.format('val', '{0}')} --post-training --save-checkpoints-to out"
)
DIAGNOSE = f"diagnose model/model.onnx {GIVEN.format('test', '{0}')}"
BENCHMARK = (
    "benchmark model/model.onnx --data {0} --root photos --duration 0.1 --runtimes onnxruntime "
    "--output out"
)
ALL = [EVAL, TRAIN, COMPRESS, DIAGNOSE, BENCHMARK]


def name_of(command: object) -> str:
    return str(command).partition(" ")[0]


@pytest.fixture
def labels(place: Path) -> None:
    """`Face.json`, whose category is called so, and `lost.json`, whose faces are of no photo."""
    names = ("a.jpg", "more/b.png")
    images = [
        {"id": number, "file_name": name, "width": 160, "height": 120}
        for number, name in enumerate(names)
    ]
    for file, category, shift in (("Face.json", "Face", 0), ("lost.json", "face", 1)):
        faces = [
            {"id": number, "image_id": number + shift, "category_id": 1, "bbox": [20, 20, 60, 60]}
            for number in range(2)
        ]
        faces.append(faces[-1] | {"bbox": [90, 30, 40, 50]})
        content = {"images": images, "annotations": faces}
        categories = {"categories": [{"id": 1, "name": category}, {"id": 2, "name": "car"}]}
        (place / file).write_text(json.dumps(content | categories))


def check_refused(result: Any, *says: str) -> None:
    assert result.code == 2, result.err
    for text in says:
        assert text in result.err
    errors = [line for line in result.err.splitlines() if line.startswith("pocketface: error: ")]
    assert len(errors) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize("command", [EVAL, TRAIN, COMPRESS, DIAGNOSE], ids=name_of)
def test_a_category_by_another_name_is_asked_for(run: Run, command: str) -> None:
    typed = shlex.split(command.format("Face.json"))
    check_refused(
        run(*typed),
        "Face.json: has no category 'face'; its categories: Face, car",
        "hint: did you mean --classes face=Face?",
    )
    check_refused(
        run(*typed, "--classes", "fcae=Face"),
        "--classes fcae=Face: no class 'fcae'; the classes are: face",
    )
    check_refused(run(*typed, "--classes", "Face"), "--classes Face: expected OURS=THEIRS, as in")


@pytest.mark.parametrize("command", ALL, ids=name_of)
def test_more_than_half_of_the_labels_lost(run: Run, command: str) -> None:
    check_refused(
        run(*shlex.split(command.format("lost.json"))),
        "lost.json: 2 of 3 labels cannot be used: 2 x annotation of an unknown image_id (first: "
        "annotations[1] of lost.json)",
    )


def test_a_class_by_another_name_is_measured(run: Run) -> None:
    result = run(*shlex.split(EVAL.format("Face.json")), "--classes", "face=Face", "--debug")
    assert (result.code, result.err) == (0, "")
    content = yaml.safe_load(Path("out/m.yaml").read_text())
    assert content["protocol"]["classes"] == "face=Face"


def test_a_class_by_another_name_is_learnt(run: Run) -> None:
    command = f"{TRAIN} --epochs 1 --workers 0 --batch-size 2 --gpu-num 0".format("Face.json")
    given = GIVEN.format("val", "Face.json")
    result = run(*shlex.split(f"{command} {given} --classes face=Face"))
    assert result.code == 0, result.err
    assert Path("out/best.pth").is_file()


@pytest.mark.usefixtures("in_this_process")
def test_a_benchmark_says_what_to_type(run: Run) -> None:
    typed = [*shlex.split(BENCHMARK.format("Face.json")), "--force"]
    without = run(*typed)
    assert "has no category 'face'" in without.err
    assert "did you mean --classes face=Face?" in without.err
    with_flag = run(*typed, "--classes", "face=Face,glass=1")
    assert with_flag.code == 0, with_flag.err
    assert "has no category" not in with_flag.err
    results = json.loads(Path("out/results.json").read_text())
    assert results["rows"][0]["figures"]
    assert "--classes face=Face" in results["protocol"]["face-detection"]
