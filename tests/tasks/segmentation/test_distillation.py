"""Learning from a larger segmenter: the loss by definition, and teachers that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from pocketface.errors import UserError
from pocketface.model_templates.schema import TemplateFile
from pocketface.models.network import make_network
from pocketface.tasks.segmentation.distillation import MaskTeacher, find_teacher
from pocketface.tasks.templates import open_template

from .tiny_segmenter import FOUR, TINY, write_weights_of

RECIPE = "  schedule: {type: cosine}\n"


def student(folder: Path, teacher: str, text: str = TINY) -> TemplateFile:
    path = folder / "student.yaml"
    taught = f"{RECIPE}  distillation: {{teacher: {teacher}, weight: 2.0}}\n"
    path.write_text(text.replace(RECIPE, taught))
    return open_template(path)


def test_a_template_without_a_teacher(tmp_path: Path) -> None:
    (tmp_path / "alone.yaml").write_text(TINY)
    assert find_teacher(open_template(tmp_path / "alone.yaml")) is None


@pytest.mark.parametrize("text", [TINY, FOUR])
def test_the_loss_is_the_divergence(tmp_path: Path, text: str) -> None:
    write_weights_of(tmp_path, text)
    template = student(tmp_path, "weights.safetensors", text)
    teacher = find_teacher(template)
    assert isinstance(teacher, MaskTeacher)
    images = torch.rand(2, 3, 64, 64) * 255
    taught = teacher._network(images, raw=True)
    assert teacher.losses(images, taught)["taught"].item() == pytest.approx(0, abs=1e-6)
    logits = torch.randn_like(taught, requires_grad=True)
    loss = teacher.losses(images, logits)["taught"]
    if text == TINY:
        share = taught.sigmoid()
        entropy = functional.binary_cross_entropy(share, share)
        expected = functional.binary_cross_entropy_with_logits(logits, share) - entropy
    else:
        share = taught.softmax(1)
        entropy = functional.cross_entropy(taught, share)
        expected = functional.cross_entropy(logits, share) - entropy
    assert loss.item() == pytest.approx(2 * expected.item(), rel=1e-4)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() > 0
    assert all(one.grad is None for one in teacher._network.parameters())


def test_a_training_has_the_loss(tmp_path: Path) -> None:
    from pocketface.tasks.segmentation.head_crops import MaskTargets
    from pocketface.tasks.segmentation.learn import learner

    write_weights_of(tmp_path)
    template = student(tmp_path, "weights.safetensors")
    made = learner(template.spec, [], teacher=find_teacher(template))
    targets = MaskTargets(torch.zeros(2, 64, 64, dtype=torch.uint8), torch.arange(2))
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    losses = made.losses(make_network(template.spec.architecture), images, targets, seed=0)
    assert set(losses) == {"cross_entropy", "taught"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("[face]", "[skin]"), r"its dataset\.classes is \['skin'\]: expected \['face'\]"),
        (("0.475]", "0.4]"), "its input is .*: expected .* as the student's"),
    ],
)
def test_teachers_that_do_not_fit(tmp_path: Path, changed: tuple[str, str], message: str) -> None:
    write_weights_of(tmp_path, TINY.replace(*changed))
    with pytest.raises(UserError, match=message):
        find_teacher(student(tmp_path, "weights.safetensors"))


def test_teachers_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unet-resnet50: ships no weights"):
        find_teacher(student(tmp_path, "unet-resnet50"))
    with pytest.raises(
        UserError, match=r"yaml: .*\.teacher: .*/nobody: no such file; expected wei"
    ):
        find_teacher(student(tmp_path, "nobody"))
