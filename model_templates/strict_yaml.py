"""YAML without its surprises: YAML 1.2 numbers, no duplicate keys, no aliases, 64 KiB at most."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ..errors import TemplateError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 18


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core schema of YAML 1.2.2 (section 10.3.2) for plain scalars.

    PyYAML's own 1.1 rules read ``1e-3`` as text, ``010`` as 8 and ``no`` as False.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}  # type: ignore[misc]
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        problem = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "aliases and anchors are not allowed"
        elif getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            problem = f"tags are not allowed (found {_short(tag)})"
        elif self.depth >= MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
        if problem:
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _STR:
                scalar = isinstance(key_node, yaml.ScalarNode)
                found = f" (found {_short(key_node.value)})" if scalar else ""
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be text{found}", key_node.start_mark
                )
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {_short(key_node.value)}", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


_STR = "tag:yaml.org,2002:str"
_FLOAT = (
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
for _tag, _pattern in (
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("null", r"~|null|Null|NULL|"),
    ("int", r"[-+]?[0-9]+"),
    ("float", _FLOAT),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), None
    )


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    if len(text) > MAX_DIGITS:
        raise yaml.constructor.ConstructorError(
            None, None, f"an integer of more than {MAX_DIGITS} digits", node.start_mark
        )
    return int(text, 10)


def _finite_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node)
    value = math.nan if "n" in text.lower() else float(text)
    if not math.isfinite(value):
        raise yaml.constructor.ConstructorError(
            None, None, f"{_short(text)} is not a finite number", node.start_mark
        )
    return value


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise yaml.constructor.ConstructorError(
            None, None, "half of a surrogate pair is no character", node.start_mark
        )
    return text


_Loader.add_constructor(_STR, _text)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _finite_float)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one strict YAML mapping.

    Args:
        path: A file of at most 64 KiB, UTF-8.

    Returns:
        Its top-level mapping.

    Raises:
        TemplateError: The file is missing, too large, not UTF-8, not YAML, not a mapping, or uses
            aliases, tags, duplicate keys, keys that are no text, numbers that are not finite, or
            more than 32 levels. The message names file and line.
    """
    return parse_yaml(read_yaml_text(path), source=str(path))


def read_yaml_text(path: Path) -> str:
    """The text of a file, as `parse_yaml` takes it.

    Raises:
        TemplateError: The file is missing, too large, or not UTF-8.
    """
    try:
        # Not by its size, which a pipe or device does not have.
        with open(path, "rb") as handle:
            content = handle.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise TemplateError(f"{path}: larger than {MAX_BYTES} bytes, the most of a template")
        return content.decode("utf-8")
    except OSError as error:
        raise TemplateError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path}: not UTF-8 text (byte {error.start})") from error


def parse_yaml(text: str, *, source: str) -> dict[str, Any]:
    """Parse strict YAML; `source` is what error messages call the text. See `read_yaml`."""
    if len(text.encode("utf-8", errors="surrogatepass")) > MAX_BYTES:
        raise TemplateError(f"{source}: larger than {MAX_BYTES} bytes, the most of a template")
    try:
        content = yaml.load(text, Loader=_Loader)  # a SafeLoader
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


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    if "'\\t'" in problem:
        return "a tab where only spaces may stand"
    if problem.startswith("but "):
        # The other half of the sentence, as in "expected a single document in the stream".
        return f"{error.context}, {problem}"
    return problem
