"""A whole training of each kind of published recipe, shrunken, on three drawn photos."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml

from pocketface import load
from pocketface.model_templates.catalogue import template_path
from pocketface.models.weights import read_weights
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template
from pocketface.training.fit import fit
from pocketface.training.request import Arithmetic, FitRequest

SIDE = 128
Recipe = dict[str, Any]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of 160 x 200 with a pale disc each on dark noise, as COCO."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i, (x, y, radius) in enumerate([(60, 60, 22), (140, 90, 30), (90, 100, 26)], start=1):
        photo = rng.integers(0, 90, (160, 200, 3), dtype=np.uint8)
        cv2.circle(photo, (x, y), radius, (190, 210, 240), -1)
        cv2.imwrite(str(tmp_path / f"{i}.png"), photo)
        images.append({"id": i, "file_name": f"{i}.png", "width": 200, "height": 160})
        box = [x - radius, y - radius, 2 * radius, 2 * radius]
        annotations.append({"id": i, "image_id": i, "category_id": 1, "bbox": box})
    categories = [{"id": 1, "name": "face"}]
    path = tmp_path / "faces.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def _template(folder: Path, name: str, change: Callable[[Recipe], None]) -> Path:
    """A published template with a small input, batches of three and one milestone."""
    content: Recipe = yaml.safe_load(template_path(name).read_text(encoding="utf-8"))
    content["name"] = "small"
    content["input"] |= {"height": SIDE, "width": SIDE}
    recipe = content["hyper_parameters"]
    # Numbers that PyYAML reads as text.
    recipe["optimizer"]["weight_decay"] = 5e-4
    content["optimisations"] = {"nncf_quantization": None, "nncf_sparsity": None}
    recipe["basic"] |= {"batch_size": 3, "base_learning_rate": 0.02, "epochs": 4}
    recipe["schedule"] |= {"milestones": [3], "warmup_iterations": 0}
    recipe["repeats"] = 8
    content["gpu_num"] = 1
    change(content)
    path = folder / "template.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _ssd(content: Recipe) -> None:
    content["architecture"]["backbone"]["width"] = 0.25


def _fcos(content: Recipe) -> None:
    content["architecture"]["backbone"]["width"] = 0.25
    content["architecture"]["head"]["tower"] = 1


def _logged(output: Path) -> list[dict[str, float]]:
    """The mean losses of each epoch."""
    (log,) = output.glob("logs/csv/version_*/metrics.csv")
    with log.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("train/loss_epoch")]
    return [{key: float(value) for key, value in row.items() if value} for row in rows]


@pytest.mark.parametrize(
    ("name", "change", "precision", "parts"),
    [
        ("face-detection-0202", _ssd, "32-true", {"class", "box"}),
        ("face-detection-0205", _fcos, "32-true", {"class", "box", "centerness"}),
        pytest.param(
            *("face-detection-0205", _fcos, "bf16-mixed", {"class", "box", "centerness"}),
            marks=pytest.mark.full,  # slow where the processor has no such arithmetic
        ),
    ],
    ids=["ssd", "fcos", "fcos-bf16"],
)
def test_a_published_recipe_trains_end_to_end(
    photos: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[Recipe], None],
    precision: Arithmetic,
    parts: set[str],
) -> None:
    output = tmp_path / "out"
    report = fit(
        FitRequest(
            template=open_template(_template(tmp_path, name, change)),
            train=Labels([photos], [tmp_path]),
            output=output,
            workers=0,
            gpu_num=0,
            progress=False,
            precision=precision,
        )
    )
    epochs = _logged(output)
    assert len(epochs) == report.epochs == 4
    for epoch in epochs:
        for part in parts:
            assert math.isfinite(epoch[f"train/{part}"])
            assert epoch[f"train/{part}"] > 0
    assert epochs[-1]["train/loss_epoch"] < 0.9 * epochs[0]["train/loss_epoch"]

    checkpoint = torch.load(report.latest, weights_only=True)
    # Eight steps an epoch (repeats); SGD with momentum; a tenth behind the milestone.
    assert checkpoint["global_step"] == 32
    (optimizer,) = checkpoint["optimizer_states"]
    assert optimizer["param_groups"][0]["lr"] == pytest.approx(0.002)
    assert all("momentum_buffer" in state for state in optimizer["state"].values())
    weights = read_weights(report.latest).state_dict
    assert all(value.dtype != torch.bfloat16 for value in weights.values())
    assert all(value.isfinite().all() for value in weights.values())

    found = load(report.latest).predict(cv2.imread(str(tmp_path / "2.png")), score_threshold=0.0)
    assert len(found.boxes) > 0
    assert np.isfinite(found.boxes).all()
    assert found.boxes.min() >= -200
    assert found.boxes.max() <= 400
