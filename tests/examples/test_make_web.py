"""`make web` writes the files that the web page opens."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from pocketface.model_templates import template_path
from pocketface.tasks.templates import open_template
from pocketface.tasks.weights import shipped_file


@pytest.fixture
def listed(examples: Path) -> list[str]:
    """The paths in models.json."""
    paths: list[str] = json.loads((examples / "web/models.json").read_text(encoding="utf-8"))
    return paths


def test_make_web_exports_what_the_page_opens(examples: Path, listed: list[str]) -> None:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    done = subprocess.run(
        ["make", "--dry-run", "web"],
        cwd=examples.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    (names,) = re.findall(r"for name in ([^;]+);", done.stdout)
    assert [f"{name}/model.onnx" for name in names.split()] == listed
    assert (
        "export --formats onnx --template $name --save-model-to examples/web/$name" in done.stdout
    )


def test_each_listed_template_ships_weights(listed: list[str]) -> None:
    for path in listed:
        name = PurePosixPath(path).parent.name
        assert shipped_file(open_template(template_path(name))) is not None, name
