"""A release holds what a version's tag needs, or nothing."""

from __future__ import annotations

import hashlib
import runpy
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.errors import UserError

ROOT = Path(__file__).parents[2]
VERSION = pocketface.__version__


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose changelog has a part for this version."""
    place = tmp_path / "clone"
    git(ROOT, "clone", "--quiet", "--shared", str(ROOT), str(place))
    log = place / "CHANGELOG.md"
    log.write_text(
        f"# Changelog\n\n## {VERSION} - 2026-11-28\n\n- Something new.\n\n## 0.0.1\n\n- Old.\n"
    )
    git(
        place,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "commit",
        "--quiet",
        "--all",
        "-m",
        "news",
    )
    return place


def git(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode and arguments[0] == "clone":
        pytest.skip(f"not a clone: {done.stderr}")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def script() -> dict[str, Any]:
    """The names in tools/release.py."""
    return runpy.run_path(str(ROOT / "tools" / "release.py"))


@pytest.fixture
def release(script: dict[str, Any], clone: Path) -> Callable[..., None]:
    """Makes a release of the clone."""
    made: Callable[..., None] = script["release"]
    made.__globals__["ROOT"] = clone
    return made


def test_a_release_has_wheel_files_sums_and_notes(
    release: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "out"
    release(folder, ["glasses-n"], ["onnx"])
    (wheel,) = folder.glob("*.whl")
    pack = f"glasses-n-{VERSION}.zip"
    assert {path.name for path in folder.iterdir()} == {wheel.name, pack, "NOTES.md", "SHA256SUMS"}
    assert "pocketface/cli/export.py" in zipfile.ZipFile(wheel).namelist()
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    notes = (folder / "NOTES.md").read_text()
    assert notes.startswith("- Something new.")
    assert "Old" not in notes
    assert "| glasses-n | model.onnx | 0.3" in notes
    assert "passed, " in notes
    assert f"git tag --annotate v{VERSION}" in capsys.readouterr().out
    zipfile.ZipFile(folder / pack).extractall(tmp_path)
    assert (tmp_path / "glasses-n" / "README.md").exists()
    assert pocketface.load(tmp_path / "glasses-n" / "model.onnx").contract.name == "glasses-n"


@pytest.mark.parametrize("name", ["README.md", "model_templates/new.yaml"])
def test_nothing_is_released_of_what_is_not_committed(
    release: Callable[..., None], clone: Path, tmp_path: Path, name: str
) -> None:
    (clone / name).write_text("changed")
    with pytest.raises(UserError, match=f"1 files are not committed: {name}"):
        release(tmp_path / "out", ["glasses-n"], ["onnx"])
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_where_a_file_cannot_be_made(
    release: Callable[..., None], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="format 'no-such'"):
        release(tmp_path / "out", ["glasses-n"], ["no-such"])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(
    release: Callable[..., None], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="expected a new or empty folder"):
        release(tmp_path, ["glasses-n"], ["onnx"])


@pytest.mark.parametrize("heading", ["1.2.0", "[1.2.0] - 2026-11-28", "1.2.0 - 2026-11-28"])
def test_notes_are_the_part_of_the_changelog(script: dict[str, Any], heading: str) -> None:
    log = f"# All\n\n## Unreleased\n\n- c\n\n## {heading}\n\n### Added\n\n- b\n\n## 1.1.0\n\n- a\n"
    assert script["section"](log, "1.2.0") == "### Added\n\n- b"


@pytest.mark.parametrize(
    "log", ["## 1.2.0.1\n\n- a", "## 11.2.0\n\n- a", "## 1.2.0\n\n## 1.1.0\n\n- a"]
)
def test_a_version_without_a_part_of_its_own(script: dict[str, Any], log: str) -> None:
    with pytest.raises(UserError, match=r"no part for 1\.2\.0"):
        script["section"](log, "1.2.0")
