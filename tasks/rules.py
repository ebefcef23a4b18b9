"""Common parts of all tasks' rules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from ..errors import TemplateError
from ..model_templates.contract import Contract
from ..model_templates.heads import ClassesHeadSpec, MaskHeadSpec
from ..model_templates.schema import Template, validate
from ..model_templates.spec import Spec

Kind = TypeVar("Kind", bound=Spec)


def rules_in(kind: type[Kind], rules: Mapping[str, Any]) -> Kind:
    """Parse a contract's `rules` by the schema of its task.

    Raises:
        ValidationError: The rules do not fit; `check_contract` tests that before.
    """
    return kind.model_validate_json(json.dumps(rules))


def why_no_rules(kind: type[Spec], contract: Contract) -> str | None:
    """Why a contract's `rules` do not fit this schema; None if they do."""
    try:
        rules_in(kind, contract.rules)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("rules", *first["loc"]))
        return f"{where}: {first['msg']}"
    return None


def augmentation_in(kind: type[Kind], template: Template, *, source: str = "") -> Kind:
    """Parse a template's `augmentation` by the schema of its task.

    Raises:
        TemplateError: The augmentation does not fit.
    """
    content = template.hyper_parameters.augmentation
    return validate(kind, content, source=source, under="hyper_parameters.augmentation")


def inference_in(kind: type[Kind], template: Template, *, source: str = "") -> Kind:
    """Parse a template's `inference` by the schema of its task; raises like `augmentation_in`."""
    return validate(kind, template.inference, source=source, under="inference")


def check_classes(template: Template, count: int, *, source: str) -> None:
    """Refuse a wrong number of classes, or duplicate classes.

    Raises:
        TemplateError: The number is not `count`, or a class occurs twice.
    """
    classes = template.dataset.classes
    if len(set(classes)) != count or len(classes) != count:
        raise TemplateError(
            f"{source}: dataset.classes is {classes}: expected {count} for problem "
            f"{template.problem!r}, each once"
        )


def check_head(
    template: Template, kind: type[ClassesHeadSpec] | type[MaskHeadSpec], *, source: str
) -> None:
    """Refuse a head of another task or of another number of classes, and a classifier's teacher.

    Raises:
        TemplateError: The head is not of `kind` or does not fit `dataset.classes`, or there is a
            teacher, which classifiers cannot have.
    """
    head, classes = template.architecture.head, template.dataset.classes
    if template.hyper_parameters.distillation is not None and kind is ClassesHeadSpec:
        raise TemplateError(
            f"{source}: hyper_parameters.distillation wants architecture.head.type 'dense' "
            f"(found {head.type!r})"
        )
    if not isinstance(head, kind):
        raise _does_not_fit("architecture.head.type", template, source=source)
    if head.classes != len(classes):
        raise TemplateError(
            f"{source}: architecture.head.classes is {head.classes}, but dataset.classes has "
            f"{len(classes)}"
        )


def why_not_aligned(contract: Contract) -> str | None:
    """Why a contract's input does not take aligned faces; None if it does."""
    spec = contract.input
    if spec.resize == "align" and spec.points is not None and len(spec.points) == 5:
        return None
    return f"input resize {spec.resize}: expected align, with five points"


def refuse_unless(fits: bool, key: str, template: Template, *, source: str) -> None:
    """Refuse a template with a part that belongs to another task.

    Raises:
        TemplateError: `fits` is false; the message names the key.
    """
    if not fits:
        raise _does_not_fit(key, template, source=source)


def _does_not_fit(key: str, template: Template, *, source: str) -> TemplateError:
    return TemplateError(f"{source}: {key} does not fit problem {template.problem!r}")
