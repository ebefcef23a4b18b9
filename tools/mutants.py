"""Plant known faults one by one, and tell which of them no test notices.

    python tools/mutants.py [--only PATTERN] [--output docs/reports/mutants.md]

tools/mutants.yaml lists the faults (mutants; DeMillo, Lipton, Sayward: "Hints on Test Data
Selection", 1978): each is a text that stands in a file once and what stands there instead, what a
user would suffer, and the tests that ought to notice. They are planted in a copy of the
repository. Tests that fail without any fault are no witnesses; their faults are refused, and so are
those with which a file does not compile, or tests cannot be collected: any test would notice them.

Exits with 1 if a fault was not noticed or was refused.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")

_MOST_SECONDS = 900
"""Seconds after which tests are ended: a fault that makes them hang is noticed."""

_FAILED = re.compile(r"^(?:FAILED|ERROR) (?P<test>\S+?)(?:\[.*)?(?: - .*)?$", re.MULTILINE)
"""A line of pytest's summary, without the parameters of the test."""


@dataclass(frozen=True)
class Mutant:
    """A fault to plant.

    Attributes:
        group: Heading of the list that it is in.
        file: Path of the file, relative to the repository.
        old: Text that stands in the file once.
        new: Text that takes its place.
        why: What a user would suffer.
        tests: Files, folders or names of tests that ought to notice.
        unnoticed_at_first: Whether no test noticed it when it was planted first.
    """

    group: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]
    unnoticed_at_first: bool = False


class Outcome(NamedTuple):
    """What became of a mutant; `by` is the test that noticed it, or why it was refused."""

    mutant: Mutant
    kind: Literal["noticed", "NOT noticed", "refused"]
    by: str = ""


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """The mutants of a list."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Mutant(
            group=group,
            file=entry["file"],
            old=entry["old"],
            new=entry["new"],
            why=entry["why"],
            tests=tuple(entry["tests"]),
            unnoticed_at_first=entry.get("unnoticed_at_first", False),
        )
        for group, entries in content.items()
        for entry in entries
    ]


def stale(mutant: Mutant, root: Path = ROOT) -> str | None:
    """Why a mutant cannot be planted; None if it can."""
    path = root / mutant.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    count = text.count(mutant.old)
    if count != 1:
        return f"{mutant.file}: stands there {count} times: {mutant.old!r} ({mutant.why})"
    if path.suffix == ".py":
        try:
            compile(text.replace(mutant.old, mutant.new), path, "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{mutant.file}: does not compile with it: {error} ({mutant.why})"
    absent = [test for test in mutant.tests if not (root / test.partition("::")[0]).exists()]
    return f"{mutant.file}: has no {absent[0]} ({mutant.why})" if absent else None


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """A copy of the repository in a temporary folder, called as the package."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copy = Path(scratch, "pocketface")
        for name in sorted(set(listed.stdout.split("\0")) - {""}):
            if (root / name).is_file():  # not if it was deleted and the index still has it
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, copy / name)
        shared = root.parent / "shared"
        if shared.exists():
            Path(scratch, "shared").symlink_to(shared.resolve())
        yield copy


