"""Tells a shell how a command line can go on, by argcomplete."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence

from ..model_templates.catalogue import template_names
from .parser import a_path

_NAMED = ("NAME", "TEMPLATE", "ARTEFACT")
"""Parts of the metavars of arguments that take a template's name, beside a file."""


def complete(make_parser: Callable[[str | None], argparse.ArgumentParser]) -> None:
    """Write what the word under the cursor can become, and end the process.

    Args:
        make_parser: Function from the verb to the parser with its flags.
    """
    from argcomplete import autocomplete
    from argcomplete.lexers import split_line

    line, point = os.environ["COMP_LINE"], int(os.environ["COMP_POINT"])
    words = split_line(line, point)[3]
    verb = next((word for word in words[1:] if not word.startswith("-")), None)
    parser = make_parser(verb)
    for action in _actions(parser):
        # Choices are offered as they are.
        if action.choices is None and action.nargs != 0:
            action.completer = _completer(action)  # type: ignore[attr-defined]
    autocomplete(parser, always_complete_options="long")


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                yield from _actions(child)
        else:
            yield action


def _completer(action: argparse.Action) -> Callable[..., object]:
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    what = str(action.metavar or "")
    if any(part in what for part in _NAMED):
        files = FilesCompleter()
        return lambda prefix, **_: [*template_names(), *files(prefix)]
    if what == "DIR":
        return DirectoriesCompleter()
    is_number = action.type not in (None, a_path)
    return _nothing if is_number or not what else FilesCompleter()


def _nothing(**_: object) -> Sequence[str]:
    return ()
