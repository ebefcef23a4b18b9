"""Cores that a control group gives time of are counted, not those of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import pocketface.cores
from pocketface.cores import cores

V2, V1 = "0::{}\n", "5:memory:/elsewhere\n4:cpu,cpuacct:{}\n"


def v1_files(folder: str, quota: int) -> dict[str, str]:
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": "100000\n",
    }


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (None, {}, 64),  # no Linux
        (V2.format("/"), {}, 64),
        (V2.format("/"), {"cpu.max": "max 100000"}, 64),
        (V2.format("/"), {"cpu.max": "100000 100000"}, 1),
        (V2.format("/"), {"cpu.max": "250000 100000"}, 3),
        (V2.format("/"), {"cpu.max": "20000 100000"}, 1),
        (V2.format("/"), {"cpu.max": "9900000 100000"}, 64),
        # A service in a group with a limit of its own.
        (V2.format("/a/b"), {"a/b/cpu.max": "max 100000", "a/cpu.max": "400000 100000"}, 4),
        (V2.format("/a/b"), {"a/b/cpu.max": "200000 100000", "a/cpu.max": "400000 100000"}, 2),
        # As a container sees it, without the folders that it is told of.
        (V1.format("/docker/7f"), v1_files("cpu", -1), 64),
        (V1.format("/docker/7f"), v1_files("cpu", 200_000), 2),
        (V1.format("/docker/7f"), v1_files("cpu/elsewhere", 200_000), 64),  # not of processors
    ],
)
def test_cores(
    own: str | None,
    files: dict[str, str],
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(pocketface.cores, "_GROUPS", tmp_path)
    monkeypatch.setattr(pocketface.cores, "_OWN", tmp_path / "own")
    if own is not None:
        (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores() == expected


def test_those_that_it_may_run_on_are_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7}, raising=False)
    assert cores() == 1
