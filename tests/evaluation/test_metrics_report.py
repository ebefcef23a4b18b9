"""metrics.yaml: what it holds, and that it is whole or not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

import pocketface
from pocketface.errors import DataError, UserError
from pocketface.evaluation.report import check_replaced, metrics_of, write_metrics
from pocketface.model_templates.contract import Metric
from pocketface.model_templates.strict_yaml import read_yaml
from pocketface.tasks.detection.measure import FIGURES


def test_figures_become_metrics_in_percent() -> None:
    metrics = metrics_of(FIGURES, {"ap50": 0.876543, "ap_small": None, "images": 500})
    assert [(m.key, m.value, m.unit) for m in metrics] == [
        ("ap50", 87.65, "%"),
        ("ap_small", None, "%"),
        ("images", 500.0, "photos"),
    ]
    assert metrics[0].display_name == "AP @ [IoU=0.50]"
    assert [m.protocol for m in metrics_of(FIGURES, {"ap": 0.5}, protocol="p")] == ["p"]
    with pytest.raises(KeyError, match="colour"):
        metrics_of(FIGURES, {"colour": 0.5})


def test_writes_what_it_is_told(tmp_path: Path) -> None:
    model = tmp_path / "model.xml"
    model.write_bytes(b"weights")
    path = tmp_path / "new" / "metrics.yaml"
    write_metrics(
        path,
        [
            *metrics_of(FIGURES, {"ap50": 0.876543, "ap_small": None, "images": 500}),
            Metric(key="ms", display_name="Größe", value=1.23456, unit="ms", protocol="1 thread"),
        ],
        protocol={"images": 500, "input": "letterbox 640", "score_floor": 1e-5, "size": (3, 4)},
        files={"model": model},
    )
    expected = {
        "metrics": [
            {"key": "ap50", "display_name": "AP @ [IoU=0.50]", "value": 87.65, "unit": "%"},
            {
                "key": "ap_small",
                "display_name": "AP for small faces (area < 32²)",
                "value": None,
                "unit": "%",
            },
            {"key": "images", "display_name": "Photos measured", "value": 500, "unit": "photos"},
            {
                "key": "ms",
                "display_name": "Größe",
                "value": 1.23456,
                "unit": "ms",
                "protocol": "1 thread",
            },
        ],
        "protocol": {
            "images": 500,
            "input": "letterbox 640",
            "score_floor": 1e-5,
            "size": [3, 4],
        },
        "files": [
            {
                "path": model.as_posix(),
                "sha256": hashlib.sha256(b"weights").hexdigest(),
                "role": "model",
            }
        ],
        "pocketface": pocketface.__version__,
    }
    assert yaml.safe_load(path.read_text("utf-8")) == expected
    assert read_yaml(path) == expected
    assert [file.name for file in path.parent.iterdir()] == ["metrics.yaml"]


def test_a_missing_file_leaves_the_old_report(tmp_path: Path) -> None:
    path = tmp_path / "metrics.yaml"
    path.write_text("old")
    with pytest.raises(DataError, match=r"gone\.onnx: cannot be read: No such file"):
        write_metrics(path, [], protocol={}, files={"model": tmp_path / "gone.onnx"})
    assert path.read_text() == "old"


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=f"'{tmp_path / 'file'}"):
        write_metrics(tmp_path / "file" / "metrics.yaml", [], protocol={}, files={})


def test_what_metrics_replace(tmp_path: Path) -> None:
    path = tmp_path / "metrics.yaml"
    check_replaced(path, "--save-metrics-to")
    path.touch()
    check_replaced(path, "--save-metrics-to")
    write_metrics(path, [], protocol={}, files={})
    check_replaced(path, "--save-metrics-to")
    path.write_text("architecture: {}\n")
    with pytest.raises(UserError, match=r"--save-metrics-to .*metrics\.yaml: is there already"):
        check_replaced(path, "--save-metrics-to")
