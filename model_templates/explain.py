"""Turn a pydantic error into one line that a template's author can act on."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_PATTERNS = {
    r"^[\w.-]+\.safetensors$": "the name of a .safetensors file, without a folder",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits, lower case",
    r"^[a-z0-9][a-z0-9-]*$": "lower-case letters, digits and hyphens",
}


def explain(
    error: ValidationError, model: type[BaseModel], *, under: str = ""
) -> tuple[str, str | None]:
    """Describe the most important problem.

    Args:
        error: The error from validating JSON with `model`.
        model: The root model of the validation.
        under: The key of the file whose value was validated; "" for the whole file.

    Returns:
        The line (key, expected value, value found, number of further problems), and a hint if an
        unknown key looks like a known one.
    """
    # Unknown keys first, as a misspelt key also makes the right one missing.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    path, models = _follow(model, first["loc"])
    hint = None
    found = f" (found {_short(first['input'])})"
    kind = first["type"]
    if kind == "extra_forbidden":
        known = sorted(
            {name for m in _follow(model, first["loc"][:-1])[1] for name in m.model_fields}
        )
        text = f"unknown key{found}; expected one of {', '.join(known)}"
        near = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else None
    elif kind == "missing":
        if isinstance(first["loc"][-1], int):
            path = path[:-1]
            text = f"expected at least {first['loc'][-1] + 1} items{found}"
        else:
            text = f"missing key{_expected_type(model, first['loc'])}"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        path.append("type")
        tags = ", ".join(repr(tag) for m in models for tag in _tags(m))
        given = first["input"].get("type") if isinstance(first["input"], dict) else None
        found = f" (found {_short(given)})" if kind == "union_tag_invalid" else ""
        text = f"{'' if found else 'missing key; '}expected one of {tags}{found}"
    elif kind == "value_error":
        text = str(first["ctx"]["error"])
    else:
        text = _expectation(first) + found
    more = len(problems) - 1
    rest = f"; and {more} more problem{'s' if more > 1 else ''}" if more else ""
    if under:
        path = [under, *path]
    where = f"{'.'.join(path)}: " if path else ""  # checks of several keys name them in the message
    return f"{where}{text}{rest}", hint


def _expectation(problem: ErrorDetails) -> str:
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "model_type" | "model_attributes_type" | "dict_type":
            return "expected a mapping of keys"
        case "list_type" | "tuple_type":
            return "expected a list"
        case "too_short":
            return f"expected at least {limits['min_length']} item(s)"
        case "too_long":
            return f"expected at most {limits['max_length']} item(s)"
        case "string_pattern_mismatch":
            pattern = str(limits["pattern"])
            return f"expected {_PATTERNS.get(pattern, f'text that matches {pattern}')}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return problem["msg"].replace("Input should be", "expected a number", 1)
        case _:
            return problem["msg"].replace("Input should be", "expected", 1)


def _follow(
    model: type[BaseModel], loc: Sequence[int | str]
) -> tuple[list[str], list[type[BaseModel]]]:
    """The path as written in the file, and the models allowed there.

    Pydantic's `loc` also holds the tag of each union on the way, which is not a key in the file.
    """
    path: list[str] = []
    models = [model]
    for part in loc:
        if isinstance(part, int):
            path.append(str(part))
            continue
        holders = [m for m in models if part in m.model_fields]
        tagged = [m for m in models if part in _tags(m)]
        if holders:
            path.append(part)
            models = [n for m in holders for n in _models_in(m.model_fields[part].annotation)]
        elif tagged and len(models) > 1:
            models = tagged
        else:
            path.append(part)
    return path, models


def _expected_type(model: type[BaseModel], loc: Sequence[int | str]) -> str:
    """`; expected an integer` for a missing key of simple type, empty for others."""
    for holder in _follow(model, loc[:-1])[1]:
        field = holder.model_fields.get(str(loc[-1]))
        if field is None:
            continue
        if get_origin(field.annotation) is Literal:
            return f"; expected {' or '.join(map(repr, get_args(field.annotation)))}"
        names = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
        if field.annotation in names:
            return f"; expected {names[field.annotation]}"
        if get_origin(field.annotation) in (list, tuple):
            return "; expected a list"
        if _models_in(field.annotation):
            return "; expected a mapping of keys"
    return ""


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("type")
    return get_args(field.annotation) if field else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
