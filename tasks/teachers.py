"""The weights of a teacher that a template's recipe names, for any task. Imports torch."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..model_templates.catalogue import shipped_weights, template_names
from ..model_templates.schema import TemplateFile
from ..models.weights import Weights, read_weights
from ..models.weights_formats import READERS
from .templates import open_template

TEACHER_KEY = "hyper_parameters.distillation.teacher"
INPUT_KEY = "hyper_parameters.distillation.input"


def teacher_weights(student: TemplateFile) -> Weights | None:
    """The weights of the teacher that a template's recipe names; None if it names none.

    A teacher's path is relative to the template's folder.

    Raises:
        UserError: The template or file does not exist, the template ships no weights, or `input`
            is there, which is for files of other people.
    """
    spec = student.spec.hyper_parameters.distillation
    if spec is None:
        return None
    if spec.input is not None:
        raise UserError(
            f"{INPUT_KEY}: {spec.teacher} is to be a model of ours, which says how it takes images"
        )
    file = student.path.parent / spec.teacher
    if file.suffix in READERS:
        path: Path | None = file
    else:
        beside = file.exists() and spec.teacher not in template_names()
        path = shipped_weights(open_template(file if beside else spec.teacher))
    if path is None:
        raise UserError(
            f"{TEACHER_KEY}: {spec.teacher}: ships no weights",
            hint="name another one, or a checkpoint of it",
        )
    return read_weights(path)
