"""Shells complete commands, flags, choices and templates' names: asked as argcomplete asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pocketface.cli import COMMANDS
from pocketface.model_templates.catalogue import template_names

NOTHING_HEAVY = """
import argparse, importlib, sys
from pocketface.cli import COMMANDS
for verb in sorted(COMMANDS, key="select".__eq__):  # last: its flags are the figures of all tasks
    command = importlib.import_module(COMMANDS[verb][0], "pocketface.cli")
    command.add_arguments(argparse.ArgumentParser())
    late = {"numpy", "cv2", "pydantic"} if verb != "select" else set()
    heavy = {"torch", "onnxruntime", "openvino", *late} & sys.modules.keys()
    assert not heavy, (verb, heavy)
"""


def completed(line: str, folder: Path) -> set[str]:
    """What the last word of a line can become, as a process that a shell starts answers."""
    answers = folder / "answers"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pocketface"],
        env={**os.environ, **asked},
        cwd=folder,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"")
    words = answers.read_text().split("\n")
    answers.unlink()
    return {word for word in words if word}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a photo and another folder."""
    (tmp_path / "mine.jpg").write_text("")
    (tmp_path / "photos").mkdir()
    return tmp_path


def test_commands(folder: Path) -> None:
    assert completed("pocketface ", folder) >= COMMANDS.keys()
    assert completed("pocketface v", folder) == {"verify", "visualize"}
    assert completed("pocketface --debug ex", folder) == {"export"}
    assert completed("pocketface data s", folder) == {"split"}
    assert completed("pocketface nothing --", folder) <= {
        "--help",
        "--debug",
        "--verbose",
        "--version",
    }


def test_flags(folder: Path) -> None:
    assert completed("pocketface visualize --de", folder) == {
        "--debug", "--delay", "--detector", "--device",
    }  # fmt: skip
    assert "--train-fraction" in completed("pocketface data split a.json --", folder)


def test_choices(folder: Path) -> None:
    assert completed("pocketface train --precision b", folder) == {"bf16-mixed"}
    assert completed("pocketface compress --goal ", folder) == {"speed", "size"}


@pytest.mark.parametrize(
    "before",
    [
        "init", "train --template", "train --load-weights", "export --template",
        "eval --template", "eval --load-weights", "compress --template", "visualize --template",
        "visualize --detector", "classify --detector", "serve --load-weights",
        "serve --segmenter", "diagnose", "data label --detector", "verify", "benchmark",
    ],
)  # fmt: skip
def test_templates_are_offered_where_they_are_taken(folder: Path, before: str) -> None:
    glasses = {name for name in template_names() if name.startswith("glasses")}
    assert completed(f"pocketface {before} glas", folder) == glasses


def test_files_and_folders(folder: Path) -> None:
    assert completed("pocketface visualize --video m", folder) == {"mine.jpg"}
    assert completed("pocketface eval --load-weights mi", folder) == {"mine.jpg"}
    assert completed("pocketface train --save-checkpoints-to ", folder) == {"photos/"}
    assert completed("pocketface train --epochs ", folder) == set()


def test_no_command_loads_what_is_heavy_for_its_flags() -> None:
    subprocess.run([sys.executable, "-c", NOTHING_HEAVY], check=True)
