"""What differs from task to task, one folder for each; and the table of them."""

from __future__ import annotations

from functools import cache

from ..errors import UserError
from .task import Task

TASKS: dict[str, str] = {
    "face-detection": "detection",
    "face-classification": "classification",
}
"""Task, as templates and contracts name it -> its folder here."""


@cache
def task_of(name: str) -> Task:
    """The task of this name; its parts are imported when they are asked for.

    Raises:
        UserError: There is none; the message lists the known ones.
    """
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}: expected one of {', '.join(TASKS)}")
    return Task(name, f"{__name__}.{TASKS[name]}")


__all__ = ["TASKS", "Task", "task_of"]
