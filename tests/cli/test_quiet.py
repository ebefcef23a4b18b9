"""What other packages say of themselves does not reach the user: in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from pocketface.exporting import EXPORTERS


def _pocketface(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pocketface", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_an_export_of_all_formats_is_a_table_and_nothing_else(place: Path) -> None:
    for exporter in EXPORTERS.values():
        for package in exporter.packages:
            if find_spec(package) is None:
                pytest.skip(f"needs {package}")
    (place / "one").mkdir()
    shutil.copy("photo.jpg", "one")
    done = _pocketface(
        *("export", "--load-weights", "tiny.pth", "--save-model-to", "out"),
        *("--formats", "all", "--photos", "one"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.rstrip().splitlines()
    table = next(index for index, line in enumerate(lines) if "(width x height)" in line)
    assert all("passed, " in line for line in lines[:table])
    title, _, head, rule, *rows = lines[table:]
    assert len(rows) == table
    assert title == "tiny, input 96x64 (width x height)"
    assert head.split()[:3] == ["file", "precision", "MB"]
    assert set(rule) == {"-", " "}
    assert all("passed" in row for row in rows)
    assert {Path(row.split()[0]).suffix for row in rows} == {
        ".xml",
        ".onnx",
        ".mlmodel",
        ".mlpackage",
        ".tflite",
        ".savedmodel",
        ".keras",
        ".pt",
    }


def test_a_training_is_not_told_of_tensorflow(place: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "width": 160, "height": 120}
    face = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 20, 60, 60]}
    labels = {
        "images": [image],
        "annotations": [face],
        "categories": [{"id": 1, "name": "face"}],
    }
    (place / "faces.json").write_text(json.dumps(labels))
    done = _pocketface(
        *("train", "--template", "tiny.yaml", "--train-ann-files", "faces.json"),
        *("--train-data-roots", "photos", "--save-checkpoints-to", "out", "--epochs", "1"),
        *("--batch-size", "1"),
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "epoch 1 of 1" in said
    assert "TensorFlow" not in said
    assert "absl" not in said
