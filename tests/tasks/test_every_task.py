"""The table of tasks, and that each of them passes the suite of `every_task`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pocketface.errors import TemplateError, UserError
from pocketface.tasks import TASKS, task_of
from pocketface.tasks.templates import parse_template

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
