"""A template small enough to train in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pocketface.model_templates.catalogue import template_path


@pytest.fixture
def tiny_template(tmp_path: Path) -> Path:
    """face-detection-n with 128-pixel samples and batches of 4."""
    content: dict[str, Any] = yaml.safe_load(
        template_path("face-detection-n").read_text(encoding="utf-8")
    )
    content["name"] = "tiny"
    content["initial_weights"] = None
    content["metrics"] = []
    recipe = content["hyper_parameters"]
    recipe["basic"] |= {"batch_size": 4, "epochs": 2}
    recipe["augmentation"]["size"] = 128
    path = tmp_path / "template.yaml"
    # PyYAML reads 5e-4 as text; written as a plain number it is one again.
    recipe["optimizer"]["weight_decay"] = float(recipe["optimizer"]["weight_decay"])
    quantization = content["optimisations"]["nncf_quantization"]
    quantization["base_learning_rate"] = float(quantization["base_learning_rate"])
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def settings(shared: Path, tiny_template: Path, tmp_path: Path) -> dict[str, Any]:
    """What `fit` is called with: the ten airport photos, without a GPU or processes of its own."""
    return {
        "template": tiny_template,
        "train_annotations": [shared / "airport" / "annotation_faces_train.json"],
        "train_roots": [shared / "airport"],
        "output": tmp_path / "out",
        "workers": 0,
        "gpu_num": 0,
        "progress": False,
    }
