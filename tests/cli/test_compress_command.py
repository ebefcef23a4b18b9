"""`pocketface compress` in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

import pocketface
from pocketface.compressing.request import CompressRequest
from pocketface.errors import UserError
from pocketface.models.weights import read_weights
from pocketface.tasks.measuring import Labels

Run = Callable[..., Any]

DATA = [
    *("--train-ann-files", "faces.json", "--train-data-roots", "photos"),
    *("--val-ann-files", "faces.json", "--val-data-roots", "photos"),
]


@pytest.fixture(autouse=True)
def faces(place: Path) -> None:
    """Each of two photos has a face, says faces.json."""
    images, annotations = [], []
    for index, name in enumerate(("a.jpg", "more/b.png"), start=1):
        image = cv2.imread(str(place / "photos" / name))
        assert image is not None
        height, width = image.shape[:2]
        images.append({"id": index, "file_name": name, "height": height, "width": width})
        box = {"bbox": [20, 20, 40, 50], "area": 2000, "iscrowd": 0}
        annotations.append({"id": index, "image_id": index, "category_id": 1, **box})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "face"}]
    (place / "faces.json").write_text(json.dumps(content))


def test_int8_after_training(run: Run) -> None:
    done = run(
        *("compress", "--load-weights", "tiny.pth", "--post-training", "--formats", "onnx"),
        *("--precision", "int8,fp16", "--goal", "size", "--max-drop", "100", "--photos", "2"),
        *("--save-checkpoints-to", "out", *DATA),
    )
    # Of so small a network, the contract is most of the file.
    rows = json.loads(Path("out/compression.json").read_text())["rows"]
    assert [(row["precision"], row["after"]["file"]) for row in rows] == [
        ("int8", "model_int8.onnx"),
        ("fp16", "model_fp16.onnx"),
    ]
    refused = [row for row in rows if row["status"] != "compressed"]
    assert done.code == (1 if refused else 0)
    assert "written: out/compression.md" in done.out
    for row in rows:
        assert f"{row['after']['file']} " in done.out
        written = row["before"]["file"] if row in refused else row["after"]["file"]
        assert pocketface.load(f"out/{written}").contract.name == "tiny"
        assert (f"{row['after']['file']}: " in done.err.splitlines()[-1]) == (row in refused)


@pytest.mark.skipif(find_spec("nncf") is None, reason="needs nncf")
def test_int8_during_training(run: Run) -> None:
    command = [
        *("compress", "--load-weights", "tiny.pth", "--nncf-quantization", "--epochs", "1"),
        *("--batch-size", "2", "--gpu-num", "0", "--workers", "0", "--formats", "openvino"),
        *("--max-drop", "100", "--photos", "2", "--save-checkpoints-to", "out", *DATA),
    ]
    done = run(*command)
    assert done.code in (0, 1), done.err  # the machine says whether it is faster
    assert "epoch 1 of 1: loss" in done.err
    checkpoint = "out/quantized.safetensors"
    assert run("eval", "--load-weights", checkpoint, "--test-ann-files", "faces.json",
               "--test-data-roots", "photos").code == 0  # fmt: skip
    exported = run("export", "--load-weights", checkpoint, "--save-model-to", "again",
                   "--no-verify")  # fmt: skip
    assert exported.code == 0, exported.err
    assert "onnx (int8): skipped: cannot hold what was quantized during training" in exported.out
    assert pocketface.load("again/model_int8.xml").contract.precision == "int8"
    again = run(*command)
    assert again.code == 2
    assert "out/quantization/latest.pth: is there already" in again.err
    resumed = run(*command, "--resume")
    assert resumed.code in (0, 1), resumed.err
    assert "epoch" not in resumed.err  # it has ended


@pytest.mark.skipif(find_spec("nncf") is None, reason="needs nncf")
def test_training_in_bf16(run: Run) -> None:
    done = run(
        *("compress", "--load-weights", "tiny.pth", "--epochs", "2", "--batch-size", "2"),
        *("--filter-pruning", "--nncf-sparsity", "--nncf-quantization"),
        *("--train-precision", "bf16-mixed", "--gpu-num", "0", "--workers", "0"),
        *("--formats", "openvino", "--max-drop", "100", "--photos", "2"),
        *("--save-checkpoints-to", "out", *DATA),
    )
    assert done.code in (0, 1), done.err
    for stage in ("pruning", "sparsity", "quantization"):
        receipt = yaml.safe_load(Path("out", stage, "receipt.yaml").read_text())
        assert receipt["starts"][0]["settings"]["precision"] == "bf16-mixed"
    assert read_weights(Path("out/quantized.safetensors")).hooks is not None


def test_what_is_asked_for_is_what_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[CompressRequest] = []

    def see(request: CompressRequest) -> None:
        asked.append(request)
        raise UserError("seen")

    monkeypatch.setattr("pocketface.compressing.run.compress", see)
    done = run(
        *("compress", "--load-weights", "tiny.pth", "--nncf-quantization", "--seed", "7"),
        *("--photos", "5", "--max-drop", "2", "--goal", "size", "--formats", "onnx,litert"),
        *("--precision", "int8,fp16", "--epochs", "3", "--batch-size", "4", "--gpu-num", "0"),
        *("--base-learning-rate", "0.25", "--workers", "0", "--train-precision", "bf16-mixed"),
        *("--resume", "--save-checkpoints-to", "out", *DATA),
    )
    assert done.err == "pocketface: error: seen\n"
    (request,) = asked
    training = request.training
    assert training is not None
    assert (request.seed, training.seed) == (7, 7)  # of the choice of photos, and of the training
    assert (request.photos, request.max_drop, request.goal) == (5, 2, "size")
    assert (request.formats, request.precisions) == (["onnx", "litert"], ["int8", "fp16"])
    assert (request.post_training, request.quantization) == (False, True)
    assert request.folder == training.folder == Path("out")
    assert request.train == training.labels == Labels([Path("faces.json")], [Path("photos")])
    assert request.validation == request.train
    assert (training.epochs, training.batch_size, training.base_learning_rate) == (3, 4, 0.25)
    assert (training.gpu_num, training.workers, training.resume) == (0, 0, True)
    assert training.precision == "bf16-mixed"
