"""The scripts can be started, and say so when they cannot go on."""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pocketface.tasks.recognition.rules import head_of
from pocketface.tasks.templates import open_template
from pocketface.tools.ablations import edited
from pocketface.tools.recognition_ablations import TEMPLATE, rows

TOOLS = Path(__file__).parents[2] / "tools"
SCRIPTS = sorted(set(TOOLS.glob("*.py")) - {TOOLS / "running.py"})  # what they share


def run(script: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Its exit code. In this process: each would take seconds to import what all need."""
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_of_each_script(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(script, monkeypatch, "--help") == 0
    assert f"usage: {script.name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ablations.py", "segmentation_ablations.py"])
def test_each_ablation_makes_a_template(name: str, tmp_path: Path) -> None:
    script = runpy.run_path(str(TOOLS / name))
    for index, change in enumerate(script["CHANGES"].values()):
        base = {} if getattr(change, "as_it_ships", True) else script["BASE"]
        edits = {"initial_weights": None, **base, **change.edits}
        open_template(edited(script["TEMPLATE"], edits, tmp_path / str(index)))


def test_each_recipe_of_two_stages_makes_a_template(tmp_path: Path) -> None:
    overfit = runpy.run_path(str(TOOLS / "two_stage_overfit.py"))
    on_gpus = runpy.run_path(str(TOOLS / "train_two_stage_gpu.py"))
    asked = argparse.Namespace(epochs=2, batch_size=2, rate=1e-3)
    of_trial = argparse.Namespace(gpus=0, trial=True, gradient_checkpoints=True)
    made = {name: overfit["reduced"](name, asked) for name in overfit["TEMPLATES"]}
    made |= {f"{name} on GPUs": on_gpus["recipe"](name, of_trial) for name in on_gpus["TEMPLATES"]}
    for name, content in made.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        open_template(path)


def test_each_row_of_recognition_makes_a_template(tmp_path: Path) -> None:
    every = rows(tmp_path / "teacher.xml")
    for index, (name, row) in enumerate(every.items()):
        template = open_template(edited(TEMPLATE, row.edits, tmp_path / str(index))).spec
        taught = template.hyper_parameters.distillation is not None
        assert taught == ("distilled" in name)
        assert taught or head_of(template).loss is not None


def test_a_service_that_does_not_start_is_an_error() -> None:
    service = runpy.run_path(str(TOOLS / "serve.py"))["service"]
    says = r"the service does not start:\n.*unrecognized arguments"
    with pytest.raises(SystemExit, match=says), service("--no-such-flag"):
        pass


@pytest.mark.parametrize("script", sorted(TOOLS.glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o100, "the documents start it by its name"
