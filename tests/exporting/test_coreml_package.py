"""Core ML's packages as files: who may read them, and that equal exports are equal."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.exporting.coreml_spec import write_coreml
from pocketface.runtimes.coreml import read_spec
from pocketface.runtimes.seal import model_files

coremltools: Any = pytest.importorskip("coremltools", reason="needs coremltools")


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def parts(package: Path) -> dict[str, Path]:
    return {path.relative_to(package).as_posix(): path for path in package.rglob("*")}


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("name", ["model", "model_nms"])
def test_a_package_is_for_all_and_always_the_same(
    converted: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    made = converted("coreml") / f"{name}.mlpackage"
    spec, contract = read_spec(made), pocketface.load(made).contract
    weights = model_files(made)[0].parent / "weights"
    weights.chmod(0o700)  # as coremltools leaves it
    again = tmp_path / f"{name}.mlpackage"
    for _ in range(2):  # also over an older one
        write_coreml(spec, contract, again, weights)
    first, second = parts(made), parts(again)
    assert sorted(second) == [
        "Data",
        "Data/com.apple.CoreML",
        "Data/com.apple.CoreML/model.mlmodel",
        "Data/com.apple.CoreML/weights",
        "Data/com.apple.CoreML/weights/weight.bin",
        "Manifest.json",
    ]
    assert first.keys() == second.keys()
    for one, path in second.items():
        wanted = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == wanted, one
        assert path.is_dir() or path.read_bytes() == first[one].read_bytes(), one
    # Apple's tools find both parts by the manifest.
    opened = coremltools.models.MLModel(str(again), skip_model_load=True)
    assert opened.get_spec() == read_spec(again)
    assert opened.weights_dir == str(again / "Data" / "com.apple.CoreML" / "weights")
