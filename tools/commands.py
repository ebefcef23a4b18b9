"""Every command with its flags, as its own help has them: docs/reference/commands.md.

    python tools/commands.py > docs/reference/commands.md

A test compares the document with what this prints.
"""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections.abc import Iterator

from pocketface.cli import COMMANDS
from pocketface.cli.parser import Parser

ABOUT = {
    "templates": "Parameters and operations are counted from the built network. All figures: "
    "[models.md](../reports/models.md#all-templates).",
    "init": "Writes template.yaml, the weights that ship with it as snapshot.pth (without PyTorch: "
    "weights.safetensors, and the ready model file if there is one), and train.py, eval.py, "
    "compress.py, export.py and visualize.py, which run the commands with that template; for face "
    "segmentation segment.py, too.",
    "train": "Explained in [train.md](../guide/train.md). A classifier's annotations are CSV "
    "lists.",
    "eval": "COCO AP for detectors, WIDER FACE's easy, medium and hard with `--wider-dir`; "
    "balanced accuracy, F1, ROC AUC and calibration for classifiers.",
    "compress": "Explained in [compress.md](../guide/compress.md). Exit code 1 where a float file "
    "was kept.",
    "export": "Explained in [export.md](../guide/export.md). Exit code 1 where a file fails.",
    "verify": "Explained in [export.md](../guide/export.md#what-is-compared).",
    "benchmark": "Explained in [benchmark.md](../guide/benchmark.md).",
    "select": "Reads the results of `benchmark`. Exit code 3 where nothing fits, with the nearest "
    "file. Examples: [benchmark.md](../guide/benchmark.md#the-smallest-file-that-meets-a-budget).",
    "diagnose": "Explained in "
    "[export.md](../guide/export.md#is-a-file-shown-its-photos-as-it-should-be).",
    "visualize": "Draws boxes, landmarks and scores; with a classifier, its labels; with a "
    "segmenter, its masks; with `--gallery` the names of known people: "
    "[recognize.md](../guide/recognize.md#in-videos-and-before-the-camera).",
    "segment": "Explained in [segment.md](../guide/segment.md).",
    "blur": "Explained in [blur.md](../guide/blur.md). Exit code 1 where a file could not be "
    "blurred.",
    "classify": "Explained in [glasses.md](../guide/glasses.md).",
    "recognize": "Explained in [recognize.md](../guide/recognize.md).",
    "serve": "Explained in [serve.md](../guide/serve.md).",
    "bot": "Explained in [bot.md](../guide/bot.md). The token is in the environment variable "
    "`POCKETFACE_BOT_TOKEN`.",
    "data": "Explained in [data.md](../guide/data.md).",
}
"""Further text about a command, by its name."""

HEAD = """\
# Commands

Written by `python tools/commands.py`, from the commands' own help; `pocketface COMMAND --help`
prints the same. `--debug` shows tracebacks and `-v` says more, with every command. What commands
print by `--json` is in [json.md](json.md), exit codes are in [errors.md](errors.md).
"""


def main() -> None:
    """Print the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    print("\n".join(document()))


def document() -> Iterator[str]:
    """The lines of the document."""
    yield HEAD
    yield "| command | |"
    yield "|---|---|"
    for name, (_, summary) in COMMANDS.items():
        yield f"| [`{name}`](#{name}) | {summary} |"
    for name, (module, summary) in COMMANDS.items():
        command = Parser(prog=f"pocketface {name}")
        importlib.import_module(module, "pocketface.cli").add_arguments(command)
        yield f"\n## {name}\n"
        yield wrapped(f"{summary}. {ABOUT[name]}")
        actions = [
            action for action in command._actions if isinstance(action, argparse._SubParsersAction)
        ]
        if not actions:
            yield from table_of(command)
        for action in actions:
            said = {choice.dest: choice.help for choice in action._get_subactions()}
            for verb, child in action.choices.items():
                yield f"### {name} {verb}\n"
                yield wrapped(f"{said[verb]}.")
                yield from table_of(child)
                yield ""


def wrapped(text: str) -> str:
    """A wrapped paragraph with an initial capital, and an empty line."""
    lines = textwrap.wrap(text, 116, break_long_words=False, break_on_hyphens=False)
    lines[0] = lines[0][0].upper() + lines[0][1:]
    return "\n".join([*lines, ""])


def table_of(command: argparse.ArgumentParser) -> Iterator[str]:
    """The lines of a table with a row for each argument and flag."""
    yield "| argument | default | what |"
    yield "|---|---|---|"
    for action in command._actions:
        if action.dest in ("help", "debug", "verbose"):
            continue
        value = value_of(action)
        names = [f"{name} {value}".rstrip() for name in action.option_strings] or [value]
        shown = ", ".join(f"`{name}`" for name in names)
        cells = [shown, default_of(action), action.help or ""]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def default_of(action: argparse.Action) -> str:
    """A flag's default; empty if the help or the command states it."""
    if action.required and action.nargs != "*":
        return "required"
    if action.nargs == 0:  # it is there or not
        return ""
    value = action.default
    if value is None or value is False or value == [] or value is argparse.SUPPRESS:
        return ""
    return f"`{','.join(map(str, value)) if isinstance(value, list) else value}`"


def value_of(action: argparse.Action) -> str:
    """Placeholder of a flag's value, such as "DIR" or "{a,b}"; empty for a flag without a value."""
    if action.nargs == 0:
        return ""
    if action.metavar is None and action.choices is not None:
        name = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        name = str(action.metavar or action.dest.upper())
    if action.nargs in ("+", "*"):
        return f"{name} …"
    return " ".join([name] * (action.nargs if isinstance(action.nargs, int) else 1))


if __name__ == "__main__":
    main()
