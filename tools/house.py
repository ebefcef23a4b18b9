"""Count the house: lengths of files, and functions with long lists of arguments.

    python tools/house.py [--rev REVISION]

Prints, for the package, its tests and its tools: files, lines, median and 90th percentile of the
files' lengths, the files of more than 300 lines, and the functions of more than 8 arguments (`self`
and `cls` not counted). Files of one or two lines are left out of the percentiles.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LONG_FILE = 300
MANY_ARGUMENTS = 8
SHORTEST = 3

GROUPS = {"tests": "tests", "tools": "tools", "docs": "tools", "examples": "examples"}
"""Folder -> the group that its files are counted in; all others are the package."""


def main() -> None:
    """Print the counts."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rev", help="a revision of git instead of the files that are here")
    rev = parser.parse_args().rev
    texts = {name: text_of(name, rev) for name in names_in(rev)}
    for wanted in ("package", "tests", "tools"):
        group = {
            name: text
            for name, text in texts.items()
            if GROUPS.get(Path(name).parts[0], "package") == wanted
        }
        print_counts(wanted, group)


def names_in(rev: str | None) -> list[str]:
    """The Python files of a revision, or those that are here."""
    listing = ["ls-tree", "-r", "--name-only", rev] if rev else ["ls-files", "-co"]
    listing += [] if rev else ["--exclude-standard"]
    found = [name for name in git(*listing).splitlines() if name.endswith(".py")]
    return found if rev else [name for name in found if (ROOT / name).is_file()]


def text_of(name: str, rev: str | None) -> str:
    """The text of a file."""
    return git("show", f"{rev}:{name}") if rev else (ROOT / name).read_text(encoding="utf-8")


def git(*arguments: str) -> str:
    """What git prints."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def print_counts(title: str, texts: dict[str, str]) -> None:
    """The counts of one group of files."""
    lengths = {name: len(text.splitlines()) for name, text in texts.items()}
    some = sorted(length for length in lengths.values() if length >= SHORTEST)
    if len(some) < 2:
        return
    ninetieth = statistics.quantiles(some, n=10)[-1]
    print(
        f"{title}: {len(lengths)} files, {sum(lengths.values())} lines; "
        f"median {statistics.median(some):g}, 90th percentile {ninetieth:.0f}"
    )
    long = {name: length for name, length in lengths.items() if length > LONG_FILE}
    print(f"  {len(long)} of more than {LONG_FILE} lines")
    for name in sorted(long, key=lambda one: -long[one]):
        print(f"    {long[name]} {name}")
    many = [found for name, text in texts.items() for found in with_many_arguments(name, text)]
    print(f"  {len(many)} functions of more than {MANY_ARGUMENTS} arguments")
    for count, where in sorted(many, reverse=True):
        print(f"    {count} {where}")


def with_many_arguments(name: str, text: str) -> list[tuple[int, str]]:
    """The functions of a file that take many arguments: how many, and where."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(one.arg not in ("self", "cls") for one in taken)
            if count > MANY_ARGUMENTS:
                found.append((count, f"{name}:{node.name}"))
    return found


if __name__ == "__main__":
    main()
