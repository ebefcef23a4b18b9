"""The table of tasks; each has its own folder for everything that differs by task."""

from __future__ import annotations

from functools import cache

from ..errors import UserError
from .task import Task

TASKS: dict[str, str] = {
    "face-detection": "detection",
    "face-classification": "classification",
    "face-segmentation": "segmentation",
    "face-recognition": "recognition",
}
"""Name of a task in templates and contracts -> its folder here."""


@cache
def task_of(name: str) -> Task:
    """The task of this name; its modules are imported when used.

    Raises:
        UserError: The task is unknown; the message lists the known ones.
    """
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}: expected one of {', '.join(TASKS)}")
    return Task(name, f"{__name__}.{TASKS[name]}")


__all__ = ["TASKS", "Task", "task_of"]
