"""`pocketface templates`: stored counts, which are those of the networks, without PyTorch."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketface.apps.template_table import template_rows
from pocketface.model_templates.catalogue import COUNTS_FILE, ready_file, template_names
from pocketface.tasks.templates import open_template

Run = Callable[..., Any]

COUNTS = Path(__file__).parents[2] / "tools" / "counts.py"


@pytest.mark.parametrize("name", template_names())
def test_the_stored_counts_are_those_of_the_network(name: str) -> None:
    pytest.importorskip("torch")
    counted = runpy.run_path(str(COUNTS))["counted"](open_template(name).spec)
    stored = json.loads(COUNTS_FILE.read_text())
    assert stored.get(name) == counted, "written again by `python tools/counts.py`"


def test_the_table_fits_a_terminal(run: Run) -> None:
    result = run("templates")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    for row in template_rows():
        (line,) = [line for line in lines if line.startswith(f"{row.template.name} ")]
        cells = line.split()
        own = row.sizes[0]
        assert cells[1:4] == [
            f"{row.template.input.width}x{row.template.input.height}",
            f"{own.mparams:.3f}",
            f"{own.gflops:.2f}",
        ]
        assert cells[4] == (
            f"{row.weights_bytes / 1e6:.2f}" if row.weights_bytes else "\N{EN DASH}"
        )
    known = ", ".join(name for name in sorted(template_names()) if ready_file(name))
    assert f"Run without PyTorch: {known}." in " ".join(result.out.split())


def test_all_tells_everything(run: Run) -> None:
    result = run("templates", "--all")
    assert (result.code, result.err) == (0, "")
    for row in template_rows():
        assert f"\n{row.template.name}\n  {row.template.summary}\n" in f"\n{result.out}"
        for metric in row.template.metrics:
            assert f"{metric.display_name}: {metric.value:.2f} %" in result.out
    assert "0.82 GFLOPs (-6.4% counted)" in result.out
    assert "at 640x480" in result.out


def test_as_json_what_was_counted_and_published(run: Run) -> None:
    result = run("templates", "--json")
    rows = {row["name"]: row for row in map(json.loads, result.out.splitlines())}
    assert sorted(rows) == template_names()
    published = {
        "face-detection-0200": (0.82, 1.83),
        "face-detection-0202": (1.84, 1.83),
        "face-detection-0204": (2.52, 1.83),
        "face-detection-0205": (2.94, 2.02),
        "face-detection-0206": (340.06, 63.79),
        "face-detection-0207": (1.04, 0.81),
    }
    for name, (gflops, mparams) in published.items():
        row = rows[name]
        assert (row["published"]["gflops"], row["published"]["mparams"]) == (gflops, mparams)
        counted = row["counted"][0]
        assert counted["gmac"] * 2 == counted["gflops"]
        assert row["difference"]["gflops"] == pytest.approx(counted["gflops"] / gflops - 1)
        assert row["difference"]["mparams"] == pytest.approx(counted["mparams"] / mparams - 1)
        within = max(abs(value) for value in row["difference"].values()) <= 0.05
        assert within or row["published"]["note"]
    for name, budget in (("n", 1.1), ("s", 2.0), ("m", 5.0)):
        own, vga = rows[f"face-detection-{name}"]["counted"]
        assert (own["height"], own["width"]) == (640, 640)
        assert (vga["height"], vga["width"]) == (480, 640)
        assert vga["gflops"] <= budget


def test_neither_needs_nor_loads_what_is_heavy() -> None:
    code = (
        "import sys\n"
        "from pocketface.cli import main\n"
        "assert main(['templates']) == 0\n"
        "heavy = {'torch', 'cv2', 'numpy', 'openvino', 'onnxruntime', 'onnx'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert "63.788" in done.stdout
