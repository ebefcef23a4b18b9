"""What bad input prints, command by command: writes docs/reports/bad-inputs.md.

    python tools/bad_inputs.py > docs/reports/bad-inputs.md

The cases are those of tests/cli/test_bad_inputs.py, which runs each of them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import runpy
import shlex
import tempfile
from pathlib import Path

from pocketface.cli import main as pocketface

TESTS = Path(__file__).resolve().parents[1] / "tests" / "cli"


def main() -> None:
    """Run all cases in a folder of good and bad files, and print their output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    cases = runpy.run_path(str(TESTS / "test_bad_inputs.py"))
    material = runpy.run_path(str(TESTS / "conftest.py"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        os.environ.pop(name, None)
    document = ["# Bad input, and what it prints", ""]
    document += ["Written by `python tools/bad_inputs.py`; the tests run every case.", ""]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with contextlib.redirect_stdout(io.StringIO()):
            material["make_material"](Path("."))
        cases["add_labels"](Path("."))
        for title, command, _, _ in cases["BAD_INPUTS"]:
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                code = pocketface(shlex.split(command))
            output = [f"$ pocketface {command}".rstrip(), *said.getvalue().splitlines()]
            document += [f"**{title}** (exit code {code})", "", "```", *output, "```", ""]
    print("\n".join(document).rstrip())


if __name__ == "__main__":
    main()