@contextmanager
def planted(mutant: Mutant, copy: Path) -> Iterator[None]:
    """The mutant in the copy, for as long as the block runs."""
    path = copy / mutant.file
    before, content = path.stat(), path.read_bytes()
    text = content.decode("utf-8")
    path.write_bytes(text.replace(mutant.old, mutant.new).encode("utf-8"))
    # Compiled files are known by the source's size and time in whole seconds: those of the run
    # without a mutant must not pass for the mutant's, and are valid again after it.
    os.utime(path, (before.st_atime, before.st_mtime + 2))
    try:
        yield
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def run_tests(copy: Path, tests: Sequence[str], *, first: bool) -> tuple[int | None, str]:
    """Run tests of the copy; their exit code, None if they never ended, and what they printed.

    Args:
        copy: The copy of the repository.
        tests: The tests to run.
        first: Whether to end at the first failure, and to keep no compiled files of the mutant.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
    command += [f"--basetemp={copy.parent / 'temporary'}", *(["-x"] if first else []), *tests]
    environment = os.environ | {"PYTHONPATH": str(copy.parent), "COLUMNS": "1000"}
    environment.setdefault("OMP_NUM_THREADS", "1")
    if first:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with subprocess.Popen(
        command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            printed, _ = running.communicate(timeout=_MOST_SECONDS if first else None)
        except BaseException as error:
            os.killpg(running.pid, signal.SIGKILL)  # with the processes that tests have started
            if isinstance(error, subprocess.TimeoutExpired):
                return None, ""
            raise
    return running.returncode, printed


def failing_without(copy: Path, mutants: Sequence[Mutant]) -> list[str]:
    """Tests that fail without any mutant.

    Raises:
        SystemExit: The tests cannot be run at all.
    """
    files = sorted({test.partition("::")[0] for mutant in mutants for test in mutant.tests})
    code, printed = run_tests(copy, files, first=False)
    if code not in (0, 1):
        raise SystemExit(f"the tests cannot be run without a mutant:\n{printed}")
    return [found["test"] for found in _FAILED.finditer(printed)]


def outcome_of(mutant: Mutant, copy: Path, failing: Sequence[str]) -> Outcome:
    """Plant one mutant and run its tests."""
    why = stale(mutant, copy)
    if why is not None:
        return Outcome(mutant, "refused", why)
    # `test` names a file, a folder of files, or one test.
    sick = [name for name in failing for test in mutant.tests if name.startswith(test)]
    if sick:
        return Outcome(mutant, "refused", f"{sick[0]} fails without it, too")
    with planted(mutant, copy):
        code, printed = run_tests(copy, mutant.tests, first=True)
    if code is None:
        return Outcome(mutant, "noticed", f"no end after {_MOST_SECONDS} s")
    if code == 0:
        return Outcome(mutant, "NOT noticed")
    found = _FAILED.search(printed)
    if code != 1 or found is None:  # 2: tests were not collected
        return Outcome(mutant, "refused", f"pytest ended with {code}: {printed[-300:]}")
    return Outcome(mutant, "noticed", found["test"])


def document(outcomes: Sequence[Outcome]) -> str:
    """The report, as Markdown."""
    return (
        "# Faults planted, and the tests that notice them\n\n"
        f"Written by `python tools/mutants.py --output FILE.md` on {time.strftime('%d %B %Y')}: "
        "one fault at a\ntime is planted in a copy of the repository, and the tests run that ought "
        'to notice. "At first" is\nbefore tests were written for those of the list that none '
        "noticed. The first test that failed is\nnamed; others may fail, too.\n\n"
    ) + report(outcomes)


def report(outcomes: Sequence[Outcome]) -> str:
    """A section for each list of mutants, with the share that was noticed at first and now."""
    lines = []
    for group in dict.fromkeys(one.mutant.group for one in outcomes):
        some = [one for one in outcomes if one.mutant.group == group]
        at_first = sum(not one.mutant.unnoticed_at_first for one in some)
        now = sum(one.kind == "noticed" for one in some)
        lines += [
            f"## {group}",
            "",
            f"{_share(at_first, len(some))} noticed at first, {_share(now, len(some))} now.",
            "",
            "| file | what a user would suffer | at first | noticed by |",
            "|---|---|---|---|",
        ]
        for one in some:
            first = "not noticed" if one.mutant.unnoticed_at_first else ""
            by = f"`{one.by}`" if one.kind == "noticed" else f"**{one.kind}** {one.by}".strip()
            cells = (f"`{one.mutant.file}`", one.mutant.why, first, by)
            lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)"


def main() -> None:
    """Plant the mutants, print what became of each, and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", metavar="PATTERN", help="those with this regular expression in file or reason"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="for the tables")
    asked = parser.parse_args()
    mutants = [
        mutant
        for mutant in read_mutants()
        if asked.only is None or re.search(asked.only, f"{mutant.file}: {mutant.why}")
    ]
    if not mutants:
        parser.error(f"--only {asked.only}: matches none of {LIST.name}")
    if old := [why for why in map(stale, mutants) if why is not None]:
        parser.error("\n".join(old))
    outcomes = []
    with copy_of(ROOT) as copy:
        failing = failing_without(copy, mutants)
        for mutant in mutants:
            begun = time.monotonic()
            outcomes.append(outcome_of(mutant, copy, failing))
            _, kind, by = outcomes[-1]
            seconds = time.monotonic() - begun
            print(f"{kind} ({seconds:.0f} s): {mutant.file}: {mutant.why} {by}", flush=True)
    if asked.output is not None:
        asked.output.write_text(document(outcomes), encoding="utf-8")
    noticed = sum(one.kind == "noticed" for one in outcomes)
    print(f"noticed: {_share(noticed, len(outcomes))}")
    raise SystemExit(int(noticed < len(outcomes)))


if __name__ == "__main__":
    main()
