"""Where a training begins: its folder and its machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pocketface.errors import UserError
from pocketface.training.start import check_folder


def test_freed_memory_is_kept() -> None:
    code = """
import resource, sys, torch
from pocketface.training.machine import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(size * 2**18) for size in (24, 8, 24, 4, 24, 8)]
    del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
usual = [faults() for _ in range(10)][-1]
keep_freed_memory()
print(usual, [faults() for _ in range(10)][-1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    usual, kept = map(int, done.stdout.split())
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    assert usual > 1000  # or there was nothing to keep
    assert kept < 100


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place in ("lost", "lost/run", "loop", "loop/run"):
        with pytest.raises(UserError, match=rf"{place}: cannot be written: .*/l\w+ is in the way"):
            check_folder(tmp_path / place, None)
    (tmp_path / "here").symlink_to(tmp_path)
    assert not check_folder(tmp_path / "here/run", None)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with pytest.raises(UserError, match=r"run: cannot be written: .* is not writable"):
        check_folder(tmp_path / "run", None)
    monkeypatch.setenv("RANK", "1")  # of torchrun: the first process writes
    assert not check_folder(tmp_path / "run", None)
