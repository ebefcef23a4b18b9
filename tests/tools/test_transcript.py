"""A document is not written of commands that fail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TRANSCRIPT = Path(__file__).parents[2] / "tools" / "transcript.sh"


def printed(lines: str) -> subprocess.CompletedProcess[str]:
    script = f'set -euo pipefail\n. "{TRANSCRIPT}"\nnames() {{ sed "s/one/two/"; }}\n{lines}\n'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True)


def test_a_command_and_what_it_prints() -> None:
    done = printed("run echo 'one  '\nrun true\nEXPECTED=3 run bash -c 'echo no >&2; exit 3'")
    assert (done.returncode, done.stderr) == (0, "")
    blocks = done.stdout.split("```console\n")
    assert blocks[1:] == [
        "$ echo two  \ntwo\n```\n\n",
        "$ true\n```\n\n",
        "$ bash -c echo no >&2; exit 3\nno\n(exit code 3)\n```\n",
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "run bash -c 'echo why; exit 3'",
            "why\nbash -c echo why; exit 3: exit code 3, expected 0",
        ),
        ("EXPECTED=2 run true", "true: exit code 0, expected 2"),
        ("again() { run false; }; EXPECTED=2 again", "false: exit code 1, expected 2"),
    ],
)
def test_another_exit_code_ends_it(line: str, says: str) -> None:
    done = printed(f"{line}\necho more")
    assert done.returncode == 1
    assert says in done.stderr
    assert "more" not in done.stdout


@pytest.mark.parametrize("name", ["walkthrough.sh", "benchmark.sh", "first_hour.sh"])
def test_without_the_environment_a_script_says_so(name: str, tmp_path: Path) -> None:
    script = TRANSCRIPT.with_name(name)
    done = subprocess.run(
        ["bash", script, str(tmp_path), "lists", "folder", "output"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "start it in the repository" in done.stderr
    assert not list(tmp_path.iterdir())
