"""The walk-throughs of CONTRIBUTING.md work: each is followed in a copy of the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WALKS = {
    title: BLOCK.findall(text)
    for title, text in re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
"""Of each walk-through: language and text of its blocks."""

NEEDED = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "altair", "safetensors")

SLOW = "tests/test_imports.py::test_loading_and_running_onnx_needs_no_torch"
"""Whose answer no task changes."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in NEEDED:
        pytest.importorskip(package)
    target = tmp_path_factory.mktemp("copy") / "pocketface"
    left_out = shutil.ignore_patterns(".*", "demo", "runs", "docs", "node_modules", "__pycache__")
    shutil.copytree(ROOT, target, ignore=left_out)
    shutil.copytree(ROOT / "docs", target / "docs", ignore=shutil.ignore_patterns("*.png", "*.jpg"))
    return target


def test_there_are_four() -> None:
    assert list(WALKS) == [
        "Add a backbone", "Add a runtime", "Add an export format", "Add a task",
    ]  # fmt: skip


# In their order: the format is opened by the runtime.
@pytest.mark.parametrize("title", WALKS)
def test_walk_through(title: str, copy: Path) -> None:
    changed = []
    script = ""
    for language, text in WALKS[title]:
        if language == "diff":
            changed.append(change(copy, text))
        elif language == "sh" and (commands := as_python(text)):
            script += commands
        elif language == "sh":
            run(copy, ["bash", "-euo", "pipefail", "-c", text])
        elif language == "python" and (name := re.match(r"# (\S+\.py)\n", text)):
            path = copy / name[1]
            assert not path.exists()
            path.write_text(text[name.end() :], encoding="utf-8")
            changed.append(path)
        elif language == "python":
            script += text
    if script:
        run(copy, [sys.executable, "-c", script])
    sources = [str(path) for path in changed if path.suffix == ".py"]
    run(copy, [sys.executable, "-m", "ruff", "check", "--no-cache", *sources])


def as_python(text: str) -> str:
    """A block of pocketface's commands alone as Python, for one process: imports take seconds."""
    lines = [shlex.split(line) for line in text.splitlines()]
    if any(words[0] != "pocketface" for words in lines):
        return ""
    calls = [f"assert main({words[1:]}) == 0\n" for words in lines]
    return "from pocketface.cli import main\n" + "".join(calls)


def change(copy: Path, text: str) -> Path:
    """Apply a difference whose lines stand in the file in one place."""
    name, *lines = text.splitlines(keepends=True)
    path = copy / name.removeprefix("--- ").strip()
    before = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
    after = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, f"{path.name}: {before}"
    path.write_text(content.replace(before, after), encoding="utf-8")
    return path


def run(copy: Path, command: list[str]) -> None:
    """Run a command whose `pocketface` is the copy."""
    here = Path(sys.executable).parent
    environment = os.environ | {
        "PYTHONPATH": str(copy.parent),
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_ADDOPTS": f"--deselect {SLOW}",
    }
    done = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
