"""YAML without its surprises: YAML 1.2 numbers, no duplicate keys, no aliases, 64 KiB at most.

PyYAML splits the text into events, which are interpreted here, because its own rules are those of
YAML 1.1, which reads ``1e-3`` as text, ``010`` as 8 and ``no`` as False.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..errors import TemplateError
from ..files import reading

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 18

_PLAIN = re.compile(
    r"(?P<true>true|True|TRUE)|(?P<false>false|False|FALSE)|(?P<null>~|null|Null|NULL|)"
    r"|(?P<integer>[-+]?[0-9]+)"
    r"|(?P<number>[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)"
    r"|(?P<infinite>[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))"
)
"""The core schema of YAML 1.2.2 (section 10.3.2) without 0o and 0x; anything else is text."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one strict YAML mapping.

    Args:
        path: A file of at most 64 KiB, UTF-8.

    Returns:
        Its top-level mapping.

    Raises:
        TemplateError: The file is missing, too large, not UTF-8, not YAML, not a mapping, or uses
            aliases, tags, duplicate keys, keys that are not text, numbers that are not finite, or
            more than 32 levels. The message names file and line.
    """
    return parse_yaml(read_yaml_text(path), source=str(path))


def read_yaml_text(path: Path) -> str:
    """Read the text of a YAML file, for `parse_yaml`.

    Raises:
        TemplateError: The file is missing, too large, or not UTF-8.
    """
    # Read, as a pipe or device does not have a size to check.
    with reading(path, TemplateError), open(path, "rb") as handle:
        content = handle.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TemplateError(f"{path}: larger than {MAX_BYTES} bytes, the most of a template")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path}: not UTF-8 text (byte {error.start})") from error


def parse_yaml(text: str, *, source: str) -> dict[str, Any]:
    """Parse strict YAML; `source` is its name in error messages. See `read_yaml`."""
    if len(text.encode("utf-8", errors="surrogatepass")) > MAX_BYTES:
        raise TemplateError(f"{source}: larger than {MAX_BYTES} bytes, the most of a template")
    try:
        content = _document(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TemplateError(f"{source}{line}: {_reason(error)}") from error
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise TemplateError(f"{source}: not YAML: {reason}") from error
    if not isinstance(content, dict):
        found = "nothing" if content is None else type(content).__name__
        raise TemplateError(f"{source}: expected a mapping of keys (found {found})")
    return content


def _document(events: Iterator[Any]) -> Any:
    """The value of the only document; None if there is none."""
    next(events)  # the start of the stream
    if isinstance(next(events), yaml.StreamEndEvent):
        return None
    value = _value(events, next(events), depth=0)
    next(events)  # the end of the document
    another = next(events)
    if not isinstance(another, yaml.StreamEndEvent):
        problem = "expected a single document in the stream, but found another document"
        raise _refusal(another, problem)
    return value


def _value(events: Iterator[Any], event: Any, *, depth: int) -> Any:
    """The value that begins with `event` and continues in `events`, `depth` levels deep."""
    _check(event, depth=depth)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_value(events, event, depth=depth + 1))
        return items
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        _check(event, depth=depth + 1)
        if not isinstance(event, yaml.ScalarEvent):
            raise _refusal(event, "a key must be text")
        if _kind(event) is not None:
            raise _refusal(event, f"a key must be text (found {_short(event.value)})")
        key = _text(event)
        if key in mapping:
            raise _refusal(event, f"duplicate key {_short(key)}")
        mapping[key] = _value(events, next(events), depth=depth + 1)
    return mapping


def _check(event: Any, *, depth: int) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _refusal(event, "aliases and anchors are not allowed")
    if event.tag is not None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise _refusal(event, f"tags are not allowed (found {_short(tag)})")
    if depth >= MAX_DEPTH:
        raise _refusal(event, f"nested deeper than {MAX_DEPTH} levels")


def _kind(event: Any) -> str | None:
    """The name of the group of `_PLAIN` that a scalar matches; None for text."""
    found = _PLAIN.fullmatch(event.value) if event.style is None else None
    return found and found.lastgroup


def _scalar(event: Any) -> bool | int | float | str | None:
    text: str = event.value
    match _kind(event):
        case "true" | "false" as word:
            return word == "true"
        case "null":
            return None
        case "integer":
            if len(text) > MAX_DIGITS:
                raise _refusal(event, f"an integer of more than {MAX_DIGITS} digits")
            return int(text)
        case "number" if math.isfinite(float(text)):
            return float(text)
        case "number" | "infinite":
            raise _refusal(event, f"{_short(text)} is not a finite number")
    return _text(event)


def _text(event: Any) -> str:
    text: str = event.value
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _refusal(event, "half of a surrogate pair is no character")
    return text


def _refusal(event: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "'\\t'" in problem:
        return "a tab where only spaces may stand"
    return problem
