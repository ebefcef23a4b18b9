"""What the rules of all tasks have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from ..errors import TemplateError
from ..model_templates.contract import Contract
from ..model_templates.schema import Template, validate
from ..model_templates.spec import Spec

Kind = TypeVar("Kind", bound=Spec)


def rules_in(kind: type[Kind], rules: Mapping[str, Any]) -> Kind:
    """A contract's `rules` by the schema of its task.

    Raises:
        ValidationError: They do not fit; `check_contract` asks before.
    """
    return kind.model_validate_json(json.dumps(rules))


def why_no_rules(kind: type[Spec], contract: Contract) -> str | None:
    """Why a contract's `rules` are none of this schema; None where they are."""
    try:
        rules_in(kind, contract.rules)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("rules", *first["loc"]))
        return f"{where}: {first['msg']}"
    return None


def augmentation_in(kind: type[Kind], template: Template, *, source: str = "") -> Kind:
    """A template's `augmentation` by the schema of its task.

    Raises:
        TemplateError: It does not fit.
    """
    content = template.hyper_parameters.augmentation
    return validate(kind, content, source=source, under="hyper_parameters.augmentation")


def inference_in(kind: type[Kind], template: Template, *, source: str = "") -> Kind:
    """Likewise of a template's `inference`."""
    return validate(kind, template.inference, source=source, under="inference")


def check_classes(template: Template, count: int, *, source: str) -> None:
    """Refuse another number of classes than the task tells apart, or one that stands twice.

    Raises:
        TemplateError: It is so.
    """
    classes = template.dataset.classes
    if len(set(classes)) != count or len(classes) != count:
        raise TemplateError(
            f"{source}: dataset.classes is {classes}: expected {count} for problem "
            f"{template.problem!r}, each once"
        )


def refuse_unless(fits: bool, key: str, template: Template, *, source: str) -> None:
    """Refuse a template one of whose parts is of another task.

    Raises:
        TemplateError: `fits` is false; the message names the key.
    """
    if not fits:
        raise TemplateError(f"{source}: {key} does not fit problem {template.problem!r}")
