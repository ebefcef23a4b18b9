"""Threads of a training that wait leave the cores to other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import os, sys, pocketface

class Finder:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Finder())
"""
CALLS = {
    "train": "pocketface.train('glasses-n', 'out', annotations='a.csv', photos='.')",
    "compress": "pocketface.compress('glasses-n', 'out', annotations='a.csv', photos='.', "
    "val_annotations='a.csv', val_photos='.', post_training=True, formats='onnx')",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_it_is_said_before_torch_loads(
    call: str, before: str | None, after: str, tmp_path: Path
) -> None:
    given = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if before is not None:
        given["OMP_WAIT_POLICY"] = before
    (tmp_path / "a.csv").write_text("image,label\n")
    done = subprocess.run(
        [sys.executable, "-c", LOOK + CALLS[call]],
        cwd=tmp_path, env=given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == after
