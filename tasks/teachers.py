"""The weights of a teacher that a template's recipe names, for any task. Imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import MissingPackageError, PocketfaceError, UserError
from ..model_templates.catalogue import shipped_weights, template_names
from ..model_templates.schema import TemplateFile
from ..models.weights import Weights, read_weights
from ..models.weights_formats import READERS
from .templates import open_template

TEACHER_KEY = "hyper_parameters.distillation.teacher"
INPUT_KEY = "hyper_parameters.distillation.input"


@contextmanager
def named_teacher(student: TemplateFile, *, expected: str) -> Iterator[None]:
    """Let what goes wrong with a teacher name the template and the key, and what is expected."""
    try:
        yield
    except MissingPackageError:
        raise
    except PocketfaceError as error:
        told = str(error)
        end = "" if "expected" in told else f"; expected {expected}"
        raise UserError(f"{student.path}: {TEACHER_KEY}: {told}{end}", hint=error.hint) from error


def teacher_file(student: TemplateFile, name: str) -> Path:
    """The file of a teacher: the weights that ship with a template, or what a path leads to.

    Args:
        student: The template whose recipe names it.
        name: A template's name, or a path relative to the student's folder, of a template or of
            a file of weights or a model.

    Raises:
        UserError: The template ships no weights, or there is no such file.
        TemplateError: The template cannot be read.
    """
    file = student.path.parent / name
    is_name = name in template_names()
    if is_name or file.suffix in (".yaml", ".yml") or (file / "template.yaml").is_file():
        path = shipped_weights(open_template(name if is_name else file))
        if path is None:
            hint = "name another one, or a checkpoint of it"
            raise UserError(f"{name}: ships no weights", hint=hint)
        return path
    if not file.exists():
        raise UserError(f"{file}: no such file")
    if file.is_dir() and not file.suffix:  # some models are folders, with a suffix
        raise UserError(f"{file}: is a folder without template.yaml")
    return file


def teacher_weights(student: TemplateFile) -> Weights | None:
    """The weights of the teacher that a template's recipe names; None if it names none.

    Raises:
        UserError: The file cannot be used, see `teacher_file`; or `input` is there, which is for
            files of other people.
    """
    spec = student.spec.hyper_parameters.distillation
    if spec is None:
        return None
    if spec.input is not None:
        raise UserError(
            f"{student.path}: {INPUT_KEY}: {spec.teacher} is to be a model of ours, which says how "
            "it takes images"
        )
    with named_teacher(student, expected=f"weights ({', '.join(READERS)}), or a template's name"):
        return read_weights(teacher_file(student, spec.teacher))
