"""What the documents tell to run can be run."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pocketface.model_templates.schema import load_template

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "docs").glob("*.py"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.*"))]


def run(script: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Its exit code. In this process: each would take seconds to import what all need."""
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_of_each_script(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(script, monkeypatch, "--help") == 0
    assert f"usage: {script.name}" in capsys.readouterr().out


def test_compression_takes_its_folder_as_argparse_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = ROOT / "docs" / "compression.py"
    assert run(script, monkeypatch) == 2
    assert "required: --save-checkpoints-to" in capsys.readouterr().err
    flags = (f"--save-checkpoints-to={tmp_path}", "--template", "no-such")
    first = tmp_path / "after-training" / "compression.json"
    assert run(script, monkeypatch, *flags) == f"after training: no {first}"
    assert "unrecognized" not in capsys.readouterr().err


def test_each_ablation_makes_a_template(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "ablations.py"))
    for index, change in enumerate(script["CHANGES"].values()):
        load_template(script["edited"](change, tmp_path / str(index)))


def test_a_service_that_does_not_start_is_an_error() -> None:
    service = runpy.run_path(str(ROOT / "docs" / "serve.py"))["service"]
    says = r"the service does not start:\n.*unrecognized arguments"
    with pytest.raises(SystemExit, match=says), service("--no-such-flag"):
        pass


@pytest.mark.parametrize("script", sorted((ROOT / "docs").glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o100, "the documents start it by its name"


def test_commands_in_documents_can_be_typed() -> None:
    for document in DOCUMENTS:
        if document.suffix in (".md", ".py", ".sh"):
            text = document.read_text(encoding="utf-8")
            assert not re.search(r"(?m)(?:^ *|`)docs/\w+\.py\b", text), f"{document}: no `python`"
            for name in re.findall(r"\bdocs/\w+\.(?:py|sh)\b", text):
                assert (ROOT / name).is_file(), f"{document}: {name}"
