"""The notebooks were run, and their cells run."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from ..one_process import in_this_process

__all__ = ["in_this_process"]

NOTEBOOKS = Path(__file__).parents[2] / "examples" / "notebooks"
LESS = {
    "find_faces": "",
    "train_a_classifier": "COPIES, EPOCHS = 8, 1",
    "compress_and_benchmark": "COPIES, DURATION = 4, 0.1",
}
"""Notebooks, and what takes the place of their parameters here."""


def cells_of(name: str) -> list[dict[str, Any]]:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_all_notebooks_are_here() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(LESS)


@pytest.mark.parametrize("name", LESS)
def test_a_notebook_shows_a_run_from_start_to_end(name: str) -> None:
    cells = cells_of(name)
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert all(output["output_type"] != "error" for output in outputs)
    assert str(Path.home()) not in json.dumps(outputs)


def test_photos_of_ones_own_need_no_toy_photos() -> None:
    """The cell that makes them gives no name to those after it."""
    codes = ["".join(cell["source"]) for cell in cells_of("train_a_classifier")]
    (place,) = (at for at, code in enumerate(codes) if "make_toy_photos(" in code)
    names = [
        [one for one in ast.walk(ast.parse(code)) if isinstance(one, ast.Name)] for code in codes
    ]
    made = {one.id for one in names[place] if isinstance(one.ctx, ast.Store)}
    later = {one.id for some in names[place + 1 :] for one in some}
    assert "import" not in codes[place]
    assert not made & later
    assert {"TRAIN", "TEST"} <= later


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("name", LESS)
def test_the_cells_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("skimage", "torch", "nncf", "openvino", "onnxruntime", "altair"):
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(NOTEBOOKS)  # of the module that they share
    monkeypatch.chdir(tmp_path)
    parts = []
    for cell in cells_of(name):
        parts.append("".join(cell["source"]))
        if "parameters" in cell["metadata"].get("tags", []):
            parts.append(LESS[name])
    exec(compile("\n".join(parts), name, "exec"), {})
