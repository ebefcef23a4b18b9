"""Which files are run, and in which ways."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pocketface.benchmarks.cases import cases_of, peers_in, targets_of
from pocketface.benchmarks.flops import gflops_of
from pocketface.errors import UserError
from pocketface.model_templates import template_path
from pocketface.models.count import count
from pocketface.tasks.templates import open_template

from .conftest import WEIGHTS


def test_every_way_that_something_opens_a_file(exported: Path) -> None:
    cases = cases_of(targets_of([exported]), devices=["cpu"], threads=[1, 2], batches=[1])
    ways = {(case.target.path.name, case.way, case.threads) for case in cases}
    files = {"model.onnx": {"onnxruntime", "onnxruntime:openvino"}, "model.xml": set[str]()}
    assert ways == {
        (name, way, threads)
        for name, more in files.items()
        for way in {"openvino", "openvino:throughput", *more}
        for threads in (1, 2)
    }


def test_devices_have_their_own_ways() -> None:
    (target,) = targets_of([WEIGHTS])
    on_cpu, on_cuda = (
        {case.way for case in cases_of([target], devices=[device], threads=[1], batches=[1])}
        for device in ("cpu", "cuda")
    )
    assert on_cuda - on_cpu == {"torch:cuda-graph"}
    assert on_cpu == {"torch", "torch:compile", "torch:script", "torch:channels-last", "torch:bf16"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"runtimes": ["tensorflow"]},
            "--runtimes tensorflow, --devices cpu: opens none of these files",
        ),
        ({"runtimes": ["onnxruntime:cpu"]}, "--runtimes onnxruntime:cpu: expected some of"),
        ({"runtimes": ["tensorrt"]}, "--runtimes tensorrt: expected some of opencv, openvino"),
        ({"devices": ["tpu"]}, "--devices tpu: expected some of all, ane, coreml, cpu, cuda"),
    ],
)
def test_refuses_ways_that_there_are_not(change: dict[str, Any], reason: str) -> None:
    settings: dict[str, Any] = {"devices": ["cpu"], "threads": [1], "batches": [1]}
    with pytest.raises(UserError, match=reason):
        cases_of(targets_of([WEIGHTS]), **(settings | change))


@pytest.mark.parametrize("name", ["out.onnx", "out.bin", "out.savedmodel"])
def test_a_folder_of_models_may_have_any_name(exported: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(exported / "model.onnx", folder)
    assert [target.path for target in targets_of([folder])] == [folder / "model.onnx"]


def test_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(UserError, match=r"a\.txt: expected a model file"):
        targets_of([tmp_path / "a.txt"])
    with pytest.raises(UserError, match="no model file in it"):
        targets_of([tmp_path])
    for folder in ("a/model", "b/model"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "model.onnx").write_text("")
    found = targets_of([tmp_path / "a/model", tmp_path / "b/model/model.onnx", WEIGHTS])
    assert [target.name for target in found] == [
        "a/model/model.onnx",
        "b/model/model.onnx",
        "face-detection-n/weights.safetensors",
    ]
    (tmp_path / "link.safetensors").symlink_to(WEIGHTS)
    for same in (WEIGHTS, tmp_path / "link.safetensors"):
        with pytest.raises(UserError, match="stands there twice"):
            targets_of([WEIGHTS, same])
    with pytest.raises(UserError, match="has none of scrfd"):
        peers_in(tmp_path)


@pytest.mark.parametrize(
    ("path", "suffixes"), [("face-detection-n", (".xml", ".onnx")), ("glasses-n", ())]
)
def test_operations_are_those_of_the_network(
    path: str, suffixes: tuple[str, ...], exported: Path, tmp_path: Path
) -> None:
    weights = template_path(path).with_name("weights.safetensors")
    wanted = count(open_template(path).spec.architecture, height=160, width=160).gflops
    assert gflops_of(weights, height=160, width=160) == pytest.approx(wanted)
    for suffix in suffixes:
        found = gflops_of(exported / f"model{suffix}", height=160, width=160)
        assert found == pytest.approx(wanted, rel=1e-3)
    damaged = tmp_path / "damaged.xml"
    damaged.write_text("<net")
    for other in (Path("model.mlmodel"), damaged):
        assert gflops_of(other, height=160, width=160) is None
