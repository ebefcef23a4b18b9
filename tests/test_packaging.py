"""The wheel holds exactly the package files that git tracks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pocketface
from pocketface.errors import EXTRAS

_ROOT = Path(__file__).parents[1]
_PACKAGE = Path(pocketface.__file__).parent


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    """Files that git tracks, and new ones that it does not ignore."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip("not a clone: git knows no files here")
    return [name for name in done.stdout.splitlines() if (_ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    copy = tmp_path_factory.mktemp("clone")
    for name in tracked:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_ROOT / name, copy / name)
    # What an earlier build, a run or an experiment may have left must not be packed.
    for stray in ("build/old.py", "runs/a.py", "demo/b.py", "docs/c.py"):
        (copy / stray).parent.mkdir(parents=True, exist_ok=True)
        (copy / stray).write_text("")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    options = ["--no-build-isolation", "--wheel-dir", str(copy / "dist"), str(copy)]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = (copy / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_exactly_the_tracked_package_files(
    tracked: list[str], wheel: zipfile.ZipFile
) -> None:
    rooms = {Path(name).parent.name for name in tracked if re.fullmatch(r"\w+/__init__\.py", name)}
    expected = {
        f"pocketface/{name}"
        for name in tracked
        if name.split("/")[0] in rooms or ("/" not in name and name.endswith((".py", "py.typed")))
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_wheel_has_templates_and_the_weights_they_name(wheel: zipfile.ZipFile) -> None:
    from pocketface.model_templates.catalogue import template_names, template_path
    from pocketface.tasks.templates import open_template

    names = set(wheel.namelist())
    assert template_names()
    for name in template_names():
        path = template_path(name)
        inside = f"pocketface/{path.relative_to(_PACKAGE).as_posix()}"
        assert inside in names
        weights = open_template(path).spec.initial_weights
        if weights is not None:
            packed = wheel.getinfo(inside.replace(path.name, weights.file))
            assert packed.file_size == weights.size


def test_wheel_brings_the_command_the_version_and_the_licence(wheel: zipfile.ZipFile) -> None:
    about = f"pocketface-{pocketface.__version__}.dist-info"
    entry_points = wheel.read(f"{about}/entry_points.txt").decode()
    assert "pocketface = pocketface.cli:main" in entry_points
    metadata = wheel.read(f"{about}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Provides-Extra: openvino" in metadata
    assert "Apache License" in wheel.read(f"{about}/licenses/LICENSE").decode()


def test_core_needs_no_heavy_package(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(f"pocketface-{pocketface.__version__}.dist-info/METADATA").decode()
    needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    core = {line.split()[1].split(">")[0].split("<")[0] for line in needs if "extra ==" not in line}
    light = {"filelock", "numpy", "opencv-python-headless", "pillow", "pydantic", "PyYAML"}
    assert core == {*light, "argcomplete", "tabulate", "tqdm"}


@pytest.mark.parametrize(
    ("machine", "package"),
    [
        ("x86_64", "tensorflow-cpu"),
        ("AMD64", "tensorflow-cpu"),
        ("arm64", "tensorflow"),
        ("aarch64", "tensorflow"),
    ],
)
def test_one_tensorflow_for_each_processor(
    wheel: zipfile.ZipFile, machine: str, package: str
) -> None:
    metadata = wheel.read(f"pocketface-{pocketface.__version__}.dist-info/METADATA").decode()
    needs = [
        Requirement(line.partition(":")[2])
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist:")
    ]
    here = {"platform_machine": machine, "extra": "tensorflow"}
    taken = [need for need in needs if need.marker is None or need.marker.evaluate(here)]
    names = [need.name for need in taken if need.name.startswith("tensorflow")]
    assert names == [package]


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_that_a_message_names_brings_the_package(package: str) -> None:
    """Itself, or by what it brings."""
    homes = packages_distributions().get(package)
    if homes is None:
        pytest.skip(f"{package} is not installed")
    here = {"extra": EXTRAS[package]}
    asked = [Requirement(text) for text in requires("pocketface") or []]
    brought = {need.name for need in asked if need.marker and need.marker.evaluate(here)}
    for name in brought - {"pocketface"}:
        with suppress(PackageNotFoundError):  # for another processor
            brought |= {Requirement(text).name for text in requires(name) or []}
    assert {canonicalize_name(name) for name in brought} & set(map(canonicalize_name, homes))


def test_requirements_are_those_of_the_pipeline_and_of_make() -> None:
    text = (_ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == ["-c constraints.txt", "-e .[pipeline]"]
    extras = [Requirement(one).marker for one in requires("pocketface") or ()]
    assert any('extra == "pipeline"' in str(marker) for marker in extras)
