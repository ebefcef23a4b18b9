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

import cv2
import pytest
import torch
import yaml

from pocketface.errors import TemplateError, UserError
from pocketface.files import sha256_file
from pocketface.model_templates.catalogue import shipped_weights, template_path
from pocketface.model_templates.dense_heads import DenseHeadSpec, DenseLossSpec
from pocketface.models.dense_head import DensePredictions, grid_points
from pocketface.models.weights import read_weights
from pocketface.tasks.detection.distillation import distillation_loss, find_teacher
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template
from pocketface.training.fit import fit
from pocketface.training.request import FitRequest

from ...small_training import with_template

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


def test_what_is_no_face_is_learnt_in_all_cells() -> None:
    """The teacher is sure of one face; the pupil sees another where the teacher sees none."""
    taught = four_cells([0.8, 0.05, 0.05, 0.05])
    pupil = four_cells([0.8, 0.6, 0.05, 0.05])
    loss = distillation_loss(pupil, taught, spec=HEAD)["taught_class"]
    # |0.05 - 0.6|^2 times the cross-entropy, over the one face.
    entropy = -(0.05 * math.log(0.6) + 0.95 * math.log(0.4))
    assert loss.item() == pytest.approx(0.55**2 * entropy, rel=1e-5)
    loss.backward()
    assert pupil.class_logits.grad is not None
    assert pupil.class_logits.grad[0, 1] > 0.1


def test_what_one_of_them_lacks_is_not_learnt() -> None:
    taught = replace(four_cells([0.8] * 4), landmarks=None)
    assert "taught_landmark" not in distillation_loss(four_cells([0.5] * 4), taught, spec=HEAD)
    nothing = distillation_loss(four_cells([0.5] * 4), four_cells([0.01] * 4), spec=HEAD)
    assert nothing["taught_box"].item() == 0
    assert nothing["taught_class"].item() > 0


def taught(settings: FitRequest, *, repeats: int = 1, **distillation: Any) -> FitRequest:
    return with_template(
        settings,
        lambda content: content["hyper_parameters"].update(
            repeats=repeats, distillation=distillation
        ),
    )


def unlabelled(airport: Labels, folder: Path) -> Labels:
    """Six faces of 96 x 96 with what is around them, which no label says are any."""
    (labels,), (root,) = airport.files, airport.roots
    content = json.loads(labels.read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in content["images"]}
    largest = sorted(content["annotations"], key=lambda one: one["bbox"][2], reverse=True)[:6]
    images, annotations = [], []
    for number, annotation in enumerate(largest):
        x, y, w, h = (value / 3 for value in annotation["bbox"])
        top, left = max(0, int(y + h / 2) - 48), max(0, int(x + w / 2) - 48)
        photo = cv2.imread(str(root / names[annotation["image_id"]]))
        assert photo is not None
        cut = photo[top : top + 96, left : left + 96]
        assert cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(cut, (96, 96)))
        images.append({"id": number, "file_name": f"{number}.png", "width": 96, "height": 96})
        annotations.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [0, 0, 96, 96]}
            | {"iscrowd": 1}
        )
    content |= {"images": images, "annotations": annotations}
    (folder / "unlabelled.json").write_text(json.dumps(content), encoding="utf-8")
    return Labels([folder / "unlabelled.json"], [folder])


def test_a_training_learns_from_its_teacher(
    settings: FitRequest, airport: Labels, tmp_path: Path
) -> None:
    recipe: dict[str, Any] = {
        "optimizer": {"type": "adamw", "gradient_clip": 10.0},
        "augmentation": {"crop": "zoom", "scales": [1.0], "size": 96, "photometric": False},
        "schedule": {"type": "cosine"},
        "basic": {"batch_size": 6, "base_learning_rate": 0.003, "epochs": 3},
    }
    settings = with_template(
        replace(settings, train=unlabelled(airport, tmp_path), epochs=3),
        lambda content: content["hyper_parameters"].update(recipe),
    )
    report = fit(taught(settings, teacher=TEACHER, repeats=12))
    log = (settings.output / "logs" / "csv" / "version_0" / "metrics.csv").read_text()
    rows = [row for row in csv.DictReader(io.StringIO(log)) if row["train/taught_box"]]
    assert len(rows) == 3
    for part in ("class", "box", "landmark"):
        losses = [float(row[f"train/taught_{part}"]) for row in rows]
        assert losses[-1] < 0.8 * losses[0], (part, losses)
    assert max(float(row["train/box"]) for row in rows) == 0
    # The pupil alone is in the checkpoint, and the receipt says who taught it.
    assert read_weights(report.latest).template.hyper_parameters.distillation is not None
    receipt = yaml.safe_load((settings.output / "receipt.yaml").read_text())
    (teacher,) = receipt["starts"][0]["files"]["teacher"]
    path = shipped_weights(open_template(TEACHER))
    assert path is not None
    assert teacher["sha256"] == read_weights(path).sha256


def test_a_checkpoint_teaches_too(settings: FitRequest, tmp_path: Path) -> None:
    first = fit(replace(settings, epochs=1))
    second = replace(taught(settings, teacher=str(first.latest)), output=tmp_path / "second")
    assert fit(replace(second, epochs=1)).latest.exists()


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("face-detection-q", r"\.teacher: .*/face-detection-q: no such file; expected weights"),
        ("face-detection-0206", "face-detection-0206: ships no weights"),
        ("glasses-n", "glasses-n: its cells are others; .* dense head of strides .8, 16, 32"),
        ("nowhere.pth", "nowhere.pth: no such file; expected weights"),
    ],
)
def test_a_teacher_that_cannot_teach(settings: FitRequest, teacher: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit(replace(taught(settings, teacher=teacher), epochs=1))
    assert not settings.output.exists()


def test_a_teacher_that_is_a_template_beside(settings: FitRequest) -> None:
    """Its path begins where that of a weights file does."""
    shipping = template_path("face-detection-m")
    shutil.copytree(shipping.parent, settings.template.path.parent / "big")
    teacher = find_teacher(taught(settings, teacher="big").template)
    assert teacher is not None
    assert teacher.sha256 == sha256_file(shipping.with_name("weights.safetensors"))


def test_boxes_of_anchors_have_no_teacher(settings: FitRequest) -> None:
    path = settings.template.path
    path.write_text(template_path("face-detection-0200").read_text(encoding="utf-8"))
    with pytest.raises(TemplateError, match=r"distillation wants architecture\.head\.type 'dense'"):
        taught(settings, teacher=TEACHER)
