"""What bad input prints, command by command: writes docs/reports/bad-inputs.md.

    python tools/bad_inputs.py > docs/reports/bad-inputs.md

The cases are those of tests/cli/test_bad_inputs.py, which runs each of them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import shlex
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

from pocketface.cli import main as pocketface

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"


def module_of_tests(name: str) -> Any:
    """A module of the tests, which may import others of them."""
    # Called otherwise than "tests", as installed packages of that name would be found first.
    package = types.ModuleType("tests_of_pocketface")
    package.__path__ = [str(TESTS)]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.{name}")


def main() -> None:
    """Run all cases in a folder of good and bad files, and print their output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    cases, material = (module_of_tests(f"cli.{name}") for name in ("test_bad_inputs", "conftest"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)
    document = ["# Bad input, and what it prints", ""]
    document += [
        "Written by `python tools/bad_inputs.py`; the tests run every case. Of the package's own",
        "files only the path inside it is shown.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with contextlib.redirect_stdout(io.StringIO()):
            material.make_material(Path("."))
        cases.add_labels(Path("."))
        for title, command, _, _ in cases.BAD_INPUTS:
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                code = pocketface(shlex.split(command))
            output = [
                f"$ pocketface {command}".rstrip(),
                *said.getvalue().replace(f"{ROOT}/", "").splitlines(),
            ]
            document += [f"**{title}** (exit code {code})", "", "```", *output, "```", ""]
    print("\n".join(document).rstrip())


if __name__ == "__main__":
    main()
