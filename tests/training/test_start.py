"""Where a training begins: its folder and its machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from lightning.pytorch.utilities import rank_zero_only

from pocketface.errors import UserError
from pocketface.training import machine
from pocketface.training.folder_lock import NAME, only_training_in


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
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    usual = 0
    for _ in range(10):  # where the heap happens to begin, glibc sometimes keeps it all by itself
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        usual, kept = map(int, told.stdout.split())
        assert kept < 100
        if usual > 1000:
            return
    pytest.fail("there was nothing to keep")


def test_available_memory_is_what_groups_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = machine.available_memory()
    assert 2**27 < everything <= psutil.virtual_memory().total
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    monkeypatch.setattr(machine, "_OWN_GROUP", tmp_path / "own")
    (tmp_path / "own").write_text("1:name=systemd:/old\n0::/pod/container\n")

    def limit(group: str, **files: object) -> None:
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        for name, value in files.items():
            (tmp_path / group / f"memory.{name}").write_text(f"{value}\n")

    stat = "anon 5\ninactive_file 1000"
    limit("pod/container", max="max", current=9000, stat=stat)
    assert machine.available_memory() > 2**27
    limit("pod", max=10_000, current=9_500, stat=stat)
    assert machine.available_memory() == 1500
    limit("pod/container", max=9_000, current=9_500, stat=stat)
    assert machine.available_memory() == 500


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place in ("lost", "lost/run", "loop", "loop/run"):
        with (
            pytest.raises(UserError, match=rf"{place}: cannot be written: .*/l\w+ is in the way"),
            only_training_in(tmp_path / place),
        ):
            pass
    (tmp_path / "here").symlink_to(tmp_path)
    with only_training_in(tmp_path / "here/run"):
        assert (tmp_path / "run").is_dir()
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with (
        pytest.raises(UserError, match=r"run: cannot be written: .* is not writable"),
        only_training_in(tmp_path / "run"),
    ):
        pass
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # the first process writes
    with only_training_in(tmp_path / "run"):
        assert not (tmp_path / "run").exists()


def test_one_training_at_a_time_in_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as Fake\n"
        # Lightning takes seconds to load, and is asked for the number of the process alone.
        "sys.modules |= {'lightning': Fake(), 'lightning.pytorch': Fake()}\n"
        "sys.modules['lightning.pytorch.utilities'] = Fake(rank_zero_only=Fake(rank=0))\n"
        "from pocketface.training.folder_lock import only_training_in\n"
        "with only_training_in(Path(sys.argv[1])):\n"
        "    print('at work', flush=True); sys.stdin.read()"
    )
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"at work\n"
        with (
            pytest.raises(UserError, match="run: another training is writing there"),
            only_training_in(folder),
        ):
            pass
        other.kill()
    with only_training_in(folder):
        assert [path.name for path in folder.iterdir()] == [NAME]
    assert not list(folder.iterdir())
