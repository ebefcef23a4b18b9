"""Read templates, and check them by the schema and by the rules of their task."""

from __future__ import annotations

import os
from collections.abc import Mapping

import yaml
from pydantic import JsonValue

from ..errors import TemplateError, UserError
from ..model_templates.catalogue import find_template, template_names, template_path
from ..model_templates.schema import Template, TemplateFile
from ..model_templates.schema import parse_template as parse_by_schema
from ..model_templates.strict_yaml import parse_yaml, read_yaml_text
from . import task_of


def open_template(name_or_path: str | os.PathLike[str]) -> TemplateFile:
    """Find a template (see `find_template`), read it and check it.

    Raises:
        TemplateError: The template does not exist, or see `strict_yaml.read_yaml`; or a key is
            unknown, missing, of the wrong type or range, or does not fit the task. The message
            names file, key, value and what is expected.
    """
    path = find_template(name_or_path)
    text = read_yaml_text(path)
    return TemplateFile(path, text, parse_template(text, source=str(path)))


def parse_template(text: str, *, source: str) -> Template:
    """Parse and check a template's text; `source` is its name in error messages."""
    template = parse_by_schema(text, source=source)
    try:
        task = task_of(template.problem)
    except UserError as error:
        raise TemplateError(f"{source}: problem: {error}") from error
    task.rules.check_template(template, source=source)
    return template


def settled_text(text: str, values: Mapping[str, JsonValue]) -> str:
    """A checked template's text for weights that were just trained.

    What its `inference` had measured of other weights gives way to `values`; the text of a task
    without such keys stays as it is.

    Args:
        text: The template's text.
        values: Values of `tasks.parts.Rules.SETTLED`; none if nothing was measured.
    """
    content = parse_yaml(text, source="template")
    keys = task_of(content["problem"]).rules.SETTLED
    before = content["inference"]
    after = {key: value for key, value in before.items() if key not in keys} | dict(values)
    if after == before:
        return text
    return yaml.safe_dump(content | {"inference": after}, sort_keys=False)


def with_settled(template: Template, then: Template | None) -> Template:
    """A template with what was measured of weights, in place of what it has of other ones.

    Args:
        template: The template.
        then: The template that the weights embed; None if that is `template`.
    """
    if then is None or then.problem != template.problem:
        return template
    keys = task_of(template.problem).rules.SETTLED
    known = {key: then.inference[key] for key in keys if key in then.inference}
    plain = without_settled(template)
    return plain.model_copy(update={"inference": plain.inference | known})


def without_settled(template: Template) -> Template:
    """A template without what was measured of weights."""
    keys = task_of(template.problem).rules.SETTLED
    kept = {key: value for key, value in template.inference.items() if key not in keys}
    return template.model_copy(update={"inference": kept})


def shipped_template(name: str) -> TemplateFile | None:
    """A template of the catalogue; None if the name is unknown."""
    return open_template(template_path(name)) if name in template_names() else None
