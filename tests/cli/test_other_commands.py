"""export, data and train: what they write, print and pass on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.errors import MissingPackageError

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("place")


FORMATS = ("--formats", "openvino,onnx")


def test_export_prints_what_it_wrote(run: Run) -> None:
    result = run("export", "--load-weights", "tiny.pth", "--save-model-to", "out", *FORMATS)
    assert (result.code, result.err) == (0, "")
    models = [Path("out/model.xml"), Path("out/model.onnx")]
    written = [Path("out/model.bin"), *models, *(Path(f"{path}.parity.json") for path in models)]
    assert sorted(Path("out").iterdir()) == sorted(written)
    for path, parts, runtime in (
        (models[0], written[:2], "openvino"),
        (models[1], models[1:], "onnxruntime"),
    ):
        told, line = [line for line in result.out.splitlines() if f"{path} " in line]
        assert re.fullmatch(rf"{re.escape(str(path))} \(fp32\): passed, \d+\.\d s", told)
        size = sum(part.stat().st_size for part in parts)
        assert line.split()[1:3] == ["fp32", f"{size / 1e6:.2f}"]
        assert line.split()[4:6] == ["passed", runtime]


def test_export_takes_formats_precision_and_size(run: Run) -> None:
    result = run(
        "export", "--load-weights", "tiny.safetensors", "--template", "tiny.yaml",
        "--save-model-to", "out", "--formats", "openvino", "--precision", "fp16",
        "--input-size", "32x64", "--no-verify",
    )  # fmt: skip
    assert result.code == 0
    names = ["model_fp16.bin", "model_fp16.xml"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    contract = pocketface.load("out/model_fp16.bin").contract
    assert contract.precision == "fp16"
    assert contract.input.shape[2:] == (32, 64)


def test_export_and_verify_with_nms_on_photos_of_ones_own(run: Run) -> None:
    options = ("--with-nms", "--photos", "photos")
    result = run(
        "export", "--load-weights", "tiny.pth", "--save-model-to", "out", *FORMATS, *options
    )
    assert result.code == 0
    assert "left out: photos/half.jpg: damaged or cut-off image" in result.err
    result = run("verify", "out", "--load-weights", "tiny.pth", "--photos", "photos")
    assert result.code == 0
    assert "left out: photos/half.jpg: damaged or cut-off image" in result.err
    for name in ("model.xml", "model.onnx", "model_nms.xml", "model_nms.onnx"):
        (line,) = [line for line in result.out.splitlines() if f"out/{name} " in line]
        assert line.split()[1] == "passed"
        assert line.split()[-1] == "checkpoint"


def test_verify_without_the_checkpoint(run: Run) -> None:
    run("export", "--load-weights", "tiny.pth", "--save-model-to", "out", *FORMATS)
    result = run("verify", "out/model.bin", "out/model.onnx")
    assert (result.code, result.err) == (0, "")
    assert result.out.count(" passed ") == 2
    assert result.out.count(" certificate") == 2
    shutil.copytree("out", "whole")
    Path("out/model.onnx.parity.json").unlink()
    result = run("verify", "out")
    assert result.code == 1
    assert "1 of 2 files passed" in result.err
    assert "model.onnx: not verified: its checkpoint is not at hand, nor" in result.out
    half = Path("out/model.onnx").read_bytes()[:5000]
    Path("out/model.onnx").write_bytes(half)
    result = run("verify", "out")
    assert result.code == 1
    assert "out/model.onnx: failed: damaged" in result.out
    result = run("verify", "whole", "--load-weights", "tiny.safetensors")
    assert result.code == 2
    assert "--load-weights tiny.safetensors: has SHA-256" in result.err


def test_data_split(run: Run) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 9, "height": 9} for n in range(20)]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "face"}]}
    Path("all.json").write_text(json.dumps(content))
    result = run("data", "split", "all.json", "--train-fraction", "0.8", "--output", "parts")
    assert result.code == 0
    assert result.out == "written: parts/all.train.json\nwritten: parts/all.val.json\n"
    parts = [
        {image["id"] for image in json.loads(Path(f"parts/all.{part}.json").read_text())["images"]}
        for part in ("train", "val")
    ]
    assert [len(part) for part in parts] == [16, 4]
    assert parts[0] | parts[1] == set(range(20))


def test_data_wider(run: Run) -> None:
    events = Path("wider/WIDER_val/images/0--Parade")
    events.mkdir(parents=True)
    (events / "a.jpg").write_bytes(Path("photo.jpg").read_bytes())
    lists = Path("wider/wider_face_split")
    lists.mkdir()
    line = "10 20 30 40 1 0 0 0 2 0"
    (lists / "wider_face_val_bbx_gt.txt").write_text(f"0--Parade/a.jpg\n1\n{line}\n")
    result = run("data", "wider", "wider", "--output", "coco")
    assert result.code == 0
    assert result.out == "written: coco/wider_val.json\n"
    (face,) = json.loads(Path("coco/wider_val.json").read_text())["annotations"]
    assert (face["bbox"], face["blur"], face["occlusion"]) == ([10, 20, 30, 40], 1, 2)


def test_train_passes_its_flags_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pocketface.tasks.measuring import Labels
    from pocketface.tasks.templates import open_template
    from pocketface.training import fit as room
    from pocketface.training.request import FitRequest

    given: list[FitRequest] = []

    def fit(request: FitRequest) -> room.FitReport:
        given.append(request)
        out = request.output
        return room.FitReport(
            latest=out / "latest.pth",
            best=None,
            best_value=None,
            metric_name="AP50",
            epochs=2,
            written=(out / "latest.pth", out / "curves.png", out / "receipt.yaml"),
        )

    monkeypatch.setattr(room, "fit", fit)
    for name in "abcd":
        Path(f"{name}.json").touch()
    result = run(
        "train", "--template", "tiny.yaml", "--resume-from", "tiny.pth",
        "--train-ann-files", "a.json,b.json", "c.json", "--train-data-roots", "photos",
        "--val-ann-files", "d.json", "--val-data-roots", "empty",
        "--save-checkpoints-to", "runs/1", "--epochs", "9", "--batch-size", "4",
        "--gpu-num", "0", "--base-learning-rate", "1e-3", "--seed", "5", "--workers", "0",
        "--precision", "bf16-mixed", "--val-every", "2", "--tracker", "mlflow", "clearml",
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "written: runs/1/latest.pth",
        "written: runs/1/curves.png",
        "written: runs/1/receipt.yaml",
    ]
    (request,) = given
    assert request.command is not None
    assert request.command.startswith("pocketface train --template tiny.yaml --resume-from")
    # Compared whole, so that no other setting is given by the way.
    assert replace(request, command=None) == FitRequest(
        template=open_template("tiny.yaml"),
        resume_from=Path("tiny.pth"),
        train=Labels([Path("a.json"), Path("b.json"), Path("c.json")], [Path("photos")]),
        val=Labels([Path("d.json")], [Path("empty")]),
        output=Path("runs/1"),
        epochs=9,
        batch_size=4,
        gpu_num=0,
        base_learning_rate=1e-3,
        seed=5,
        workers=0,
        precision="bf16-mixed",
        val_every=2,
        trackers=["mlflow", "clearml"],
    )


def test_an_export_of_nothing_is_a_mistake(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "pocketface.exporting.run.missing_of", lambda packages: MissingPackageError(packages[0])
    )
    result = run("export", "--load-weights", "tiny.pth", "--save-model-to", "out")
    assert result.code == 2
    assert "error: nothing was exported" in result.err
    assert "pip install 'pocketface[openvino]'" in result.err


@pytest.mark.parametrize("command", ["export", "compress"])
def test_a_place_that_cannot_be_written_is_found_before_the_work(run: Run, command: str) -> None:
    Path("file").write_text("")
    flag = {"export": "--save-model-to", "compress": "--save-checkpoints-to"}[command]
    needs = ("--post-training", "--train-ann-files", "a", "--train-data-roots", "b")
    more = (*needs, "--val-ann-files", "c", "--val-data-roots", "d") if command != "export" else ()
    result = run(command, "--load-weights", "tiny.pth", flag, "file/out", *more)
    assert result.code == 2
    assert f"error: {flag} file/out: cannot be written: " in result.err
