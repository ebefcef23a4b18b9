"""Finding templates by name and by path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pocketface.errors import TemplateError
from pocketface.model_templates import find_template, template_names, template_path
from pocketface.tasks.detection.rules import augmentation_of
from pocketface.tasks.templates import open_template

PUBLISHED = ["0200", "0202", "0204", "0205", "0206", "0207"]


def test_the_published_six_are_there_and_sorted() -> None:
    names = template_names()
    assert names == sorted(names)
    assert {f"face-detection-{n}" for n in PUBLISHED} <= set(names)


def test_names_are_given_once() -> None:
    root = template_path("face-detection-0200").parents[2]
    files = list(root.glob("*/*/template.yaml"))
    assert len(files) == len(template_names())


@pytest.mark.parametrize("name", [f"face-detection-{n}" for n in PUBLISHED if n != "0200"])
def test_the_published_recipe(name: str) -> None:
    template = open_template(name).spec
    recipe = template.hyper_parameters
    assert (recipe.basic.epochs, recipe.repeats) == (70, 2)
    assert recipe.basic.base_learning_rate == 0.05
    assert (recipe.optimizer.momentum, recipe.optimizer.weight_decay) == (0.9, 5e-4)
    assert recipe.schedule.type == "step"
    assert recipe.schedule.milestones == [40, 55, 65]
    assert recipe.schedule.warmup_iterations == 1200
    augmentation = augmentation_of(template)
    assert (augmentation.crop, augmentation.flip, augmentation.photometric) == ("iou", 0.5, True)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("face-detection-200", "face-detection-0200"),
        ("face_detection_0207", "face-detection-0207"),
        ("face-detection-N", "face-detection-n"),
    ],
)
def test_an_unknown_name_lists_the_choices_and_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(TemplateError) as caught:
        find_template(wrong)
    assert repr(wrong) in str(caught.value)
    assert all(name in str(caught.value) for name in template_names())
    assert caught.value.hint == f"did you mean {nearest!r}?"


def test_nothing_near_no_hint() -> None:
    with pytest.raises(TemplateError) as caught:
        template_path("zzz")
    assert caught.value.hint is None


def test_by_name_by_file_and_by_folder(tmp_path: Path) -> None:
    known = template_path("face-detection-0200")
    assert find_template("face-detection-0200") == known
    own = tmp_path / "template.yaml"
    own.write_bytes(known.read_bytes())
    assert find_template(own) == own
    assert find_template(str(tmp_path)) == own
    assert open_template(tmp_path).spec == open_template("face-detection-0200").spec


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"a folder without template\.yaml"):
        find_template(tmp_path)
    for path in (tmp_path / "none" / "template.yaml", Path("none.yaml")):
        with pytest.raises(TemplateError, match="no such file"):
            find_template(path)


def test_names_cost_no_heavy_import() -> None:
    code = (
        "import sys; from pocketface.model_templates import template_names; template_names();"
        "print([m for m in ('pydantic', 'yaml', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
