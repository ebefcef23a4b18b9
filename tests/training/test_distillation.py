"""Learning from a larger detector: the losses by hand, a whole training, and wrong teachers."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pocketface.errors import TemplateError, UserError
from pocketface.files import sha256_file
from pocketface.model_templates.architecture import DenseHeadSpec, DenseLossSpec
from pocketface.model_templates.catalogue import template_path
from pocketface.tasks.templates import load_template
from pocketface.models.dense_head import DensePredictions, grid_points
from pocketface.models.weights import read_weights, shipped_weights
from pocketface.tasks.templates import open_template
from pocketface.tasks.detection.distillation import distillation_loss, find_teacher
from pocketface.training.fit import fit

TEACHER = "face-detection-n"
HEAD = DenseHeadSpec(
    type="dense",
    strides=[8],
    channels=8,
    tower=1,
    shared=False,
    norm="none",
    landmarks=True,
    loss=DenseLossSpec(
        assigner="atss",
        classification="quality_focal",
        box="iou",
        box_weight=2.0,
        landmark_weight=0.1,
    ),
)


def four_cells(
    scores: list[float], *, distance: float = 2.0, landmark: float = 0.0
) -> DensePredictions:
    return DensePredictions(
        class_logits=torch.logit(torch.tensor([scores])).requires_grad_(),
        distances=torch.full((1, 4, 4), distance, requires_grad=True),
        centerness_logits=None,
        landmarks=torch.full((1, 4, 10), landmark, requires_grad=True),
        points=grid_points(2, 2, 8, device=torch.device("cpu")),
        strides=torch.full((4,), 8.0),
        level_sizes=(4,),
    )


def test_nothing_is_to_be_learnt_of_an_equal() -> None:
    scores = [0.9, 0.5, 0.2, 0.01]
    losses = distillation_loss(four_cells(scores), four_cells(scores), spec=HEAD)
    assert set(losses) == {"taught_class", "taught_box", "taught_landmark"}
    for loss in losses.values():
        assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_the_losses_by_hand() -> None:
    taught = four_cells([0.8, 0.8, 0.05, 0.05])
    pupil = four_cells([0.8, 0.5, 0.05, 0.05], distance=1.0, landmark=3.0)
    losses = distillation_loss(pupil, taught, spec=HEAD)
    # |0.8 - 0.5|^2 x ln 2, over the teacher's certainty of 1.6.
    assert losses["taught_class"].item() == pytest.approx(0.09 * math.log(2) / 1.6, rel=1e-5)
    # A box of half the side has IoU 1/4; a point 3 strides off costs 2.5 in x and in y.
    assert losses["taught_box"].item() == pytest.approx(2.0 * 0.75, rel=1e-5)
    assert losses["taught_landmark"].item() == pytest.approx(0.1 * 10 * 2.5, rel=1e-5)

    torch.stack(list(losses.values())).sum().backward()
    assert pupil.distances.grad is not None
    assert pupil.distances.grad[0, :2].abs().sum() > 0
    assert pupil.distances.grad[0, 2:].abs().sum() == 0  # there the teacher saw no face


def test_what_one_of_them_lacks_is_not_learnt() -> None:
    taught = replace(four_cells([0.8] * 4), landmarks=None)
    assert "taught_landmark" not in distillation_loss(four_cells([0.5] * 4), taught, spec=HEAD)
    nothing = distillation_loss(four_cells([0.5] * 4), four_cells([0.01] * 4), spec=HEAD)
    assert nothing["taught_box"].item() == 0
    assert nothing["taught_class"].item() > 0


def with_teacher(template: Path, *, repeats: int = 1, **distillation: Any) -> Path:
    content = yaml.safe_load(template.read_text(encoding="utf-8"))
    content["hyper_parameters"]["repeats"] = repeats
    content["hyper_parameters"]["distillation"] = distillation
    path = template.with_name("with_teacher.yaml")
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_training_learns_from_its_teacher(settings: dict[str, Any], tmp_path: Path) -> None:
    # No label says where a face is: all are ignored.
    (labels,) = settings["train_annotations"]
    content = json.loads(labels.read_text(encoding="utf-8"))
    content["annotations"] = [one | {"iscrowd": 1} for one in content["annotations"]]
    settings["train_annotations"] = [tmp_path / "ignored.json"]
    settings["train_annotations"][0].write_text(json.dumps(content), encoding="utf-8")
    settings["template"] = with_teacher(settings["template"], teacher=TEACHER, repeats=24)
    report = fit(**settings, epochs=4)
    log = (settings["output"] / "logs" / "csv" / "version_0" / "metrics.csv").read_text()
    rows = [row for row in csv.DictReader(io.StringIO(log)) if row["train/taught_box"]]
    assert len(rows) == 4
    for part in ("class", "box", "landmark"):
        losses = [float(row[f"train/taught_{part}"]) for row in rows]
        assert losses[-1] < 0.8 * losses[0], (part, losses)
    assert max(float(row["train/box"]) for row in rows) == 0
    # The pupil alone is in the checkpoint, and the receipt says who taught it.
    assert read_weights(report.latest).template.hyper_parameters.distillation is not None
    receipt = yaml.safe_load((settings["output"] / "receipt.yaml").read_text())
    (teacher,) = receipt["starts"][0]["files"]["teacher"]
    path = shipped_weights(open_template(TEACHER))
    assert path is not None
    assert teacher["sha256"] == read_weights(path).sha256


def test_a_checkpoint_teaches_too(settings: dict[str, Any], tmp_path: Path) -> None:
    first = fit(**settings, epochs=1)
    settings |= {
        "template": with_teacher(settings["template"], teacher=str(first.latest)),
        "output": tmp_path / "second",
    }
    assert fit(**settings, epochs=1).latest.exists()


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("face-detection-q", "unknown template 'face-detection-q'"),
        ("face-detection-0206", "face-detection-0206: ships no weights"),
        ("glasses-n", "glasses-n: its cells are others; .* dense head of strides .8, 16, 32"),
        ("nowhere.pth", "nowhere.pth: cannot be read"),
    ],
)
def test_a_teacher_that_cannot_teach(settings: dict[str, Any], teacher: str, message: str) -> None:
    settings["template"] = with_teacher(settings["template"], teacher=teacher)
    with pytest.raises(UserError, match=message):
        fit(**settings, epochs=1)
    assert not settings["output"].exists()


def test_a_teacher_that_is_a_template_beside(settings: dict[str, Any]) -> None:
    """Its path begins where that of a weights file does."""
    shipping = template_path("face-detection-m")
    shutil.copytree(shipping.parent, settings["template"].parent / "big")
    path = with_teacher(settings["template"], teacher="big")
    teacher = find_teacher(load_template(path), path.parent)
    assert teacher is not None
    assert teacher.sha256 == sha256_file(shipping.with_name("weights.safetensors"))


def test_boxes_of_anchors_have_no_teacher(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(template_path("face-detection-0200").read_text(encoding="utf-8"))
    with pytest.raises(TemplateError, match=r"distillation wants architecture\.head\.type 'dense'"):
        load_template(with_teacher(path, teacher=TEACHER))
