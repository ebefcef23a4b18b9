"""The table of tasks, and that each of them passes the suite of `every_task`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import pocketface
from pocketface.errors import TemplateError, UserError
from pocketface.model_templates.contract import Metric
from pocketface.tasks import TASKS, task_of
from pocketface.tasks.describe import contract_for
from pocketface.tasks.templates import open_template, parse_template

from .every_task import EveryTask

TINY = (Path(__file__).parents[1] / "tiny_template.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_the_suite(name: str) -> None:
    """In `tests/tasks/<its folder>/test_suite.py`."""
    module = importlib.import_module(f".{TASKS[name]}.test_suite", __package__)
    suites = [one for one in vars(module).values() if isinstance(one, type)]
    assert [one.NAME for one in suites if issubclass(one, EveryTask) and one is not EveryTask] == [
        name
    ]


def test_unknown_tasks_are_refused_with_the_known_ones() -> None:
    known = ", ".join(TASKS)
    with pytest.raises(UserError, match=f"unknown task 'ears': expected one of {known}"):
        task_of("ears")
    text = TINY.replace("problem: face-detection", "problem: ears")
    with pytest.raises(TemplateError, match=f"my.yaml: problem: .*'ears'.* {known}"):
        parse_template(text, source="my.yaml")


def test_a_checkpoint_of_a_task_of_long_ago(tmp_path: Path) -> None:
    """It is refused by name; with a template of today for the same network it is as good as new."""
    torch = pytest.importorskip("torch")
    from pocketface.models.network import Network
    from pocketface.models.weights import read_weights, write_weights

    file, today = tmp_path / "old.pth", tmp_path / "template.yaml"
    today.write_text(TINY, encoding="utf-8")
    torch.manual_seed(0)
    state = Network(parse_template(TINY, source="tiny").architecture).state_dict()
    text = TINY.replace("problem: face-detection", "problem: eye-detection")
    metric = Metric(key="ap", display_name="AP", value=1, unit="%")
    write_weights(file, template_text=text, state_dict=state, epochs=1, metrics=[metric])
    known = ", ".join(TASKS)
    with pytest.raises(
        UserError, match=rf"old\.pth: its problem is 'eye-detection': expected one of {known}"
    ):
        pocketface.load(file)
    weights = read_weights(file).described_by(open_template(today))
    contract = contract_for(weights.template, weights=weights)
    assert contract.task == "face-detection"
    assert contract.metrics == ()  # nobody knows how they were measured
